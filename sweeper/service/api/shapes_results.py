"""What a sweep has shown, as the API tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from sweeper.service.api.shape import Number, Numbers, Plain, Shape

if TYPE_CHECKING:  # clients read these shapes, too, and no study
    from sweeper.ablation.search_statistics import Importance
    from sweeper.service.readings import Reading
    from sweeper.standings import Standing, Standings
    from sweeper.standings.cells import CellStanding
    from sweeper.standings.stops import Stop
    from sweeper.standings.values import OverSeeds


class SizesShape(Shape):
    """Bytes of a sweep's files, all of them and those of its trials by what they are."""

    total: int
    checkpoints: int
    generators: int
    samples: int


class BucketShape(SizesShape):
    """What a sweep's trials have published."""

    address: str
    files: int
    counted: float | None
    """When that was counted, unix seconds; null where it could not be yet."""
    took: float
    """Seconds that counting took."""
    trouble: str
    """Why it is not newer, where it should be."""


class DiskShape(SizesShape):
    """What a sweep takes on the server's disk."""

    whole: bool
    """False where there is more: the files are too many to count within a moment."""
    bucket: BucketShape | None = None
    """What it takes in the bucket that its trials publish in."""


class SeedsShape(Shape):
    """Values of one configuration on several seeds."""

    values: Numbers
    mean: Number
    deviation: Number
    failed: int
    """Runs that came to nothing through the configuration's own fault."""

    @classmethod
    def of(cls, seeds: OverSeeds | None) -> Self | None:
        """Those of a standing; None where there are none."""
        return None if seeds is None else cls.model_validate(seeds)


class StandingShape(Shape):
    """A trial in its place."""

    rank: int | None
    number: int
    name: str
    state: str
    value: Number
    """What its place rests on: a mean over seeds where there is one."""
    own_value: Number
    """The first objective of its own run, which it may owe to luck."""
    objective: Numbers
    confirmed: SeedsShape | None
    """On fresh seeds; null where it was not run on any."""
    searched: SeedsShape | None
    """On the seeds that the search drew; null where that was one."""
    values: Plain

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """That of a standing."""
        trial = standing.trial
        return cls(
            rank=standing.rank,
            number=trial.number,
            name=trial.name,
            state=trial.state,
            value=standing.value,
            own_value=standing.own_value,
            objective=list(trial.objective or ()),
            confirmed=SeedsShape.of(standing.confirmed),
            searched=SeedsShape.of(standing.searched),
            values=trial.values,
        )


class CellShape(Shape):
    """A cell of an ablation in its place."""

    rank: int
    cell: str
    mean: Number
    failed: int
    values: dict[str, Numbers]
    """Of each objective, one a seed."""

    @classmethod
    def of(cls, rank: int, cell: CellStanding, standings: Standings) -> Self:
        """That of a cell."""
        named = zip(standings.metrics, cell.values, strict=True)
        return cls(
            rank=rank,
            cell=cell.cell,
            mean=cell.over_seeds.mean,
            failed=cell.failed,
            values={name: list(values) for name, values in named} if cell.values else {},
        )


class StopShape(Shape):
    """All trials that ended early for one cause."""

    symptom: str | None
    trials: int
    steps: int
    """Steps that they did not train."""
    saves: bool
    """Whether training those would have been waste."""

    @classmethod
    def seen(cls, stop: Stop) -> Self:
        """All trials of one cause, as the standings have them."""
        return cls(symptom=stop.cause, trials=stop.trials, steps=stop.steps, saves=stop.saves)


class StandingsShape(Shape):
    """Who leads a sweep, and what came of it so far."""

    version: str
    """Changes whenever there may be more to see."""
    over: int
    """Trials before any confirmation that are over."""
    budget: int | None
    """How many there will be; null while that is not known."""
    counts: dict[str, int]
    """Trials by state, replicates included."""
    metrics: list[str]
    goals: list[str]
    protocol: dict[str, str]
    """How it is measured."""
    best: StandingShape | None
    verdict: str
    """Whether the winner beats the base configuration, in words."""
    against_base: Plain | None
    """The same in numbers, with intervals over fresh seeds."""
    order: list[StandingShape]
    """Trials of a search, best first, as many as were asked for."""
    cells: list[CellShape]
    """Cells of an ablation, best first."""
    stops: list[StopShape]
    steps_saved: int
    steps_planned: int
    forecast: Plain
    """What it still takes, learnt from its own trials: seconds, GPU hours, CPU hours, each with the
    ends between which it lies nine times in ten; `words` says it in a line."""
    given_up: dict[str, str]
    """Trials that could no longer win on fresh seeds, and why."""
    measured_otherwise: str
    """Which trials were measured by another protocol, in words; empty where none was."""
    foreign: list[Plain]
    """What other people have put into the study; it decides nothing."""

    @classmethod
    def of(cls, reading: Reading, limit: int) -> Self:
        """Those of a reading, with the first `limit` trials."""
        from sweeper.standings.against_base import against_base
        from sweeper.standings.forecast import forecast_of
        from sweeper.standings.otherwise import measured_otherwise
        from sweeper.standings.progress import progress_of
        from sweeper.standings.verdict import verdict_in_words

        standings = reading.standings
        progress, compared = progress_of(standings), against_base(standings)
        forecast = forecast_of(standings)
        lost = standings.race.given_up if standings.replicates and standings.race else ()
        ablation = standings.sweep.is_ablation
        return cls(
            version=reading.version,
            over=progress.over,
            budget=progress.budget,
            counts=dict(standings.counts),
            metrics=list(standings.metrics),
            goals=list(standings.goals),
            protocol=dict(standings.protocol),
            best=StandingShape.of(standings.best) if standings.best else None,
            verdict=verdict_in_words(standings),
            against_base=compared.as_dict() if compared else None,
            order=[] if ablation else [StandingShape.of(one) for one in standings.order[:limit]],
            cells=[CellShape.of(rank, c, standings) for rank, c in enumerate(standings.cells, 1)],
            stops=[StopShape.seen(stop) for stop in standings.stops],
            steps_saved=standings.steps_saved,
            steps_planned=standings.steps_planned,
            forecast={**forecast.as_dict(), "words": forecast.in_words()},
            given_up={candidate.key: candidate.reason for candidate in lost},
            measured_otherwise=measured_otherwise(standings),
            foreign=[vars(entry) for entry in reading.foreign],
        )


class ImportanceShape(Shape):
    """How much one parameter matters."""

    path: str
    share: Number
    low: Number
    high: Number
    """A 95% bootstrap interval over trials."""
    luck: Number
    """The share that the first of all would reach where none mattered."""


class ImportancesShape(Shape):
    """How much each searched parameter matters for the first objective."""

    method: str
    importances: list[ImportanceShape]
    """The largest share first."""
    reason: str
    """Why there are none; empty where there are."""

    @classmethod
    def of(cls, method: str, found: Mapping[str, Importance], reason: str) -> Self:
        """Those that were worked out."""
        ordered = sorted(found.items(), key=lambda pair: -pair[1].share)
        shown = [ImportanceShape(path=path, **vars(one)) for path, one in ordered]
        return cls(method=method, importances=shown, reason=reason)


class FiguresShape(Shape):
    """Figures of the last report."""

    figures: list[str]
    """Names of files: `…/figures/{figure}`."""
