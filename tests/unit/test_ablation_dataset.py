"""The columnar copy of a sweep, and the study read from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeper.ablation.comparison import best_set, compare
from sweeper.ablation.dataset import (
    DatasetError,
    family,
    finished,
    label_cells,
    protocol_key,
    read_dataset,
    rows_of,
    trial_table,
    write_dataset,
)
from sweeper.ablation.design import Cell, Factor, missing
from sweeper.ablation.designs.leave_one_out import leave_one_out
from sweeper.ablation.matrix import outcomes_from_table
from sweeper.ablation.tables import TableRefused, build_table
from sweeper.trial import Evaluation, Trial

PROTOCOL = {"extractor": "digits", "fake_count": 1024}


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "state": "completed",
        "role": "search",
        "values": {"optimizer.lr": 1e-3, "tricks.ema": True, "seed": number},
        "config": {"seed": number, "tricks": {"ema": {"decay": 0.99}, "r1": False}},
        "objective": (10.0 + number,),
        "protocol": PROTOCOL,
        "steps": 1500,
        "started": 100.0,
        "ended": 160.0,
        **more,
    }


def test_a_row_holds_what_the_trial_was_and_gave() -> None:
    row = trial_table(
        [record(3, metrics={"250": {"fid": 30.0}, "1000": {"fid": 13.0}})]
    ).to_pylist()
    expected = {
        "number": 3, "seed": 3, "objective": 13.0, "final_step": 1500, "seconds": 60.0,
        "param.optimizer.lr": 1e-3, "param.tricks.ema": True, "trick.ema": True,
        "trick.r1": False, "metric.fid": 13.0, "protocol.extractor": "digits",
    }  # fmt: skip
    assert expected.items() <= row[0].items()
    assert row[0]["protocol"] == protocol_key(PROTOCOL)
    assert "param.seed" not in row[0]


def test_a_night_in_which_nobody_drove_the_sweep_is_no_cost_of_a_run() -> None:
    night = 12 * 3600.0
    marks = [
        ((25, 15.0), (50, 30.0), (75, night + 45.0), (100, night + 60.0)),
        ((50, 30.0), (100, night + 60.0)),
        ((100, night + 60.0),),
    ]
    trials = [
        Trial(
            number,
            "completed",
            objective=(9.0,),
            started=0.0,
            ended=night + 60.0,
            attempts=2,
            evaluations=tuple(Evaluation(step, time, {"fid": 9.0}) for step, time in evaluated),
        )
        for number, evaluated in enumerate(marks)
    ]
    rows = trial_table(rows_of(trials, "fid", "minimize", {}, {})).to_pylist()
    assert [row["seconds"] for row in rows] == [60.0, 60.0, None]


def test_a_half_trained_value_is_never_an_objective() -> None:
    table = trial_table([record(0, state="pruned"), record(1, state="failed")])
    assert table["objective"].null_count == 2


def test_the_configuration_is_the_key_of_the_cell_with_the_same_settings() -> None:
    key = Cell("any", {"tricks.ema": True, "optimizer.lr": 1e-3}).key
    assert trial_table([record(0), record(1)])["configuration"].to_pylist() == [key, key]


def test_a_design_finds_its_own_runs_by_their_settings_and_asks_for_the_rest() -> None:
    design = leave_one_out([Factor("tricks.ema"), Factor("tricks.r1")])
    rows = [
        record(n, values={**cell.settings, "seed": 0}, config={}, state=state)
        for n, (cell, state) in enumerate(
            zip(design.cells, ("completed", "failed", "running"), strict=True)
        )
    ]
    table = label_cells(trial_table(rows), design.cells)
    assert table["cell"].to_pylist() == ["full", "without ema", "without r1"]
    asked = [(cell.label, seed) for cell, seed in missing(design.cells, [0, 1], finished(table))]
    assert asked == [("without r1", 0), ("full", 1), ("without ema", 1), ("without r1", 1)]


def test_columns_take_the_type_of_their_values_and_mixed_ones_are_text() -> None:
    values: list[list[Any]] = [
        [1, 2.5, None],
        [1, 2, None],
        [True, None, False],
        ["a", 1, [2]],
        [2**70, 1, None],
    ]
    rows = [
        record(n, values={f"p{i}": column[n] for i, column in enumerate(values)}) for n in range(3)
    ]
    table = trial_table(rows)
    types = [table.schema.field(f"param.p{i}").type for i in range(5)]
    assert types == [pa.float64(), pa.int64(), pa.bool_(), pa.string(), pa.string()]
    assert table["param.p3"].to_pylist() == ["a", "1", "[2]"]


def test_a_dataset_survives_the_disk_and_other_files_are_refused(tmp_path: Path) -> None:
    table = trial_table([record(n) for n in range(5)])
    path = tmp_path / "trials.parquet"
    write_dataset(table, path)
    assert read_dataset(path).equals(table)
    assert [entry.name for entry in tmp_path.iterdir()] == ["trials.parquet"]
    with pytest.raises(DatasetError, match="no such file"):
        read_dataset(tmp_path / "absent.parquet")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DatasetError, match="not a Parquet file"):
        read_dataset(tmp_path / "text")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DatasetError, match="not a dataset"):
        read_dataset(tmp_path / "other.parquet")


def test_a_sweep_without_trials_is_an_empty_table() -> None:
    table = trial_table([])
    assert len(table) == 0
    assert family(table, "param") == {}
    assert outcomes_from_table(table, "minimize").cells == ()


def test_a_number_twice_is_refused() -> None:
    with pytest.raises(DatasetError, match="trial 4 appears twice"):
        trial_table([record(4), record(4)])


def test_cells_become_rows_and_failures_pruned_and_unfinished_are_told_apart() -> None:
    rows = [
        record(0, cell="full", seed=0),
        record(1, cell="full", seed=1, state="failed", symptom="mode_collapse"),
        record(2, cell="without ema", seed=0, state="pruned"),
        record(3, cell="without ema", seed=1, objective=(float("nan"),)),
        record(4, cell="full", seed=2, state="running"),
        record(5, seed=9),
    ]
    outcomes = outcomes_from_table(trial_table(rows), "minimize")
    assert outcomes.cells == ("full", "without ema")
    assert outcomes.seeds == (0, 1, 2)
    assert outcomes.values[0, 0] == 10.0
    assert np.isnan(outcomes.values).sum() == 5
    assert outcomes.symptoms == ({"mode_collapse": 1}, {"not_finite": 1})
    assert outcomes.pruned.tolist() == [0, 1]
    assert outcomes.unfinished.tolist() == [1, 0]


def test_a_run_stopped_for_its_health_is_a_failure_and_one_lost_with_its_worker_is_none() -> None:
    rows = [
        record(0, cell="a", seed=0),
        record(1, cell="a", seed=1, state="pruned", symptom="mode_collapse"),
        record(2, cell="a", seed=2, state="pruned", symptom="scheduler"),
        record(3, cell="a", seed=3, state="failed", symptom="worker_died"),
        record(4, cell="a", seed=4, state="failed", symptom="worker_died"),
        record(5, cell="a", seed=5, state="failed", symptom="out_of_memory"),
        record(6, cell="a", seed=0, state="failed", symptom="worker_died"),
    ]
    outcomes = outcomes_from_table(trial_table(rows), "minimize")
    assert outcomes.failed.tolist() == [[False, True, False, False, False, True]]
    assert outcomes.symptoms == ({"mode_collapse": 1, "out_of_memory": 1},)
    assert outcomes.pruned.tolist() == [1]
    assert outcomes.lost.tolist() == [2]  # that of seed 0 was made good
    made = build_table(trial_table(rows), columns=["cell", "failed"])
    assert made.columns[1].texts == ["2 of 3: mode_collapse 1, out_of_memory 1"]
    assert "2 runs lost with their worker: left out" in made.notes


def test_a_cell_without_a_value_says_why() -> None:
    ends = {
        "failed": ("pruned", "mode_collapse"),
        "stopped": ("pruned", "scheduler"),
        "lost": ("failed", "worker_died"),
        "no value yet": ("running", None),
    }
    rows = [
        record(n, cell=words, seed=0, state=state, symptom=symptom)
        for n, (words, (state, symptom)) in enumerate(ends.items())
    ]
    made = build_table(trial_table(rows), columns=["cell", "value"])
    assert list(made.columns[1].texts) == list(ends)


def test_a_retried_run_that_completed_is_no_failure_and_the_first_value_stands() -> None:
    rows = [
        record(0, cell="a", seed=0, state="failed", symptom="worker_died"),
        record(1, cell="a", seed=0, objective=(5.0,)),
        record(2, cell="a", seed=0, objective=(6.0,)),
    ]
    outcomes = outcomes_from_table(trial_table(rows), "minimize")
    assert outcomes.values[0, 0] == 5.0
    assert outcomes.symptoms == ({},)
    assert outcomes.repeated == 1


def test_the_lucky_value_of_the_search_never_enters_a_confirmation() -> None:
    rows = [record(n, objective=(float(n),)) for n in range(3)]
    rows += [
        record(3 + n, role="replicate", of=1, seed=100 + n, objective=(7.0 + n,)) for n in range(2)
    ]
    outcomes = outcomes_from_table(trial_table(rows), "minimize")
    assert outcomes.cells == ("trial 00001",)
    assert outcomes.values.tolist() == [[7.0, 8.0]]
    trials = outcomes_from_table(trial_table(rows), "minimize", kind="trials")
    assert trials.cells == ("trial 00000",)
    assert trials.seeds == (0, 1, 2, 100, 101)


def test_a_large_search_with_a_seed_for_every_trial_stays_small() -> None:
    rows = [
        {"number": n, "state": "completed", "values": {"lr": float(n // 2)}, "seed": n,
         "objective": float(n)}
        for n in range(10_000)
    ]  # fmt: skip
    outcomes = outcomes_from_table(trial_table(rows), "minimize")
    assert not outcomes.paired
    assert outcomes.values.shape == (5_000, 2)
    assert outcomes.values[1].tolist() == [2.0, 3.0]
    assert outcomes.repeated == 0
    found = best_set(outcomes)
    assert found.best == 0
    assert found.tested.sum() == 1
    with pytest.raises(ValueError, match="share no seeds"):
        compare(outcomes, "trial 00000")


def test_runs_without_seeds_all_count_and_are_not_compared() -> None:
    """Runs that something else logged, with nothing by which to pair them."""
    rows = [
        {"number": n, "state": "completed", "cell": "ab"[n % 2], "objective": float(n)}
        for n in range(6)
    ]
    data = trial_table(rows)
    outcomes = outcomes_from_table(data, "minimize")
    assert outcomes.values.tolist() == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    assert (outcomes.repeated, outcomes.paired, outcomes.seeds) == (0, False, ())
    made = build_table(data)
    assert made.columns[1].texts == ["2.0 ± 2.0 (3)", "3.0 ± 2.0 (3)"]
    assert "mean ± standard deviation (number of runs). Bold: best." in made.caption
    with pytest.raises(TableRefused, match="a seed by which to pair"):
        build_table(data, reference="a")


def test_a_run_without_a_seed_is_not_taken_for_one_with_seed_0() -> None:
    rows = [
        {"number": n, "state": "completed", "cell": "ab"[n % 2], "objective": float(n)}
        for n in range(6)
    ]
    for row in rows[::2]:
        row["seed"] = row["number"] // 2
    outcomes = outcomes_from_table(trial_table(rows), "minimize")
    assert outcomes.values.tolist() == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    assert (outcomes.repeated, outcomes.paired) == (0, False)
    with pytest.raises(TableRefused, match="not every run has a seed"):
        build_table(trial_table(rows), reference="a")
    for row in rows[1::2]:  # one that has not ended says nothing of how the others pair
        row["state"], row["objective"] = "running", None
    assert outcomes_from_table(trial_table(rows), "minimize").paired


def test_a_cell_of_too_few_seeds_costs_no_other_one_its_interval() -> None:
    rows = [
        {"number": 10 * k + n, "state": "completed", "cell": cell, "seed": n, "objective": k + n**2}
        for k, cell in enumerate("abc")
        for n in range(3 if cell == "c" else 6)
    ]
    found = compare(outcomes_from_table(trial_table(rows), "minimize"), "a", interval="studentised")
    assert found.interval == ("", "studentised", "")
    assert np.isfinite(found.low[1])
    assert np.isnan(found.low[2])
    assert np.isfinite(found.p[2])
