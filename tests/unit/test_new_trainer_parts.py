"""A new part of the trainer is one class in one file, and no other line changes anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import numpy as np
import pytest

from sweeper.api import with_absolute_paths
from sweeper.sweepfile.schema import sweep_schema
from trials.config import load_config, measures, problems_of, shapes_weights
from trials.data import DataSource, check_data
from trials.data.content import Content, in_memory
from trials.data.faults import require_file
from trials.data.source import DataPath
from trials.fields import Role
from trials.part import knob, temporary_parts
from trials.trainer import Training

SMALL = {"steps": 2, "batch_size": 4, "evaluation": {"every": 2, "samples": 16, "batch": 8}}


@pytest.fixture(autouse=True)
def _forgotten_afterwards() -> Iterator[None]:
    with temporary_parts():
        yield


def complaint(mapping: dict[str, Any]) -> str:
    """The one thing that is wrong with a configuration."""
    (problem,) = problems_of(mapping)
    return str(problem)


def fits(base: dict[str, Any]) -> bool:
    """Whether an editor with the sweep file's schema accepts a base."""
    sweep = {"name": "s", "base": base, "parameters": {"seed": {"values": [1]}}}
    return jsonschema.Draft202012Validator(sweep_schema()).is_valid(sweep)


def train(mapping: dict[str, Any], folder: Path) -> Training:
    """Two steps and an evaluation."""
    training = Training(load_config(mapping), folder)
    assert training.advance().step == 2
    assert training.finished
    return training


class _Table(DataSource):
    """Points in a text file: a new kind of file, with a path of its own."""

    items = "point"

    class Config(DataSource.Config):
        table: DataPath = knob(..., "the file, a point a line")
        scale: float = knob(1.0, "what every number is multiplied by", gt=0)

    @property
    def labelled(self) -> bool:
        return False

    def item_shape(self) -> tuple[int, ...]:
        return (2,)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (lambda: require_file(self.config.table, "table", "a text file"),)

    def content(self, cache: Path | None) -> Content:
        points = np.loadtxt(self.config.table, dtype=np.float32, ndmin=2)
        return in_memory(self.config.scale * points, None, holdout=self.config.holdout)


def test_a_data_source(tmp_path: Path) -> None:
    class Table(_Table):
        key = "table"
        summary = "points in a text file"

    file = tmp_path / "points.txt"
    np.savetxt(file, np.random.default_rng(0).normal(size=(64, 2)))
    base = {"data": {"name": "table", "table": str(file)}, **SMALL}
    assert problems_of(base) == []
    assert train(base, tmp_path / "run").dataset.shape == (2,)
    assert fits(base)
    assert not fits({"data": {"name": "table", "table": str(file), "scale": 0}})
    assert not fits({"data": "table"}), "a file has to be named"
    assert "did you mean 'table'" in complaint({"data": {"name": "tabel"}})
    assert "data.sclae: there is no such setting" in complaint(
        {"data": {"name": "table", "table": str(file), "sclae": 2}}
    )
    (problem,) = check_data(load_config({"data": {"name": "table", "table": "no"}}).data)
    assert problem.path == "data.table"


def test_a_data_source_s_files_are_found_from_a_worker_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Table(_Table):
        key = "table"

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    np.savetxt("points.txt", np.random.default_rng(0).normal(size=(64, 2)))
    base = {"data": {"name": "table", "table": "points.txt"}, **SMALL}
    told = with_absolute_paths(base)
    assert told == {**base, "data": {**base["data"], "table": str(Path("points.txt").absolute())}}
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path / "worker")
    assert train(told, tmp_path / "run").finished


def test_a_data_source_s_knob_that_touches_the_training_alone_can_be_searched() -> None:
    class Table(_Table):
        key = "table"

        class Config(_Table.Config):
            jitter: Annotated[float, Role.TRAINS_ONLY] = knob(0.0, "noise on training points")

    assert not measures("data.jitter")
    assert measures("data.table")
    assert shapes_weights("data.jitter")
