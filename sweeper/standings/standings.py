"""A sweep's trials with what follows from them: every trial's place, the winner, how far it is.

With one objective, configurations that were confirmed on fresh seeds stand first, in the order of
that race (`confirming`), then every other completed trial by its value in the search. With two, the
rank is the front a trial lies on, 1 being the Pareto front. The cells of an ablation stand in the
order of their means over seeds, and so do the configurations of a search that draws seeds too. Only
what completed has a rank: what a stopped trial reached is no final score. Trials measured by
another protocol than the sweep's are listed without one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from sweeper.protocols import Protocol, alike, measured_in, present
from sweeper.standings import confirming, ranking
from sweeper.standings.cells import CellStanding, cells_of, runs_by_seed
from sweeper.standings.stops import Stop, stops_of
from sweeper.standings.values import OverSeeds, final, is_number, sign
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial

if TYPE_CHECKING:
    from sweeper.ablation.confirmation import Confirmation
    from sweeper.ablation.effects import Goal
    from sweeper.ablation.search_statistics import NoiseShare, ToggleShare

STATES = ("completed", "pruned", "failed", "running", "waiting")


@dataclass(frozen=True)
class Standing:
    """One trial of the search, or one cell of an ablation, and its place."""

    trial: Trial
    """Of a cell the run that stands for it."""
    rank: int | None
    confirmed: OverSeeds | None = None
    """Its values on fresh seeds, or those of a cell on all of its; None where it ran on one."""
    searched: OverSeeds | None = None
    """Its configuration's values on the seeds that the search drew; None where that was one."""
    comparable: bool = True
    """False for a completed trial that was measured by another protocol than the sweep's."""

    @property
    def own_value(self) -> float | None:
        """The first objective of its own run: of a search, the value that it may owe to luck. None
        where it cannot be compared."""
        return final(self.trial) if self.comparable else None

    @property
    def value(self) -> float | None:
        """What its place rests on: the mean over seeds where there is one, else its own value."""
        means = (seeds.mean for seeds in (self.confirmed, self.searched) if seeds is not None)
        return next((mean for mean in means if mean is not None), self.own_value)


