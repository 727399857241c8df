"""Population based training, decided from nothing but the curves that the study holds.

Jaderberg et al. 2017, arXiv 1711.09846: at every milestone a trial among the worst share copies
the weights and settings of a random one among the best share (exploit), then nudges the settings
(explore). Here the trials need not run at the same time: a trial that reaches a milestone is
compared with those that have reached it before, and copies the donor as it was at that milestone,
which the workers keep for that. Of a sweep that has ended not all of that stays (`keep`); extended,
it copies those of the best share that are there. A decision is drawn from the search's seed, the
trial and the milestone, and written into the ledger before it is acted upon.

Only settings are nudged that leave the networks' shape alone and that no other setting hangs on;
numbers of a list are drawn anew or kept, and the rest comes with the weights. The study's own
parameters stay those that the trial began with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from sweeper.parts import Fault
from sweeper.search.milestones import Milestones
from sweeper.search.quantiles import at
from sweeper.search.sampler import mix
from sweeper.search.stopping_rule import (
    Curve,
    GraceConfig,
    StoppingRule,
    TakeOver,
    first_at,
    steps_between_evaluations,
)
from sweeper.sweepfile.domains import Parameter, Range, Values, exact
from sweeper.sweepfile.space import walk
from trials.part import knob

if TYPE_CHECKING:
    import numpy as np

FACTORS = (0.8, 1.25)
"""What a setting is multiplied by, one or the other."""


class PopulationBased(StoppingRule):
    """Stops no trial: the worst go on from where the best were."""

    key = "pbt"
    summary = "population based training: the worst copy the best"
    copies = True

    class Config(GraceConfig):
        interval_steps: int | None = knob(
            None, "training steps between two generations; by default one evaluation", ge=1
        )
        quantile: float = knob(0.25, "the worst share that copies the best share", gt=0, le=0.5)
        resample: float = knob(
            0.25,
            "chance that a value is drawn again, not nudged (one of a list: not kept)",
            ge=0,
            le=1,
        )

        def settled(self, base: Mapping[str, Any]) -> Self:
            """With an interval of one evaluation, and a grace of one interval."""
            interval = self.interval_steps or steps_between_evaluations(base)
            grace = self.grace_steps or interval
            return self.model_copy(update={"interval_steps": interval, "grace_steps": grace})

    @classmethod
    def check(cls, config: Any, parameters: Sequence[Parameter]) -> Iterable[Fault]:
        if not parameters:
            yield Fault(("scheduler", "name"), "pbt has no parameters to perturb", "parameters")

    @property
    def begins(self) -> int:
        interval: int = self.config.interval_steps
        grace: int = self.config.grace_steps
        return -(-grace // interval) * interval  # the first multiple

    @property
    def milestones(self) -> Milestones:
        return Milestones(self.config.interval_steps, self.config.grace_steps)

    def take_over(
        self,
        number: int,
        curves: Mapping[int, Curve],
        values: Mapping[int, Mapping[str, Any]],
    ) -> TakeOver | None:
        import numpy as np

        steps = sorted(curves[number])
        if not steps:
            return None
        milestone = self.milestones.reached(steps[-2] if len(steps) > 1 else 0, steps[-1])
        if milestone is None:
            return None
        there = {
            other: (step, curve[step])
            for other, curve in curves.items()
            if (step := first_at(curve, milestone)) is not None
        }
        sign = -1 if self.maximize else 1
        ranked = sorted(there, key=lambda other: (sign * there[other][1], other))
        share = math.floor(len(ranked) * exact(self.config.quantile))
        if share == 0 or number not in ranked[-share:]:
            return None
        donors = [other for other in ranked[:share] if other in values]
        if not donors:
            return None
        rng = np.random.default_rng(mix(self.sweep.search.seed, "population", number, milestone))
        donor = donors[int(rng.integers(len(donors)))]
        drawn = self.explore(values[donor], rng)
        draw = walk(self.sweep, lambda parameter: drawn[parameter.path])
        return TakeOver(donor, there[donor][0], draw)

    def explore(self, values: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """The donor's settings, each that may change either nudged or drawn again."""
        explored = dict(values)
        for parameter in self._changeable():
            path = parameter.path
            if path in values:
                draws, factor = rng.random(2), FACTORS[int(rng.integers(2))]
                explored[path] = (
                    at(parameter, draws[1])
                    if draws[0] < self.config.resample
                    else _nudged(parameter, values[path], factor)
                )
        return explored

    def doubts(self, trials: int | None) -> Iterable[str]:
        share = self.config.quantile
        if trials is not None and math.floor(trials * exact(share)) == 0:
            yield (
                f"scheduler: pbt will never act: the worst share, {share:g} of {trials:,} trials, "
                "is not one"
            )
        if not self._changeable():
            yield (
                "scheduler: pbt can perturb none of these parameters: it nudges ranges and draws "
                "numbers of a list anew, where neither the networks' shape nor another parameter "
                "hangs on them; a trial that takes weights over becomes a copy"
            )

    def _changeable(self) -> list[Parameter]:
        parameters = self.sweep.parameters
        conditions = {path for parameter in parameters for path in parameter.when}
        return [one for one in parameters if one.path not in conditions and _may_change(one)]


def _may_change(parameter: Parameter) -> bool:
    from trials.roles import shapes_weights  # imports torch

    domain = parameter.domain
    numeric = isinstance(domain, Range) or (
        isinstance(domain, Values)
        and domain.size() > 1
        and all(type(value) in (int, float) for value in domain.values)
    )
    return numeric and not shapes_weights(parameter.path)


def _nudged(parameter: Parameter, value: float, factor: float) -> Any:
    domain = parameter.domain
    if not isinstance(domain, Range):
        return value
    nudged = domain.snap(min(max(value * factor, domain.low), domain.high))
    if domain.step is not None and nudged == domain.snap(value):  # lost in rounding
        moved = value + (domain.step if factor > 1 else -domain.step)
        nudged = domain.snap(min(max(moved, domain.low), domain.high))
    return nudged
