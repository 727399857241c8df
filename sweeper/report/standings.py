"""What the report says, worked out once from the records: ranks, confirmation, stops.

Ranking, one objective: configurations that were confirmed on fresh seeds stand first, in the order
of that race (`sweeper.ablation.racing`), then every other completed trial by its value in the
search. With two objectives the rank is the front a trial lies on, 1 being the Pareto front. Only
completed trials have a rank: what a stopped trial reached is no final score.

Values of different protocols are not compared. Trials measured otherwise than most are listed
without a rank. Whether raw or averaged weights were sampled is part of a configuration (the trick
`ema` decides it), not of the measure, and does not count as another protocol.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sweeper.ablation.confirmation import Confirmation, GivenUp, confirm
from sweeper.ablation.racing import race
from sweeper.ablation.search_statistics import NoiseShare, ToggleShare, noise_share, toggle_shares
from sweeper.causes import cause
from sweeper.sweepfile.domains import Toggle
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.seeding import replicate_seeds
from sweeper.trial import Trial

OWN_BUSINESS = frozenset({"weights"})
"""Fields of a protocol that belong to the configuration."""

ENOUGH_FOR_SHARES = 20
"""Scored trials below which a best tenth is one trial or two, and says nothing."""

OVERFLOWN = 1e30
"""No measure is that large: a finite number beyond it is a training that has exploded."""

STATES = ("completed", "pruned", "failed", "running", "waiting")


@dataclass(frozen=True)
class Confirmed:
    """A configuration's score on fresh seeds."""

    mean: float | None
    """None while every replicate has failed."""
    deviation: float | None
    """Sample standard deviation; None for a single value."""
    count: int
    failed: int
    given_up: GivenUp | None = None
    """Why it got no more replicates, if it could no longer win."""


@dataclass(frozen=True)
class Standing:
    """One trial of the search and its place."""

    trial: Trial
    rank: int | None
    confirmed: Confirmed | None = None
    comparable: bool = True
    """False for a completed trial that was measured by another protocol than most."""


@dataclass(frozen=True)
class Stop:
    """All trials that ended early for one cause. `steps` were budgeted and not trained."""

    symptom: str | None
    trials: int
    steps: int

    @property
    def saves(self) -> bool:
        return cause(self.symptom).saves