@dataclass(frozen=True)
class Standings:
    """A sweep's trials, sorted by number, with what follows from them.

    `planned` is how many trials the last driver knew there would be before any confirmation; None
    where none has said. `protocol` is that by which the sweep is measured.
    """

    sweep: Sweep
    trials: tuple[Trial, ...]
    planned: int | None = None
    protocol: Protocol = field(default_factory=dict)

    # The trials -----------------------------------------------------------------------------------

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """What is optimised, by name; the first decides."""
        return tuple(objective.metric for objective in self.sweep.objective)

    @cached_property
    def goals(self) -> tuple[Goal, ...]:
        """Which way is better by each of them."""
        return tuple(objective.goal for objective in self.sweep.objective)

    @property
    def goal(self) -> Goal:
        """Which way is better by the first objective."""
        return self.goals[0]

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many trials there are by state, replicates included."""
        counted: Counter[str] = Counter(trial.state for trial in self.trials)
        return {state: counted[state] for state in STATES if counted[state]}

    @cached_property
    def search(self) -> tuple[Trial, ...]:
        """The base configuration and the search's trials, without replicates."""
        return tuple(trial for trial in self.trials if trial.role != "replicate")

    @cached_property
    def base(self) -> Trial | None:
        """The trial of the base configuration, where the search began with it: one that may be
        compared, if there is any."""
        bases = [trial for trial in self.trials if trial.role == "base"]
        return next(filter(self.comparable, bases), bases[0] if bases else None)

    def scored(self, trial: Trial) -> bool:
        """Whether it completed with a finite value for every objective."""
        return all(final(trial, index) is not None for index in range(len(self.goals)))

    def comparable(self, trial: Trial) -> bool:
        """Whether what it ended with was measured by the sweep's protocol."""
        return alike(trial.protocol, self.protocol)

    def final(self, trial: Trial, index: int = 0) -> float | None:
        """The final value of an objective, where it may stand beside those of other trials."""
        return final(trial, index) if self.comparable(trial) else None

    @cached_property
    def measured_otherwise(self) -> tuple[Trial, ...]:
        """Trials that were measured by another protocol: they are in the record, and are compared
        with nothing."""
        return tuple(trial for trial in self.trials if not self.comparable(trial))

    @cached_property
    def finished(self) -> tuple[Trial, ...]:
        """Completed trials of the search with a finite value each objective, comparable ones."""
        return tuple(t for t in self.search if self.scored(t) and self.comparable(t))

    @cached_property
    def scores(self) -> Mapping[int, float]:
        """First objective of each of them by number."""
        return {t.number: value for t in self.finished if (value := final(t)) is not None}

    def curve(self, trial: Trial, objective: int = 0) -> dict[int, float]:
        """Values of one objective by step, those that are numbers."""
        curve = trial.curve(self.metrics[objective], self.protocol)
        return {step: value for step, value in curve.items() if is_number(value)}

    def best_on_the_way(self, trial: Trial) -> float | None:
        """The best value of the first objective at any step, of those that may be compared; None
        without any."""
        kept = self.reached.get(trial.number)
        if kept is None or kept[0] is not trial:
            best = trial.best(self.metrics[0], self.goal, self.protocol)
            kept = self.reached[trial.number] = trial, best
        return kept[1]

    @cached_property
    def reached(self) -> dict[int, tuple[Trial, float | None]]:
        """What `best_on_the_way` has found, and of which trial."""
        return {}

    # Who leads ------------------------------------------------------------------------------------

    @cached_property
    def by_search(self) -> tuple[Trial, ...]:
        """The finished trials from the best on, before any fresh seed has a say."""
        return tuple(ranking.by_search(self.finished, self.goals))

    @cached_property
    def as_searched(self) -> tuple[Trial, ...]:
        """The finished trials from the best configuration on, as the search alone ranks them: by
        their values, and where it draws seeds too by means over them."""
        if not self.on_seeds:
            return self.by_search
        finished = {trial.number: trial for trial in self.finished}
        return tuple(finished[number] for number in self.on_seeds)

    @cached_property
    def replicates(self) -> Mapping[int, Mapping[int, float | None]]:
        """Of each confirmed trial: seed → value on it, None where that replicate failed."""
        groups: dict[int, list[Trial]] = {}
        for trial in self.trials:
            of_a_search = trial.role == "replicate" and not self.sweep.is_ablation
            if of_a_search and trial.of is not None and self.comparable(trial):
                groups.setdefault(trial.of, []).append(trial)
        by_seed = {number: runs_by_seed(runs) for number, runs in groups.items()}
        return {number: values for number, values in by_seed.items() if values}

    @cached_property
    def race(self) -> Confirmation | None:
        """The race of the best on fresh seeds; None where the sweep confirms nothing."""
        return confirming.race(self)

    @cached_property
    def cells(self) -> tuple[CellStanding, ...]:
        """The cells of an ablation, best first; none of a search."""
        if not self.sweep.is_ablation:
            return ()
        return tuple(cells_of([t for t in self.trials if self.comparable(t)], self.goal))

    @cached_property
    def ranks(self) -> Mapping[int, int]:
        """The place of each trial that has one, by its number; of a cell, of its `trial`."""
        if self.sweep.is_ablation:
            places = enumerate(self.cells, 1)
            return {cell.trial.number: place for place, cell in places if cell.values}
        if len(self.goals) > 1:
            return ranking.pareto_fronts(self.finished, self.goals)
        first = confirming.by_fresh_seeds(self)
        placed = set(first)
        first += [trial.number for trial in self.as_searched if trial.number not in placed]
        return {number: place for place, number in enumerate(first, 1)}

    @cached_property
    def order(self) -> tuple[Standing, ...]:
        """Every trial of the search, best first: ranked, then without a rank, then unfinished. Of
        an ablation every cell."""
        if self.sweep.is_ablation:
            return tuple(
                Standing(cell.trial, self.ranks.get(cell.trial.number), cell.over_seeds)
                for cell in self.cells
            )
        others = (trial for trial in self.search if trial.number not in self.ranks)
        return (*self.ranked, *sorted(map(self._standing, others), key=partial(_place, self)))

    @cached_property
    def ranked(self) -> tuple[Standing, ...]:
        """The trials of a search that have a rank, best first."""
        placed = (trial for trial in self.finished if trial.number in self.ranks)
        return tuple(sorted(map(self._standing, placed), key=partial(_place, self)))

    @cached_property
    def on_seeds(self) -> Mapping[int, OverSeeds | None]:
        """`ranking.by_configuration` where the search draws seeds too; else empty."""
        return ranking.by_configuration(self) if self.sweep.searches_seeds else {}

    @cached_property
    def winners(self) -> tuple[Standing, ...]:
        """The best; with two objectives the Pareto front."""
        if self.sweep.is_ablation:
            return self.order[:1] if self.ranks else ()
        first = (trial for trial in self.by_search if self.ranks[trial.number] == 1)
        return tuple(map(self._standing, first))

    @property
    def best(self) -> Standing | None:
        """The winner; None before anything has completed."""
        return self.winners[0] if self.winners else None

    def may_change_the_lead(self, trial: Trial) -> bool:
        """Whether there may be another leader, or another base to compare it with, now that one
        more trial is over: with two objectives another front. For watchers of thousands of trials,
        of whom few change anything."""
        if self.best is None or self.replicates or self.on_seeds or trial.role != "search":
            return True
        return ranking.may_lead(trial, [one.trial for one in self.winners], self.goals)

    # What else they tell --------------------------------------------------------------------------

    @cached_property
    def noise(self) -> NoiseShare | None:
        """How much of the spread between the search's trials is luck; None while nothing tells."""
        from sweeper.standings.luck import noise_of  # imports SciPy, for which no listing waits

        return noise_of(self)

    @cached_property
    def shares(self) -> tuple[ToggleShare, ...]:
        """Which toggles the best tenth of the trials has in common; none for too few trials."""
        from sweeper.standings.luck import shares_of

        return shares_of(self)

    @cached_property
    def stops(self) -> tuple[Stop, ...]:
        """Trials that ended early, by cause, the one that saved most first."""
        return stops_of(self.trials, self.steps_of)

    @property
    def steps_saved(self) -> int:
        """Of the steps that were planned, those that would have been waste."""
        return sum(stop.steps for stop in self.stops if stop.saves)

    @property
    def steps_planned(self) -> int:
        """What all trials that are over would have trained without being stopped."""
        return sum(self.steps_of(trial) for trial in self.trials if trial.over)

    def steps_of(self, trial: Trial) -> int:
        """Steps the trial was meant to train."""
        given = self.sweep.base.get("steps") if trial.planned is None else trial.planned
        return given if isinstance(given, int) else self._usual_steps

    @cached_property
    def _usual_steps(self) -> int:
        """How long a training is whose file does not say: the trainer's default, and where the base
        is no configuration of the trainer's, the longest seen."""
        from trials.config import default_at  # imports torch, which hardly a sweep needs here
        from trials.errors import ConfigError

        try:
            return int(default_at(self.sweep.base, "steps"))
        except ConfigError:
            return max((trial.steps for trial in self.trials), default=0)

    # Places ---------------------------------------------------------------------------------------

    def _standing(self, trial: Trial) -> Standing:
        return Standing(
            trial,
            self.ranks.get(trial.number),
            _over_seeds(self, trial.number),
            self.on_seeds.get(trial.number),
            not self.scored(trial) or self.comparable(trial),
        )


