"""Who leads: the trials of a search in order, or the cells of an ablation over their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import typer

from sweeper.ablation.blame import to_blame
from sweeper.cli.printing import number, print_table, settings, spread

if TYPE_CHECKING:
    from sweeper.sweepfile.model import Sweep
    from sweeper.trial import Trial


def ranked(sweep: Sweep, records: Sequence[Trial]) -> list[Trial]:
    """Completed trials of the search, best first by the first objective."""
    sign = 1 if sweep.objective[0].goal == "minimize" else -1
    done = [r for r in records if r.objective is not None and r.role != "replicate"]
    return sorted(done, key=lambda r: (sign * r.objective[0], r.number))  # type: ignore[index]


def placed(sweep: Sweep, records: Sequence[Trial]) -> list[Trial]:
    """Completed trials of the search, those first that were confirmed on fresh seeds, in the order
    of that race: the luckiest trial of a search is not its best configuration."""
    if not on_fresh_seeds(records):
        return ranked(sweep, records)
    from sweeper.search.confirming import race

    order = {int(name): place for place, name in enumerate(race(records, sweep).ranking)}
    return sorted(ranked(sweep, records), key=lambda one: order.get(one.number, len(order)))


def on_fresh_seeds(records: Sequence[Trial]) -> dict[int, list[float]]:
    """Trial → values of its completed replicates, by the first objective."""
    found: dict[int, list[float]] = {}
    for one in records:
        if one.role == "replicate" and one.of is not None and one.objective is not None:
            found.setdefault(one.of, []).append(one.objective[0])
    return found


@dataclass(frozen=True)
class CellStanding:
    """One cell of an ablation: its runs' values by objective, and how many runs failed."""

    cell: str
    values: tuple[tuple[float, ...], ...]
    failed: int

    @property
    def mean(self) -> float:
        """Of the first objective."""
        return fmean(self.values[0])

    def as_dict(self, sweep: Sweep) -> dict[str, Any]:
        """For programs."""
        found = {o.metric: list(v) for o, v in zip(sweep.objective, self.values, strict=True)}
        return {"cell": self.cell, "mean": self.mean, "failed": self.failed, "values": found}


def cell_standings(sweep: Sweep, records: Sequence[Trial]) -> list[CellStanding]:
    """The cells of an ablation with a completed run, best mean of the first objective first."""
    runs: dict[str, list[Trial]] = {}
    for record in records:
        if record.cell is not None:
            runs.setdefault(record.cell, []).append(record)
    found = []
    for cell, its in runs.items():
        done = [record.objective for record in its if record.objective is not None]
        if done:
            failed = sum(to_blame(record.state, record.symptom) for record in its)
            found.append(CellStanding(cell, tuple(zip(*done, strict=True)), failed))
    sign = 1 if sweep.objective[0].goal == "minimize" else -1
    return sorted(found, key=lambda one: (sign * one.mean, one.cell))


def print_leaderboard(sweep: Sweep, records: Sequence[Trial], count: int) -> None:
    """A table of the best `count` trials with what they were searched over, or of an ablation's
    best cells with mean and standard deviation over their seeds."""
    if sweep.is_ablation:
        _print_cells(sweep, cell_standings(sweep, records)[:count])
        return
    best = placed(sweep, records)[:count]
    if not best:
        typer.echo("no trial has completed yet")
        return
    paths = [parameter.path for parameter in sweep.parameters]
    titles = ["#", "trial", *(objective.metric for objective in sweep.objective)]
    fresh = on_fresh_seeds(records)
    titles += ["on fresh seeds"] if fresh else []
    rows = []
    for place, record in enumerate(best, 1):
        assert record.objective is not None
        values = {path: record.values[path] for path in paths if path in record.values}
        row = [place, record.name, *map(number, record.objective)]
        row += [spread(fresh.get(record.number, []))] if fresh else []
        rows.append((*row, settings(values)))
    print_table((*titles, "configuration"), rows)


def _print_cells(sweep: Sweep, best: Sequence[CellStanding]) -> None:
    if not best:
        typer.echo("no run has completed yet")
        return
    failed = any(one.failed for one in best)
    titles = ["#", *(objective.metric for objective in sweep.objective)]
    rows = [
        (
            place,
            *map(spread, one.values),
            *([one.failed] if failed else []),
            one.cell,
        )
        for place, one in enumerate(best, 1)
    ]
    print_table((*titles, *(["failed"] if failed else []), "cell"), rows)