@dataclass(frozen=True)
class Standings:
    """A sweep's records with what follows from them. `records` are sorted by number."""

    sweep: Sweep
    records: tuple[Trial, ...]

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        return tuple(objective.metric for objective in self.sweep.objective)

    @cached_property
    def goals(self) -> tuple[str, ...]:
        return tuple(objective.goal for objective in self.sweep.objective)

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many trials there are by state, replicates included."""
        found = Counter[str](trial.state for trial in self.records)
        return {state: found[state] for state in STATES if found[state]}

    @cached_property
    def search(self) -> tuple[Trial, ...]:
        """The base configuration and the search's trials, without replicates."""
        return tuple(trial for trial in self.records if trial.role != "replicate")

    @cached_property
    def base(self) -> Trial | None:
        return next((trial for trial in self.records if trial.role == "base"), None)

    @cached_property
    def protocol(self) -> Mapping[str, str]:
        """The protocol of most completed trials of the search, of the earliest among equals."""
        done = [trial for trial in self.search if self.scored(trial)] or list(self.search)
        known = [trial.protocol for trial in done if trial.protocol]
        if not known:
            return {}
        common = Counter(_protocol_key(protocol) for protocol in known).most_common(1)[0][0]
        return next(protocol for protocol in known if _protocol_key(protocol) == common)

    @cached_property
    def weights(self) -> tuple[str, ...]:
        """Which weights of the generators were sampled: raw, averaged, or either."""
        found = {trial.protocol.get("weights") for trial in self.search if self.scored(trial)}
        return tuple(sorted(str(one) for one in found if one))

    def scored(self, trial: Trial) -> bool:
        """Whether it completed with a finite value for every objective."""
        return all(final(trial, index) is not None for index in range(len(self.goals)))

    def comparable(self, trial: Trial) -> bool:
        """Whether its values may stand beside those of most."""
        return not trial.protocol or _protocol_key(trial.protocol) == _protocol_key(self.protocol)

    @cached_property
    def finished(self) -> tuple[Trial, ...]:
        """Completed trials of the search with a finite value each objective, comparable ones."""
        return tuple(
            trial for trial in self.search if self.scored(trial) and self.comparable(trial)
        )

    @cached_property
    def scores(self) -> Mapping[int, float]:
        """First objective of each of them by number."""
        return {t.number: value for t in self.finished if (value := final(t)) is not None}

    @cached_property
    def replicates(self) -> Mapping[int, Mapping[int, float | None]]:
        """Of each confirmed trial: seed → value on it, None where that replicate failed.

        Of a cell of an ablation the first run counts too: nobody chose it for its luck.
        """
        found: dict[int, dict[int, float | None]] = {}
        for trial in self.records:
            of = trial.of if trial.role == "replicate" else None
            if of is None and trial.role != "replicate" and self.sweep.is_ablation:
                of = trial.number
            if of is not None and trial.state in _OVER:
                known = seed_of(trial)
                seed = trial.number if known is None else known
                found.setdefault(of, {})[seed] = final(trial)
        return found

    @cached_property
    def noise(self) -> NoiseShare | None:
        """How much of the spread between the search's trials is luck; None while nothing tells."""
        groups = [
            [value for value in values.values() if value is not None]
            for values in self.replicates.values()
        ]
        scores = list(self.scores.values())
        if not any(len(group) > 1 for group in groups) or len(set(scores)) < 2:
            return None
        return noise_share(scores, groups)

    @cached_property
    def shares(self) -> tuple[ToggleShare, ...]:
        """Which toggles the best tenth of the trials has in common; none for too few trials."""
        toggles = [p.path for p in self.sweep.parameters if isinstance(p.domain, Toggle)]
        trials = [trial for trial in self.search if trial.state in _OVER]
        if not toggles or len(self.scores) < ENOUGH_FOR_SHARES or self.sweep.is_ablation:
            return ()
        return toggle_shares(
            {path: [_on(trial.values.get(path)) for trial in trials] for path in toggles},
            [self.scores.get(trial.number) for trial in trials],
            "maximize" if self.goals[0] == "maximize" else "minimize",
        )

    @cached_property
    def order(self) -> tuple[Standing, ...]:
        """Every trial of the search, best first: ranked, then without a rank, then unfinished."""
        ranks = _fronts(self.finished, self.goals) if len(self.goals) > 1 else self._ranks()
        lost = {int(one.key): one for one in self.race.given_up} if self.race else {}
        confirmed = {
            number: _confirmed(values, lost.get(number))
            for number, values in self.replicates.items()
        }
        standings = [
            Standing(
                trial,
                ranks.get(trial.number),
                confirmed.get(trial.number),
                not self.scored(trial) or self.comparable(trial),
            )
            for trial in self.search
        ]
        return tuple(sorted(standings, key=self._place))

    @cached_property
    def winners(self) -> tuple[Standing, ...]:
        """The best trial; with two objectives the Pareto front."""
        return tuple(standing for standing in self.order if standing.rank == 1)

    @property
    def best(self) -> Standing | None:
        return self.winners[0] if self.winners else None

    @cached_property
    def stops(self) -> tuple[Stop, ...]:
        """Trials that ended early, by cause, the one that saved most first."""
        trials: Counter[str | None] = Counter()
        steps: Counter[str | None] = Counter()
        for trial in self.records:
            if trial.state in ("pruned", "failed"):
                trials[trial.symptom] += 1
                steps[trial.symptom] += max(self.planned(trial) - trial.steps, 0)
        stops = [Stop(symptom, count, steps[symptom]) for symptom, count in trials.items()]
        return tuple(sorted(stops, key=lambda s: (-s.steps, -s.trials, s.symptom or "")))

    @property
    def steps_saved(self) -> int:
        return sum(stop.steps for stop in self.stops if stop.saves)

    @property
    def steps_planned(self) -> int:
        """What all trials that are over would have trained without being stopped."""
        return sum(self.planned(trial) for trial in self.records if trial.state in _OVER)

    def planned(self, trial: Trial) -> int:
        """Steps the trial was to train: its config says so, else the longest trial seen."""
        steps = trial.config.get("steps", self.sweep.base.get("steps"))
        return steps if isinstance(steps, int) else self._longest

    @cached_property
    def _longest(self) -> int:
        return max((trial.steps for trial in self.records), default=0)

    def curve(self, trial: Trial, objective: int = 0) -> dict[int, float]:
        """Values of one objective by step, those that are numbers."""
        found = trial.curve(self.metrics[objective])
        return {step: value for step, value in found.items() if is_number(value)}

    def best_on_the_way(self, trial: Trial) -> float | None:
        """The best value of the first objective at any step; None without any."""
        return trial.best(self.metrics[0], self.goals[0])

    def _ranks(self) -> dict[int, int]:
        sign = _sign(self.goals[0])
        by_value = sorted(self.finished, key=lambda t: (sign * self.scores[t.number], t.number))
        outcomes = {
            str(trial.number): self.replicates[trial.number]
            for trial in by_value
            if trial.number in self.replicates
        }
        raced = [int(key) for key in self.race.ranking] if self.race is not None else []
        first = [number for number in raced if str(number) in outcomes]
        for number in first:
            del outcomes[str(number)]
        # Repeated without a race: cells of an ablation, or confirmed before the search went on.
        seeds = list(dict.fromkeys(seed for values in outcomes.values() for seed in values))
        goal: Any = self.goals[0]
        first += [int(key) for key in confirm(outcomes, seeds, goal, adaptive=False).ranking]
        placed = set(first)
        rest = [trial.number for trial in by_value if trial.number not in placed]
        return {number: place for place, number in enumerate([*first, *rest], 1)}

    @cached_property
    def race(self) -> Confirmation | None:
        """The race of the best on fresh seeds; None where the sweep confirms nothing."""
        top = self.sweep.seeds.confirm_top
        if not top or self.sweep.is_ablation:
            return None
        seeds, screen = replicate_seeds(self.sweep), self.sweep.seeds.screen
        return race(self.records, self.goals, top, seeds, screen=screen)

    def _place(self, standing: Standing) -> tuple[float, float, float, int]:
        trial = standing.trial
        sign = _sign(self.goals[0])
        if standing.rank is not None:
            within = 0.0 if len(self.goals) == 1 else sign * self.scores[trial.number]
            return (0, standing.rank, within, trial.number)
        states = {"completed": 1, "pruned": 2, "running": 3, "waiting": 4, "failed": 5}
        best = self.best_on_the_way(trial)
        reached = sign * best if best is not None and is_number(best) else math.inf
        return (states.get(trial.state, 6), 0, reached, trial.number)


