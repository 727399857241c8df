"""The trials of a sweep as one columnar table: what every table and figure is computed from.

One row a trial, in the order of their numbers:

    number, state, role, of, cell, configuration   which trial, and what it repeats
    seed, objective, best, final_step, seconds     what it gave; `objective` of completed ones only
    symptom, reason                                why it was pruned or failed
    protocol, protocol.FIELD                       how it was measured: short hash, and the fields
    comparable                                     whether by the protocol that its sweep has now
    took_over                                      whether it ever went on from another's weights
    rank                                           its place in the sweep's standings, if it has one
    param.PATH                                     one column a searched parameter, seed excepted
    trick.NAME                                     on or off in the full configuration
    metric.NAME                                    everything measured last

A second objective stands in `objective_2`. The same table is the Parquet file of `sweeper export`,
which also says what the objective is called and which way is better.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweeper.ablation.design import Cell, configuration_key
from sweeper.ablation.effects import Goal
from sweeper.errors import UserError
from sweeper.protocols import Protocol, alike
from sweeper.trial import Trial
from trials.files import atomic_write

FORMAT = b"1"
SEED = "seed"
COMPARABLE = "comparable"
TOOK_OVER = "took_over"

FIXED = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("role", pa.string()),
        pa.field("of", pa.int64()),
        pa.field("cell", pa.string()),
        pa.field("configuration", pa.string(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("objective", pa.float64()),
        pa.field("objective_2", pa.float64()),
        pa.field("best", pa.float64()),
        pa.field("final_step", pa.int64()),
        pa.field("seconds", pa.float64()),
        pa.field("symptom", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("protocol", pa.string()),
        pa.field("rank", pa.int64()),
        pa.field(COMPARABLE, pa.bool_()),
        pa.field(TOOK_OVER, pa.bool_()),
    ]
)


class DatasetError(UserError):
    """A file is not a dataset of trials, or records of trials lack what a dataset needs."""


def trial_table(records: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Table of trials from plain mappings, sorted by number.

    A record has `number` and `state`, and may have `role`, `of`, `cell` (label of the ablation
    cell), `values` (searched parameters by dotted path), `config` (the full trial config),
    `objective` (a number, or one a objective), `best`, `steps`, `started` and `ended` (or
    `seconds`), `symptom`, `reason`, `protocol` (mapping), `comparable` (yes by default),
    `took_over` (no by default), `rank`, `seed`, `tricks` (name → on) and `metrics` (name →
    value, or step → name → value, of which the last step counts). Where `seed` or `tricks` are not
    given they are read from `values` and `config`.
    """
    rows = sorted(records, key=lambda record: int(record["number"]))
    numbers = [int(row["number"]) for row in rows]
    if len(set(numbers)) < len(numbers):
        twice = next(a for a, b in itertools.pairwise(numbers) if a == b)
        raise DatasetError(f"trial {twice} appears twice")
    columns = {name: pa.array(values, FIXED.field(name).type) for name, values in _fixed(rows)}
    params = [_parameters(row) for row in rows]
    columns |= _family("param", params)
    columns |= _family("trick", [_tricks(row) for row in rows], absent=False)
    columns |= _family("metric", [_last_metrics(row) for row in rows])
    columns |= _family("protocol", [_text(row.get("protocol") or {}) for row in rows])
    return pa.table(columns).replace_schema_metadata({b"sweeper.dataset": FORMAT})


def rows_of(
    trials: Iterable[Trial],
    metric: str,
    goal: Goal,
    ranks: Mapping[int, int],
    protocol: Protocol,
) -> Iterator[dict[str, Any]]:
    """Trials of a sweep as `trial_table` takes them: `best` is the best value of `metric`, `ranks`
    are the places of those that have one, by number, and `protocol` is the sweep's."""
    for trial in trials:
        yield {
            # Not as_dict(): copies of ten thousand trials take three seconds.
            **vars(trial),
            "symptom": trial.cause,
            "steps": trial.steps,
            "seconds": trial.seconds,
            "best": trial.best(metric, goal),
            "rank": ranks.get(trial.number),
            "protocol": trial.protocol,
            COMPARABLE: alike(trial.protocol, protocol),
            TOOK_OVER: bool(trial.donors),
            "metrics": trial.evaluations[-1].metrics if trial.evaluations else {},
        }


def write_dataset(table: pa.Table, path: Path) -> None:
    """Replace the Parquet file at `path`; a reader sees the old file or the new, whole."""
    atomic_write(path, dataset_as_bytes(table))


