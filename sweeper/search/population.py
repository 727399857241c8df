"""Population based training, decided from nothing but the curves that the study holds.

Jaderberg et al. 2017, arXiv 1711.09846: at every milestone a trial among the worst share copies
the weights and settings of a random one among the best share (exploit), then nudges the settings
(explore). Here the trials need not run at the same time: whoever reaches a milestone is compared
with those that have reached it before, and copies the donor as it was at that milestone, which the
workers keep for that. A decision is drawn from the search's seed, the trial and the milestone, and
written into the ledger before it is acted upon.

Only settings are nudged that leave the networks' shape alone and that no other setting hangs on;
the rest comes with the weights. The study's own parameters stay those that the trial began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeper.search.distributions import at
from sweeper.search.milestones import Milestones
from sweeper.search.proposals import mix
from sweeper.search.stopping import Curve, first_at
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw, walk

FACTORS = (0.8, 1.25)
"""What a setting is multiplied by, one or the other."""


@dataclass(frozen=True)
class TakeOver:
    """A trial goes on from `donor`'s checkpoint at its step `donor_step`, with a new draw."""

    donor: int
    donor_step: int
    draw: Draw


def milestones(sweep: Sweep) -> Milestones:
    """Those of the sweep's scheduler, by default every evaluation."""
    scheduler = sweep.scheduler
    every = scheduler.interval_steps
    if every is None:
        from trials.config import default_at  # imports torch

        every = int(default_at(sweep.base, "evaluation.every"))
    return Milestones(every, scheduler.grace_steps or every)


def take_over(
    sweep: Sweep,
    marks: Milestones,
    number: int,
    curves: Mapping[int, Curve],
    values: Mapping[int, Mapping[str, Any]],
) -> TakeOver | None:
    """What trial `number` should do at its last evaluation; None to go on as it is.

    `curves` and `values` are those of the trials that may be compared with, its own included.
    """
    steps = sorted(curves[number])
    if not steps:
        return None
    milestone = marks.reached(steps[-2] if len(steps) > 1 else 0, steps[-1])
    if milestone is None:
        return None
    there = {
        other: (step, curve[step])
        for other, curve in curves.items()
        if (step := first_at(curve, milestone)) is not None
    }
    sign = 1 if sweep.objective[0].goal == "minimize" else -1
    ranked = sorted(there, key=lambda other: (sign * there[other][1], other))
    share = int(len(ranked) * (sweep.scheduler.quantile or 0.25))
    if share == 0 or number not in ranked[-share:]:
        return None
    rng = np.random.default_rng(mix(sweep.search.seed, "population", number, milestone))
    donor = ranked[int(rng.integers(share))]
    drawn = explore(sweep, values[donor], rng)
    return TakeOver(donor, there[donor][0], walk(sweep, lambda one: drawn[one.path]))


def explore(sweep: Sweep, values: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The donor's settings, each that may change either nudged or drawn anew."""
    chance = sweep.scheduler.resample
    resample = 0.25 if chance is None else chance
    explored = dict(values)
    conditions = {path for parameter in sweep.parameters for path in parameter.when}
    for parameter in sweep.parameters:
        if parameter.path in values and parameter.path not in conditions and _may_change(parameter):
            draws, factor = rng.random(2), FACTORS[int(rng.integers(2))]
            explored[parameter.path] = (
                at(parameter, draws[1])
                if draws[0] < resample
                else _nudged(parameter, values[parameter.path], factor)
            )
    return explored


def _may_change(parameter: Parameter) -> bool:
    from trials.roles import shapes_weights  # imports torch

    return isinstance(parameter.domain, Range) and not shapes_weights(parameter.path)


def _nudged(parameter: Parameter, value: float, factor: float) -> Any:
    domain = parameter.domain
    assert isinstance(domain, Range)
    nudged = min(max(value * factor, domain.low), domain.high)
    if domain.integer and round(nudged) == value:
        nudged = min(max(value + (1 if factor > 1 else -1), domain.low), domain.high)
    return domain.snap(nudged)