_OVER = ("completed", "pruned", "failed")


def standings_of(sweep: Sweep, records: Sequence[Trial]) -> Standings:
    """The standings of a sweep."""
    return Standings(sweep, tuple(sorted(records, key=lambda trial: trial.number)))


def seed_of(trial: Trial) -> int | None:
    """The seed that a trial trained with, where its values or config say so."""
    seed = trial.values.get("seed", trial.config.get("seed"))
    return seed if isinstance(seed, int) else None


def final(trial: Trial, index: int = 0) -> float | None:
    """A final value: of a completed trial, and a number; None where there is none."""
    values = trial.objective if trial.state == "completed" else None
    if not values or index >= len(values) or not is_number(values[index]):
        return None
    return values[index]


def is_number(value: float | None) -> bool:
    """Whether a measured value can be reckoned with: not NaN, and nowhere near overflow."""
    return value is not None and abs(value) < OVERFLOWN  # false for NaN


def _on(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _sign(goal: str) -> int:
    return -1 if goal == "maximize" else 1


def _protocol_key(protocol: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    fields = ((name, str(text)) for name, text in protocol.items() if name not in OWN_BUSINESS)
    return tuple(sorted(fields))


def _confirmed(values: Mapping[int, float | None], given_up: GivenUp | None) -> Confirmed:
    known = [value for value in values.values() if value is not None]
    return Confirmed(
        mean=statistics.fmean(known) if known else None,
        deviation=statistics.stdev(known) if len(known) > 1 else None,
        count=len(known),
        failed=len(values) - len(known),
        given_up=given_up,
    )


def _fronts(trials: Sequence[Trial], goals: Sequence[str]) -> dict[int, int]:
    """Non-dominated sorting on two objectives, in O(n log n): number → front, from 1.

    Taken in lexicographic order, a point is dominated by a front exactly when the smallest second
    value of that front is not above its own; these smallest values grow from front to front.
    """
    signs = [_sign(goal) for goal in goals]
    points = sorted(
        (tuple(sign * (final(t, i) or 0.0) for i, sign in enumerate(signs)), t.number)
        for t in trials
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
