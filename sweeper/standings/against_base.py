"""How the winner compares with the base configuration: on the fresh seeds that both were run on.

Each difference is the mean over paired seeds, with the interval that the tables of an ablation have
(`sweeper.ablation.intervals`). The winner was chosen as the best of all that were confirmed, and
among several that are no better than the base one is lucky: the intervals are therefore at level
1 − 5%/m, for m configurations beside the base, and hold for all of them together
(docs/statistics.md has what they cover). With two objectives nobody is chosen, every configuration
of the Pareto front is told, and m counts both differences of each. Where no fresh seed has both,
there are only the two values of the search, and they confirm nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sweeper.standings.cells import runs_by_seed
from sweeper.standings.ranking import apart_from_seed, configurations
from sweeper.standings.values import final, sign
from sweeper.wording import decimals, number, with_interval

if TYPE_CHECKING:
    from sweeper.ablation.effects import Goal
    from sweeper.standings.standings import Standings
    from sweeper.trial import Trial

Verdict = Literal["better", "worse", "unclear", "untested"]

LEVEL = 0.95
"""Chance that all intervals of one sweep hold what they should, or more."""


@dataclass(frozen=True)
class Difference:
    """One objective of a configuration less that of the base, in the objective's own unit.

    `value` and `base` are means over the `seeds` fresh seeds on which both have a value; with none,
    those of the search.
    """

    metric: str
    goal: Goal
    value: float
    base: float
    seeds: int
    low: float | None = None
    high: float | None = None
    """The ends of the interval; None for fewer than two seeds."""

    @property
    def difference(self) -> float:
        return self.value - self.base

    @property
    def verdict(self) -> Verdict:
        """What the interval says: one that holds zero tells nothing apart."""
        if self.low is None or self.high is None:
            return "untested"
        ends = sorted((sign(self.goal) * self.low, sign(self.goal) * self.high))
        return "better" if ends[1] < 0 else "worse" if ends[0] > 0 else "unclear"

    @property
    def shown(self) -> str:
        """`−2.1 [−3.0, −1.2]`, to the places that two figures of the interval's width have."""
        if self.low is None or self.high is None:
            return number(self.difference, signed=True)
        places = decimals([(self.high - self.low) / 2], [self.difference])
        return with_interval(self.difference, self.low, self.high, places, signed=True)


@dataclass(frozen=True)
class AgainstBase:
    """A configuration against the base; `differences` has one entry an objective."""

    trial: Trial
    """Whose configuration it is."""
    base: Trial
    won_by_base: bool
    """Whether the base itself won: with two objectives, whether it is alone on the Pareto front.
    `trial` is then the best of the others."""
    base_on_front: bool
    """Whether the base is on the Pareto front, or, with one objective, the winner."""
    differences: tuple[Difference, ...]
    failed: int
    """Runs on fresh seeds that came to nothing."""
    base_failed: int
    family: int
    """How many intervals hold together."""
    running: bool
    """Whether fresh seeds are still to come."""

    @property
    def confirmed(self) -> bool:
        """Whether it is better than the base in every objective, by intervals over fresh seeds."""
        return not self.won_by_base and all(one.verdict == "better" for one in self.differences)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        return {
            "trial": self.trial.number,
            "base": self.base.number,
            "confirmed": self.confirmed,
            "won_by_base": self.won_by_base,
            "base_on_front": self.base_on_front,
            "failed": self.failed,
            "base_failed": self.base_failed,
            "family": self.family,
            "differences": [
                {
                    "metric": one.metric,
                    "goal": one.goal,
                    "value": one.value,
                    "base": one.base,
                    "difference": one.difference,
                    "low": one.low,
                    "high": one.high,
                    "seeds": one.seeds,
                    "verdict": one.verdict,
                }
                for one in self.differences
            ],
        }


def against_base(standings: Standings) -> AgainstBase | None:
    """The winner against the base configuration, or the best of the others where the base is first.

    With two objectives the first on the Pareto front stands for the winner. None for an ablation,
    and where there are not both, or no values that can be compared.
    """
    base = base_of(standings)
    if base is None or standings.sweep.is_ablation:
        return None
    others = (one.trial for one in standings.ranked if not _same(one.trial, base))
    first = next(others, None)
    return compared(standings, first, base) if first is not None else None


