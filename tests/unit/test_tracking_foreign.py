"""Reading what something else logged in MLflow: wrong mappings and stores, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import TrackingError, UserError
from sweeper.tracking import foreign
from sweeper.tracking.foreign import Meanings, foreign_records, read_mapping
from sweeper.tracking.runs import find_runs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "objective: metrics.fid\nobjective: metrics.kid\n",
            "map.yaml:2: objective: is given",
        ),
        ("objective: metrics.fid\ngoal: mini\nseeed: params.s\n", "map.yaml:3: seeed: there is no"),
        ("objective: fid\n", "map.yaml:1: objective: 'fid' is not a place in a run"),
        (
            "parameters: {lr: lr}\nobjective: metrics.fid\n",
            "map.yaml:1: parameters: 'lr' is no",
        ),
        ("objective: !!python/name:os.system x\n", "the tag"),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: &a {b: *a}\nobjective: metrics.fid\n", "an anchor contains itself"),
        ("x" * 200_000, "longer than"),
        ("", "expected a mapping"),
        ("- 1\n", "expected a mapping"),
    ],
)
def test_a_mapping_is_read_as_strictly_as_a_sweep_file(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_mapping(file)
    assert said in str(caught.value)


def test_a_mapping_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_bytes(b"\xff\xfe")
    for file in (tmp_path / "map.yaml", tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=str(file)):
            read_mapping(file)


def _run(**params: str) -> dict[str, Any]:
    return {
        "run_id": "r1", "parent": None, "status": "FINISHED", "metrics": {"fid": 3.0},
        "params": params, "tags": {}, "started": 1.0, "ended": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize("seed", ["hinge", "1.5", "nan", "1e400"])
def test_a_seed_that_is_no_whole_number_is_named_with_its_run(
    monkeypatch: pytest.MonkeyPatch, seed: str
) -> None:
    monkeypatch.setattr(foreign, "find_runs", lambda uri, experiment: [_run(s=seed)])
    meanings = Meanings(objective="metrics.fid", seed="params.s")
    with pytest.raises(UserError, match=rf"seed: params\.s of run r1 is '{seed}'"):
        foreign_records("sqlite:///x.db", "theirs", meanings)
    monkeypatch.setattr(foreign, "find_runs", lambda uri, experiment: [_run(s="3.0")])
    assert foreign_records("sqlite:///x.db", "theirs", meanings)[0]["seed"] == 3


def test_a_misspelt_experiment_is_answered_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(foreign, "find_runs", lambda uri, experiment: [])
    monkeypatch.setattr(foreign, "experiment_names", lambda uri: ["Default", "quickstart"])
    with pytest.raises(UserError, match="did you mean 'quickstart'"):
        foreign_records("sqlite:///x.db", "quickstrat", Meanings(objective="metrics.fid"))


def test_reading_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="there is no"):
        find_runs(f"sqlite:///{tmp_path}/nothing/mlflow.db", "x")
    assert list(tmp_path.iterdir()) == []
