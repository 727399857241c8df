"""A new part of the trainer is one class in one file, and no other line changes anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from sweeper.sweepfile.schema import sweep_schema
from trials.config import load_config, problems_of
from trials.data import DataSource, check_data
from trials.data.content import Content, in_memory
from trials.data.faults import require_file
from trials.data.source import DataPath
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
