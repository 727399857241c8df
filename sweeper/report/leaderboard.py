"""The leaderboard as a table: every trial, replicates included, with everything searched.

rank                place among completed trials; empty for replicates and for what has no score
trial, role, state, of
objective, objective_2      final values, of completed trials only
searched_mean, searched_n
                    where seeds are searched: the configuration on all of its own in the search
best                best value on the way
confirmed_mean, confirmed_sd, confirmed_n, confirmed_failed
                    the same configuration on fresh seeds: a mean without the luck of the search
against_base, against_base_low, against_base_high
                    their mean difference from the base on the same seeds, with its interval
steps, symptom, seconds, seed
then one column a searched parameter, named by its dotted path; `param.PATH` where the name is one
of those above
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from sweeper.standings import Standings
from sweeper.standings.against_base import confirmed_differences
from sweeper.standings.values import OverSeeds, seed_of
from sweeper.trial import Trial
from sweeper.wording import in_spreadsheet

_NO_SEEDS = OverSeeds()


def leaderboard(standings: Standings) -> pa.Table:
    """The table, best first, then the runs that only repeat one of these on another seed."""
    rows: list[tuple[Trial, int | None, OverSeeds | None]] = [
        (standing.trial, standing.rank, standing.confirmed) for standing in standings.order
    ]
    placed = {trial.number for trial, _, _ in rows}
    rows += [(trial, None, None) for trial in standings.trials if trial.number not in placed]
    trials = [trial for trial, _, _ in rows]
    confirmed = [score or _NO_SEEDS for _, _, score in rows]
    is_confirmed = [score is not None for _, _, score in rows]
    columns = {
        "rank": pa.array([rank for _, rank, _ in rows], pa.int64()),
        "trial": pa.array([trial.number for trial in trials], pa.int64()),
        "role": pa.array([trial.role for trial in trials], pa.string()),
        "state": pa.array([trial.state for trial in trials], pa.string()),
        "of": pa.array([trial.of for trial in trials], pa.int64()),
    }
    for index in range(len(standings.goals)):
        name = "objective" if index == 0 else f"objective_{index + 1}"
        columns[name] = pa.array([standings.final(trial, index) for trial in trials], pa.float64())
    if standings.on_seeds:
        seeds = [standings.on_seeds.get(trial.number) or _NO_SEEDS for trial in trials]
        columns["searched_mean"] = pa.array([score.mean for score in seeds], pa.float64())
        columns["searched_n"] = pa.array([score.count or None for score in seeds], pa.int64())
    columns |= {
        "best": pa.array([standings.best_on_the_way(trial) for trial in trials], pa.float64()),
        "confirmed_mean": pa.array([score.mean for score in confirmed], pa.float64()),
        "confirmed_sd": pa.array([score.deviation for score in confirmed], pa.float64()),
        "confirmed_n": _where(is_confirmed, [score.count for score in confirmed]),
        "confirmed_failed": _where(is_confirmed, [score.failed for score in confirmed]),
        **_against_base(standings, trials),
        "steps": pa.array([trial.steps for trial in trials], pa.int64()),
        "symptom": pa.array([trial.cause for trial in trials], pa.string()),
        "seconds": pa.array([trial.seconds for trial in trials], pa.float64()),
        "seed": pa.array([seed_of(trial) for trial in trials], pa.int64()),
    }
    own = {
        f"param.{path}" if path in columns else path: column(
            [trial.values.get(path) for trial in trials]
        )
        for path in searched(standings)
        if path != "seed"  # has its column above
    }
    return pa.table(columns | own)


def _against_base(standings: Standings, trials: Sequence[Trial]) -> dict[str, pa.Array]:
    found = confirmed_differences(standings)
    rows = [found.get(trial.number) for trial in trials]
    return {
        "against_base": pa.array([row and row.difference for row in rows], pa.float64()),
        "against_base_low": pa.array([row and row.low for row in rows], pa.float64()),
        "against_base_high": pa.array([row and row.high for row in rows], pa.float64()),
    }


def searched(standings: Standings) -> list[str]:
    """Every searched parameter, in the sweep's order, then any other that a trial has."""
    paths = dict.fromkeys(parameter.path for parameter in standings.sweep.parameters)
    for trial in standings.trials:
        paths |= dict.fromkeys(path for path in trial.values if path not in paths)
    return list(paths)


def as_csv(table: pa.Table) -> bytes:
    """UTF-8 with a heading; nothing where a value is missing, and no formula for a spreadsheet."""
    columns = [
        pa.array(map(in_spreadsheet, values.to_pylist()), pa.string())
        if pa.types.is_string(values.type)
        else values
        for values in table.columns
    ]
    table = pa.table(columns, names=[in_spreadsheet(name) for name in table.column_names])
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(quoting_style="needed"))
    return buffer.getvalue()


def column(values: Sequence[Any]) -> pa.Array:
    """The narrowest of bool, int, float and string that holds every value; else JSON text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool} or kinds == {str} or not kinds:
        return pa.array(values, pa.bool_() if bool in kinds else pa.string())
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        floats = [None if value is None else float(value) for value in values]
        return pa.array(floats, pa.float64())
    return pa.array(list(_texts(values)), pa.string())


def _texts(values: Iterable[Any]) -> Iterable[str | None]:
    for value in values:
        if value is None or isinstance(value, str):
            yield value
        else:
            yield json.dumps(value, sort_keys=True, default=str)


def _where(shown: Sequence[bool], counts: Sequence[int]) -> pa.Array:
    given = [count if there else None for there, count in zip(shown, counts, strict=True)]
    return pa.array(given, pa.int64())
