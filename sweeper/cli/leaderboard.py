"""Who leads, in a terminal: the trials of a search in order, or the cells of an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweeper.cli.printing import number, print_table, say, settings, spread
from sweeper.wording import plural

if TYPE_CHECKING:
    from sweeper.standings import Standing, Standings
    from sweeper.standings.cells import CellStanding


def print_leaderboard(standings: Standings, count: int) -> None:
    """A table of the best `count` trials with what they were searched over, or of an ablation's
    best cells with mean and standard deviation over their seeds."""
    if standings.sweep.is_ablation:
        _print_cells(standings, ranked_cells(standings)[:count])
    else:
        _print_trials(standings, standings.ranked[:count])


def ranked_cells(standings: Standings) -> list[CellStanding]:
    """The cells of an ablation with a completed run, best first."""
    return [cell for cell in standings.cells if cell.values]


def best_in_words(standings: Standings) -> str:
    """The winner, its value and how it compares with the base configuration; empty before any.

    `fid 13.1 ± 0.4 (5) on fresh seeds, 12.2 in the search, by trial 00007 (−2.1 [−3.0, −1.2]
    against the base)`; of two objectives `fid 13.1 by trial 00007, the first of 4 trials on the
    Pareto front`; of an ablation its best cell.
    """
    best, metric = standings.best, standings.metrics[0]
    if best is None:
        return ""
    if standings.sweep.is_ablation:
        cell = standings.cells[0]
        return f"{metric} {spread(cell.values[0])}, {cell.cell}"
    shown = number(best.value)
    if best.confirmed is not None and best.confirmed.values:
        fresh, lucky = spread(best.confirmed.values), number(best.own_value)
        shown = f"{fresh} on fresh seeds, {lucky} in the search,"
    elif best.searched is not None:
        shown = f"{spread(best.searched.values)} over its seeds, {number(best.own_value)}"
    place = _against_base if len(standings.goals) == 1 else _on_the_front
    return f"{metric} {shown} by trial {best.trial.name}{place(standings)}"


def _on_the_front(standings: Standings) -> str:
    """With two objectives the first is no winner, and what it gains is told by both elsewhere."""
    from sweeper.standings.against_base import against_base

    found, winners = against_base(standings), [one.trial for one in standings.winners]
    if (found is not None and found.won_by_base) or winners == [standings.base]:
        return ", the base configuration, alone on the Pareto front"
    if len(winners) == 1:
        return ", alone on the Pareto front"
    shared = found is not None and found.base_on_front
    base = " (the base configuration is one of them)" if shared else ""
    return f", the first of {plural(len(winners), 'trial')} on the Pareto front{base}"


def _against_base(standings: Standings) -> str:
    from sweeper.standings.against_base import against_base  # NumPy, for which no `--help` waits

    found = against_base(standings)
    if found is None or found.won_by_base:
        return ", the base configuration" if found else ""
    first = found.differences[0]
    if first.seeds:
        return f" ({first.shown} against the base)"
    if standings.replicates or not first.base:
        return ""  # the luck of the search says nothing beside a mean on fresh seeds
    change = 100 * first.difference / abs(first.base)
    return f" (base {number(first.base)}, {change:+.0f}% in the search)"


def cell_as_dict(standings: Standings, cell: CellStanding) -> dict[str, Any]:
    """A cell for programs."""
    values = {name: list(v) for name, v in zip(standings.metrics, cell.values, strict=True)}
    mean = cell.over_seeds.mean
    return {"cell": cell.cell, "mean": mean, "failed": cell.failed, "values": values}


def _print_trials(standings: Standings, best: Sequence[Standing]) -> None:
    if not best:
        say("no trial has completed yet")
        return
    paths = [parameter.path for parameter in standings.sweep.parameters]
    confirmed = bool(standings.replicates)
    searched = any(standing.searched is not None for standing in best)
    titles = ["#", "trial", *standings.metrics]
    titles += ["over its seeds"] if searched else []
    titles += ["on fresh seeds"] if confirmed else []
    rows = []
    for standing in best:
        trial = standing.trial
        values = {path: trial.values[path] for path in paths if path in trial.values}
        row = [standing.rank, trial.name, *map(number, trial.objective or ())]
        if searched:
            row.append(spread(standing.searched.values if standing.searched else ()))
        if confirmed:
            row.append(spread(standing.confirmed.values if standing.confirmed else ()))
        rows.append((*row, settings(values)))
    print_table((*titles, "configuration"), rows)


def _print_cells(standings: Standings, best: Sequence[CellStanding]) -> None:
    if not best:
        say("no run has completed yet")
        return
    failed = any(cell.failed for cell in best)
    titles = ["#", *standings.metrics, *(["failed"] if failed else []), "cell"]
    rows = [
        (place, *map(spread, cell.values), *([cell.failed] if failed else []), cell.cell)
        for place, cell in enumerate(best, 1)
    ]
    print_table(titles, rows)
