"""When a trial is stopped early, decided from nothing but the curves that the study holds.

asynchronous successive halving (asha)   Li et al. 2020, arXiv 1810.05934
hyperband                                Li et al. 2018, arXiv 1603.06560
median stopping rule                     Golovin et al. 2017, "Google Vizier", section 3.2

A curve maps a training step to the first objective at that step. The functions remember nothing:
asked again after a crash they answer as they did before it. (Optuna's pruners keep a trial's rungs
in its attributes as they are asked, so that a second question gets another answer; on curves with
at most one rung an evaluation these functions decide as Optuna's do, which a test holds them to.)

Each returns the reason to stop the trial at its last step, or None to let it go on.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median as median_of

from sweeper.sweepfile.model import Sweep

Curve = Mapping[int, float]
Rule = Callable[[int, Mapping[int, Curve]], str | None]
"""A rule judges the trial of this number among the curves of all trials, its own included."""


def never(number: int, curves: Mapping[int, Curve]) -> str | None:
    """Let every trial run to its end."""
    return None


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving with rungs at grace · factor^(rate + k) steps.

    A trial that reaches a rung goes on if its value there is among the best 1/factor of all values
    known at that rung; while fewer than `factor` trials have been there, if it is the best of them.
    """

    grace: int
    factor: int
    maximize: bool
    rate: int = 0

    def __call__(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        mine = curves[number]
        if not mine:
            return None
        last = max(mine)
        for milestone in self.rungs(last):
            if first_at(mine, milestone) != last:
                continue  # judged at an earlier evaluation, and it went on
            rivals = sorted(
                (curve[step] for curve in curves.values() if (step := first_at(curve, milestone))),
                reverse=self.maximize,
            )
            places = max(1, len(rivals) // self.factor)
            if _worse(mine[last], rivals[places - 1], self.maximize):
                return (
                    f"{mine[last]:.4g} at step {last} is not among the best {places} of "
                    f"{len(rivals)} values at rung {milestone}"
                )
        return None

    def rungs(self, last: int) -> Iterator[int]:
        """The milestones up to step `last`."""
        milestone = self.grace * self.factor**self.rate
        while milestone <= last:
            yield milestone
            milestone *= self.factor


@dataclass(frozen=True)
class Hyperband:
    """Successive halving in brackets that start at ever later rungs, for `steps` steps at most.

    The trials are dealt to the brackets by a hash of the sweep's name and their number.
    """

    name: str
    grace: int
    factor: int
    steps: int
    maximize: bool

    def __call__(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        bracket = self.bracket(number)
        rivals = {other: curve for other, curve in curves.items() if self.bracket(other) == bracket}
        reason = Halving(self.grace, self.factor, self.maximize, rate=bracket)(number, rivals)
        return None if reason is None else f"{reason} of bracket {bracket}"

    def bracket(self, number: int) -> int:
        """The bracket of a trial, from 0 (stops early and often)."""
        # s_max = floor(log_factor(R / r)), the equation over Algorithm 1 of the Hyperband paper
        highest = max(0, math.floor(math.log(self.steps / self.grace, self.factor)))
        shares = [
            math.ceil((highest + 1) * self.factor ** (highest - rate) / (highest - rate + 1))
            for rate in range(highest + 1)
        ]
        place = zlib.crc32(f"{self.name}_{number}".encode()) % sum(shares)
        for rate, share in enumerate(shares):
            place -= share
            if place < 0:
                return rate
        return highest


@dataclass(frozen=True)
class Median:
    """Stop a trial whose best value so far is worse than the median of the others at its step.

    Judged from `grace` steps on, where at least `startup` other trials have reached the step.
    """

    grace: int
    startup: int
    maximize: bool

    def __call__(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        mine = curves[number]
        if not mine or max(mine) < self.grace:
            return None
        last = max(mine)
        others = [
            curve[max(step for step in curve if step <= last)]
            for other, curve in curves.items()
            if other != number and curve and min(curve) <= last <= max(curve)
        ]
        if len(others) < self.startup:
            return None
        best = max(mine.values()) if self.maximize else min(mine.values())
        middle = median_of(others)
        if not _worse(best, middle, self.maximize):
            return None
        return (
            f"its best value up to step {last}, {best:.4g}, is worse than {middle:.4g}, "
            f"the median of {len(others)} trials there"
        )


def rule_for(sweep: Sweep) -> Rule:
    """The rule that a sweep's scheduler follows; population based training stops no trial."""
    scheduler = sweep.scheduler
    if scheduler.name in ("none", "pbt"):
        return never
    from trials.config import default_at  # imports torch

    maximize = sweep.objective[0].goal == "maximize"
    grace = scheduler.grace_steps or int(default_at(sweep.base, "evaluation.every"))
    if scheduler.name == "median":
        return Median(grace, scheduler.startup_trials or 5, maximize)
    factor = scheduler.reduction_factor or 3
    if scheduler.name == "asha":
        return Halving(grace, factor, maximize)
    steps = int(default_at(sweep.base, "steps"))
    return Hyperband(sweep.name, grace, factor, max(steps, grace), maximize)


def first_at(curve: Curve, milestone: int) -> int | None:
    """The first step of the curve at or after the milestone."""
    return min((step for step in curve if step >= milestone), default=None)


def _worse(value: float, than: float, maximize: bool) -> bool:
    return value < than if maximize else value > than