def _over_seeds(standings: Standings, number: int) -> OverSeeds | None:
    """The values of a configuration on the fresh seeds that it was run on."""
    if number not in standings.replicates:
        return None
    values = standings.replicates[number].values()
    completed = tuple(value for value in values if value is not None)
    lost = standings.race.given_up if standings.race is not None else ()
    given_up = next((candidate for candidate in lost if int(candidate.key) == number), None)
    return OverSeeds(completed, len(values) - len(completed), given_up)


def _place(standings: Standings, standing: Standing) -> tuple[float, float, float, int]:
    """By which the trials of a search are put in order."""
    trial, first = standing.trial, sign(standings.goal)
    if standing.rank is not None:
        within = 0.0 if len(standings.goals) == 1 else first * standings.scores[trial.number]
        return (0, standing.rank, within, trial.number)
    states = {"completed": 1, "pruned": 2, "running": 3, "waiting": 4, "failed": 5}
    best = standings.best_on_the_way(trial)
    reached = first * best if best is not None and is_number(best) else math.inf
    return (states.get(trial.state, 6), 0, reached, trial.number)


def standings_of(
    sweep: Sweep,
    trials: Iterable[Trial],
    planned: int | None = None,
    protocol: Protocol | None = None,
) -> Standings:
    """The standings of a sweep, by default under the protocol of its first evaluation."""
    ordered = tuple(sorted(trials, key=lambda trial: trial.number))
    held = present(None, measured_in(ordered)) if protocol is None else protocol
    return Standings(sweep, ordered, planned, held)
