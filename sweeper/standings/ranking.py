"""The order of a search by its own values, before any fresh seed has a say.

With two objectives a trial's place is the front it lies on, 1 being the Pareto front; on one front
the first objective decides, and among equals the earlier trial stands first.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweeper.ablation.design import canonical
from sweeper.standings.cells import by_mean, runs_by_seed
from sweeper.standings.values import OverSeeds, final, sign
from sweeper.trial import Trial

if TYPE_CHECKING:
    from sweeper.standings.standings import Standings


def by_search(finished: Sequence[Trial], goals: Sequence[str]) -> list[Trial]:
    """These trials, each with a final value of every objective, from the best on."""
    fronts = pareto_fronts(finished, goals) if len(goals) > 1 else {}

    def place(trial: Trial) -> tuple[int, float, int]:
        return fronts.get(trial.number, 1), sign(goals[0]) * (final(trial) or 0.0), trial.number

    return sorted(finished, key=place)


def by_configuration(standings: Standings) -> dict[int, OverSeeds | None]:
    """The finished trials from the best configuration on, by its mean over seeds: number → the
    values of its configuration on all of them, None where that is one.

    A failure among them weighs as the worst value of any trial. Empty for two objectives, by whose
    means nothing is ordered.
    """
    if len(standings.goals) > 1:
        return {}
    groups: dict[str, list[Trial]] = {}
    for trial in filter(standings.comparable, standings.search):
        groups.setdefault(apart_from_seed(trial.config), []).append(trial)
    finished: dict[str, list[int]] = {key: [] for key in groups}
    for trial in standings.by_search:
        finished[apart_from_seed(trial.config)].append(trial.number)
    keys, rows = list(groups), [runs_by_seed(runs) for runs in groups.values()]
    found: dict[int, OverSeeds | None] = {}
    for row in by_mean(rows, standings.goal):
        values = tuple(value for value in rows[row].values() if value is not None)
        several = OverSeeds(values, len(rows[row]) - len(values)) if len(rows[row]) > 1 else None
        found |= dict.fromkeys(finished[keys[row]], several)
    return found


def configurations(best_first: Sequence[Trial], top: int) -> list[Trial]:
    """The `top` best configurations, each as its best trial: seeds do not make two of one."""
    chosen: dict[str, Trial] = {}
    for trial in best_first:
        if len(chosen) == top:
            break
        chosen.setdefault(apart_from_seed(trial.config), trial)
    return list(chosen.values())


def apart_from_seed(config: Mapping[str, Any]) -> str:
    """What configurations have in common that differ by nothing but their seed."""
    return canonical({key: value for key, value in config.items() if key != "seed"})


def may_lead(trial: Trial, front: Sequence[Trial], goals: Sequence[str]) -> bool:
    """Whether a trial that is over is as good as each of the best in some objective, or equal."""

    def losses(one: Trial) -> tuple[float, ...]:
        values = (final(one, index) for index in range(len(goals)))
        pairs = zip(goals, values, strict=True)
        return tuple(math.inf if v is None else sign(goal) * v for goal, v in pairs)

    mine = losses(trial)
    if math.inf in mine:
        return False
    others = (losses(one) for one in front)
    return not any(
        theirs != mine and all(t <= m for t, m in zip(theirs, mine, strict=True))
        for theirs in others
    )


def pareto_fronts(finished: Sequence[Trial], goals: Sequence[str]) -> dict[int, int]:
    """Non-dominated sorting on two objectives, in O(n log n): number → front, from 1.

    Taken in lexicographic order, a point is dominated by a front exactly when the smallest second
    value of that front is not above its own; these smallest values grow from front to front.
    """
    signs = [sign(goal) for goal in goals]
    points = sorted(
        (tuple(s * (final(trial, i) or 0.0) for i, s in enumerate(signs)), trial.number)
        for trial in finished
    )
    tails: list[float] = []
    ranks: dict[int, int] = {}
    last: tuple[tuple[float, ...], int] | None = None
    for point, number in points:
        if last is not None and point == last[0]:
            front = last[1]  # equal points do not dominate one another
        else:
            front = bisect.bisect_right(tails, point[1])
            tails[front : front + 1] = [point[1]]
        ranks[number] = front + 1
        last = (point, front)
    return ranks