def front_against_base(standings: Standings) -> tuple[AgainstBase, ...]:
    """The configurations of the Pareto front that ran on fresh seeds, each against the base; where
    none did, or the base is alone there, what `against_base` gives."""
    base = base_of(standings)
    if base is None or standings.sweep.is_ablation:
        return ()
    front = configurations([one.trial for one in standings.winners], len(standings.winners))
    ran = [one for one in front if one.number in standings.replicates and not _same(one, base)]
    found = [compared(standings, trial, base) for trial in ran] or [against_base(standings)]
    return tuple(one for one in found if one is not None)


def confirmed_differences(standings: Standings) -> Mapping[int, Difference]:
    """The first objective of every configuration that ran on fresh seeds, by number of its trial,
    less that of the base on the same seeds; none where the base was not run on any."""
    base = base_of(standings)
    if base is None or standings.sweep.is_ablation:
        return {}
    ran = (one.trial for one in standings.order if one.trial.number in standings.replicates)
    found = {
        trial.number: _difference(standings, 0, trial, base) for trial in ran if trial is not base
    }
    return {number: one for number, one in found.items() if one is not None and one.seeds}


def base_of(standings: Standings) -> Trial | None:
    """The base configuration's trial; None where it has no final value, or by another protocol."""
    base = standings.base
    return base if base is not None and base.number in standings.scores else None


def compared(standings: Standings, trial: Trial, base: Trial) -> AgainstBase | None:
    """A configuration of the search against the base, whatever its place."""
    found = [_difference(standings, index, trial, base) for index in range(len(standings.goals))]
    differences = tuple(one for one in found if one is not None)
    if not differences:
        return None
    race = standings.race
    first = [_same(one.trial, base) for one in standings.winners]
    return AgainstBase(
        trial=trial,
        base=base,
        won_by_base=all(first),
        base_on_front=any(first),
        differences=differences,
        failed=_failed(standings, trial),
        base_failed=_failed(standings, base),
        family=_family(standings, base),
        running=race is not None and not race.over,
    )


def _same(trial: Trial, base: Trial) -> bool:
    """Whether it is the base configuration too, on whatever seed."""
    return apart_from_seed(trial.config) == apart_from_seed(base.config)


def _difference(standings: Standings, index: int, trial: Trial, base: Trial) -> Difference | None:
    metric, goal = standings.metrics[index], standings.goals[index]
    mine, theirs = (_on_seeds(standings, one, index) for one in (trial, base))
    pairs = [
        (value, theirs[seed])
        for seed, value in mine.items()
        if value is not None and theirs.get(seed) is not None
    ]
    if not pairs:
        own, reference = (_in_the_search(standings, one, index) for one in (trial, base))
        if own is None or reference is None:
            return None
        return Difference(metric, goal, own, reference, 0)
    import numpy as np  # SciPy too: a listing of sweeps without fresh seeds waits for neither

    values = np.array(pairs, dtype=np.float64)
    means = values.mean(axis=0)
    low = high = None
    if len(pairs) > 1:
        from sweeper.ablation.intervals import mean_interval

        level = 1 - (1 - LEVEL) / _family(standings, base)
        ends = mean_interval(values[:, 0] - values[:, 1], level=level)
        low, high = float(ends.low), float(ends.high)
    return Difference(metric, goal, float(means[0]), float(means[1]), len(pairs), low, high)


def _family(standings: Standings, base: Trial) -> int:
    """How many intervals have to hold together: one an objective of each that is compared."""
    ran = standings.replicates.keys() - {base.number}
    return len(standings.goals) * max(1, len(ran))


def _on_seeds(standings: Standings, trial: Trial, index: int) -> Mapping[int, float | None]:
    runs = (one for one in standings.trials if one.role == "replicate" and one.of == trial.number)
    return runs_by_seed(filter(standings.comparable, runs), index)


def _in_the_search(standings: Standings, trial: Trial, index: int) -> float | None:
    """Its own value; its configuration's mean where the search draws seeds too."""
    seeds = standings.on_seeds.get(trial.number)
    return seeds.mean if seeds is not None else final(trial, index)


def _failed(standings: Standings, trial: Trial) -> int:
    values = standings.replicates.get(trial.number, {}).values()
    return sum(value is None for value in values)
