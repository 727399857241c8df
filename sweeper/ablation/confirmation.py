"""Which configuration still deserves another replicate: racing on paired seeds.

The rule. Replicates go round by round: every configuration still in the race runs the same next
seed. The first `screen` rounds are asked for at once, since nothing is decided in them; after that
there is one at a time. From the last of the first ones on, a configuration is given up when some
other one is better by a one-sided paired t test at level α / ((k−1) L), with k configurations and L
looks (rounds at which a decision is taken). A failed replicate counts as the worst value that those
in the race have had.

The error rate. The truly best configuration meets at most k−1 opponents at each of L looks, and in
each meeting loses with probability of at most α / ((k−1) L) when differences are normal; so it is
given up with probability of at most α (Bonferroni). docs/statistics.md gives the measured rate,
under skewed noise too, and how many replicates the rule saves.

Decisions are replayed from the first round on with the replicates that each round had, so the
outcome depends on values only: not on the order in which they arrived, nor on a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sweeper.ablation.numerics import without_rounding

if TYPE_CHECKING:
    from sweeper.ablation.effects import Goal

Array = npt.NDArray[np.float64]

SCREEN = 3
"""Rounds up to the first decision; a t test on two differences gives up almost nothing."""


@dataclass(frozen=True)
class GivenUp:
    """A configuration that can no longer win, when that was seen, and against which one."""

    key: str
    round: int
    beaten_by: str
    p: float
    level: float

    @property
    def reason(self) -> str:
        return (
            f"worse than {self.beaten_by} after {self.round} seeds "
            f"(one-sided paired t, p = {self.p:.2g} < {self.level:.2g})"
        )


@dataclass(frozen=True)
class Confirmation:
    """The state of a race."""

    needed: tuple[tuple[str, int], ...]
    """(configuration, seed) pairs to run now; empty when the race is over."""
    racing: tuple[str, ...]
    given_up: tuple[GivenUp, ...]
    ranking: tuple[str, ...]
    """Best first: those still racing by mean over the completed rounds, then those given up, the
    last to go first."""
    rounds: int
    """Rounds that every racing configuration has finished."""
    alpha: float

    @property
    def over(self) -> bool:
        return not self.needed


def confirm(
    outcomes: Mapping[str, Mapping[int, float | None]],
    seeds: Sequence[int],
    goal: Goal = "minimize",
    *,
    alpha: float = 0.05,
    screen: int = SCREEN,
    adaptive: bool = True,
    kept: str | None = None,
) -> Confirmation:
    """Where the race stands, given what has been run.

    `outcomes` maps every configuration, in the order of the search's ranking, to its finished
    replicates: seed → final value, or None for a failure. `seeds` are the seeds of the rounds, in
    order. No contender is given up before `screen` of them, which are two or more, and none at all
    with `adaptive` off. `kept` gets every round, also when it cannot win: what the others are
    measured against. The call is pure; call it again after each replicate, or after each round.
    """
    keys = list(outcomes)
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed is listed twice")
    racing, given_up, rounds = keys, list[GivenUp](), 0
    for count in range(1, len(seeds) + 1):
        if any(seeds[count - 1] not in outcomes[key] for key in racing):
            break
        rounds = count
        # A decision after the last round would save nothing.
        if adaptive and screen <= count < len(seeds):
            level = look_level(alpha, len(keys), len(seeds), screen)
            lost = _losers(outcomes, racing, seeds[:count], level, goal)
            lost = [candidate for candidate in lost if candidate.key != kept]
            given_up += lost
            gone = {candidate.key for candidate in lost}
            racing = [key for key in racing if key not in gone]
    # Up to the next decision while there is a race to decide; the rest at once when there is none.
    until = max(rounds + 1, screen) if adaptive and len(racing) > 1 else len(seeds)
    ahead = seeds[rounds:until]
    needed = tuple((key, seed) for seed in ahead for key in racing if seed not in outcomes[key])
    values = _penalised(outcomes, racing, seeds[:rounds], goal)
    means = values.mean(axis=1) if rounds else np.arange(len(racing), dtype=np.float64)
    best_first = np.argsort(means if goal == "minimize" or not rounds else -means, kind="stable")
    return Confirmation(
        needed=needed,
        racing=tuple(racing),
        given_up=tuple(given_up),
        ranking=(
            *(racing[index] for index in best_first),
            *(candidate.key for candidate in reversed(given_up)),
        ),
        rounds=rounds,
        alpha=alpha,
    )


def look_level(alpha: float, configurations: int, replicates: int, screen: int = SCREEN) -> float:
    """α / ((k−1) L): the level of one meeting at one look."""
    looks = max(1, replicates - screen)
    return alpha / (max(1, configurations - 1) * looks)


def _losers(
    outcomes: Mapping[str, Mapping[int, float | None]],
    racing: Sequence[str],
    seeds: Sequence[int],
    level: float,
    goal: Goal,
) -> list[GivenUp]:
    """Those that some other racing configuration beats at this look."""
    from scipy import special  # a third of a second, which a listing without a race does not wait

    if len(racing) < 2:
        return []
    values = _penalised(outcomes, racing, seeds, goal)
    cost = values if goal == "minimize" else -values
    n = cost.shape[1]
    worse = without_rounding(cost[:, None, :] - cost[None, :, :], cost)
    mean, spread = worse.mean(axis=2), worse.std(axis=2, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where((mean == 0) & (spread == 0), 0.0, mean / spread * np.sqrt(n))
    p = special.stdtr(n - 1, -t)
    np.fill_diagonal(p, 1.0)
    rival = p.argmin(axis=1)
    return [
        GivenUp(racing[i], n, racing[rival[i]], float(p[i, rival[i]]), level)
        for i in range(len(racing))
        if p[i, rival[i]] < level
    ]


def _penalised(
    outcomes: Mapping[str, Mapping[int, float | None]],
    racing: Sequence[str],
    seeds: Sequence[int],
    goal: Goal,
) -> Array:
    """(racing, seeds) values; a failure takes the worst value that a racing one has on them."""
    finite = [value for key in racing for s in seeds if (value := outcomes[key][s]) is not None]
    worst = (max(finite) if goal == "minimize" else min(finite)) if finite else 0.0
    rows = [
        [worst if (value := outcomes[key][seed]) is None else value for seed in seeds]
        for key in racing
    ]
    return np.array(rows, dtype=np.float64).reshape(len(racing), len(seeds))
