"""The median stopping rule: a trial whose best value is worse than the median of the others.

As Optuna's MedianPruner: the median is of the others' values at the step, of running trials too.
The rule of Golovin et al. 2017, Google Vizier: A Service for Black-Box Optimization, section 3.2,
takes the median of the running averages of completed trials, and may decide otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median as median_of

from sweeper.search.stopping_rule import Curve, GraceConfig, StoppingRule, is_worse
from trials.part import knob


def behind_median(
    number: int, curves: Mapping[int, Curve], *, grace: int, startup: int, maximize: bool
) -> str | None:
    """Why trial `number` is stopped at its last step; None to let it go on.

    Decided from `grace` steps on, where at least `startup` other trials have reached the step.
    """
    mine = curves[number]
    if not mine or max(mine) < grace:
        return None
    last = max(mine)
    others = [
        curve[max(step for step in curve if step <= last)]
        for other, curve in curves.items()
        if other != number and curve and min(curve) <= last <= max(curve)
    ]
    if len(others) < startup:
        return None
    best = max(mine.values()) if maximize else min(mine.values())
    middle = median_of(others)
    if not is_worse(best, middle, maximize):
        return None
    return (
        f"its best value up to step {last}, {best:.4g}, is worse than {middle:.4g}, "
        f"the median of {len(others)} trials there"
    )


class MedianRule(StoppingRule):
    """Stops what is behind half of the others."""

    key = "median"
    summary = "worse at its best than the median of the others"

    class Config(GraceConfig):
        startup_trials: int = knob(
            5, "trials that must have reached a step before others are compared there", ge=1
        )

    def doubts(self, trials: int | None) -> Iterable[str]:
        startup = self.config.startup_trials
        if trials is not None and trials <= startup:
            yield (
                f"scheduler: median will never act: it compares with {startup:,} others or more, "
                f"and there are {trials:,} trials"
            )

    def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        return behind_median(
            number,
            curves,
            grace=self.config.grace_steps,
            startup=self.config.startup_trials,
            maximize=self.maximize,
        )