def dataset_as_bytes(table: pa.Table) -> bytes:
    """What `write_dataset` writes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_dataset(path: Path) -> pa.Table:
    """The table written by `write_dataset`.

    Raises:
        DatasetError: it is any other file.
    """
    try:
        table = pq.read_table(path, memory_map=False)
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file") from error
    except pa.ArrowInvalid as error:
        raise DatasetError(f"{path}: not a Parquet file ({error})") from error
    version = (table.schema.metadata or {}).get(b"sweeper.dataset")
    if version != FORMAT:
        raise DatasetError(f"{path}: not a dataset of trials of format {FORMAT.decode()}")
    return table


def with_objective(table: pa.Table, metric: str, goal: Goal) -> pa.Table:
    """The table, saying what its `objective` is and whether lower or higher is better."""
    told = {b"sweeper.metric": metric.encode(), b"sweeper.goal": goal.encode()}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **told})


def objective_of(table: pa.Table) -> tuple[str, Goal]:
    """(name, goal) of the objective, as far as the table says; lower is better by default."""
    told = table.schema.metadata or {}
    goal = told.get(b"sweeper.goal", b"minimize").decode()
    return (
        told.get(b"sweeper.metric", b"objective").decode(),
        "maximize" if goal == "maximize" else "minimize",
    )


def label_cells(table: pa.Table, cells: Iterable[Cell]) -> pa.Table:
    """The table with `cell` filled in where a trial's configuration is that of one of `cells`.

    A trial of an ablation has the cell's settings, and its seed, as its searched parameters; so a
    design finds its own runs, whether or not their labels were written down.
    """
    labels = {cell.key: cell.label for cell in cells}
    filled = [
        labels.get(key, label)
        for key, label in zip(
            table["configuration"].to_pylist(), table["cell"].to_pylist(), strict=True
        )
    ]
    place = table.column_names.index("cell")
    return table.set_column(place, FIXED.field("cell"), pa.array(filled, pa.string()))


def finished(table: pa.Table) -> frozenset[tuple[str, int]]:
    """(configuration key, seed) of every trial that completed or failed: the `done` of a design."""
    return frozenset(
        (key, seed)
        for key, seed, state in zip(
            table["configuration"].to_pylist(),
            table["seed"].to_pylist(),
            table["state"].to_pylist(),
            strict=True,
        )
        if state in ("completed", "failed") and seed is not None
    )


def family(table: pa.Table, prefix: str) -> dict[str, str]:
    """{name: column} of the columns `prefix.NAME`, in their order."""
    start = f"{prefix}."
    return {name[len(start) :]: name for name in table.column_names if name.startswith(start)}


def protocol_key(fields: Mapping[str, Any]) -> str | None:
    """Short hash of a measurement protocol; None without one."""
    if not fields:
        return None
    text = json.dumps(_text(fields), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# Columns ----------------------------------------------------------------------------------------


def _fixed(rows: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, list[Any]]]:
    objectives = [_objectives(row) for row in rows]
    computed: dict[str, list[Any]] = {
        "configuration": [configuration_key(_parameters(row)) for row in rows],
        "seed": [_seed(row) for row in rows],
        "objective": [values[0] if values else None for values in objectives],
        "objective_2": [values[1] if len(values) > 1 else None for values in objectives],
        "final_step": [row.get("final_step", row.get("steps")) for row in rows],
        "seconds": [_seconds(row) for row in rows],
        "protocol": [protocol_key(row.get("protocol") or {}) for row in rows],
    }
    for name in FIXED.names:
        yield name, computed[name] if name in computed else [row.get(name) for row in rows]


def _objectives(row: Mapping[str, Any]) -> tuple[float, ...]:
    given = row.get("objective")
    if given is None or row["state"] != "completed":
        return ()
    return tuple(given) if isinstance(given, Sequence) else (float(given),)


def _parameters(row: Mapping[str, Any]) -> dict[str, Any]:
    values = row.get("values") or {}
    return {path: value for path, value in values.items() if path != SEED}


def _seed(row: Mapping[str, Any]) -> int | None:
    for source in (row, row.get("values") or {}, row.get("config") or {}):
        if source.get(SEED) is not None:
            return int(source[SEED])
    return None


def _seconds(row: Mapping[str, Any]) -> float | None:
    if "seconds" in row:
        return None if row["seconds"] is None else float(row["seconds"])
    started, ended = row.get("started"), row.get("ended")
    return None if started is None or ended is None else float(ended) - float(started)


def _tricks(row: Mapping[str, Any]) -> dict[str, bool]:
    given = row.get("tricks")
    if given is None:
        given = (row.get("config") or {}).get("tricks") or {}
    # In a config a trick that is on is `true` or a mapping of its knobs, which may be empty.
    return {name: knobs is not None and knobs is not False for name, knobs in given.items()}


def _last_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    given = row.get("metrics") or {}
    if given and all(isinstance(value, Mapping) for value in given.values()):
        # JSON turns the steps into strings; as numbers, 1000 comes after 250.
        given = given[max(given, key=int)]
    return {name: float(value) for name, value in given.items()}


def _text(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items()}


def _family(
    prefix: str, rows: Sequence[Mapping[str, Any]], absent: Any = None
) -> dict[str, pa.Array]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {f"{prefix}.{name}": array_of([row.get(name, absent) for row in rows]) for name in names}


def array_of(values: Sequence[Any]) -> pa.Array:
    """The narrowest of bool, int, float and string that holds every value; else JSON text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds != {int}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pa.array(values, pa.int64())
    if kinds in ({bool}, {str}):
        return pa.array(values, pa.bool_() if bool in kinds else pa.string())
    text = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    return pa.array(text, pa.string())
