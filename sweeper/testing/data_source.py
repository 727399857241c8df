"""What every source of data promises: it yields what it declares, always the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sweeper.testing.promises import promise, require
from sweeper.testing.small import SMALL, trained
from trials.data.content import Content
from trials.data.source import DataSource
from trials.presets import merge


@promise("data source")
def yields_what_it_declares(source: type[DataSource], folder: Path) -> None:
    """Shape, type and labels of the content are those that are known before it is read."""
    opened, content = _opened(source, folder, seed=0)
    shape = opened.item_shape()
    require(len(content.items) > 1, "has fewer than two items in its example")
    require(content.items.shape[1:] == shape, f"declares {shape}, yields {content.items.shape[1:]}")
    kind, wanted = content.items.dtype, np.uint8 if source.items == "image" else np.float32
    says = f'says `items = "{source.items}"`'
    require(len(shape) == (3 if source.items == "image" else 1), f"{says}, and declares {shape}")
    require(kind == wanted, f"{says}, which are {np.dtype(wanted)}, and yields {kind}")
    require(
        (content.labels is not None) == opened.labelled,
        "`labelled` says otherwise than its content",
    )
    if content.labels is not None:
        require(len(content.labels) == len(content.items), "has not one label an item")
        require(content.labels.min() >= 0, "a label is negative")
    require((content.modes is not None) == source.known_modes, "`known_modes` is not so")


@promise("data source")
def finds_nothing_wrong_with_its_example(source: type[DataSource], folder: Path) -> None:
    """The cheap looks that `validate` takes raise nothing where all is there."""
    opened = source(source.Config.model_validate(source.example(folder, 0)))
    for inspect in opened.inspections():
        inspect()


@promise("data source")
def yields_the_same_every_time(source: type[DataSource], folder: Path) -> None:
    """Read again, the items are the same bit for bit; other content has another fingerprint."""
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    opened, first = _opened(source, folder / "a", seed=0)
    second = opened.content(None)
    require(np.array_equal(first.items, second.items), "the items are others when read again")
    require(first.fingerprint == second.fingerprint, "its fingerprint is another when read again")
    _, other = _opened(source, folder / "b", seed=1)
    require(first.fingerprint != other.fingerprint, "other content has the same fingerprint")


@promise("data source")
def keeps_a_share_out(source: type[DataSource], folder: Path) -> None:
    """With `holdout` the items are split, none lost, the same way every time."""
    given = source.example(folder, 0)
    whole = source(source.Config.model_validate(given)).content(None)
    split = source(source.Config.model_validate({**given, "holdout": 0.3})).content(None)
    require(split.held_out is not None, "keeps nothing out")
    assert split.held_out is not None
    count = len(split.items) + len(split.held_out)
    require(count == len(whole.items), f"{len(whole.items)} items became {count}")


@promise("data source")
def can_be_trained_on(source: type[DataSource], folder: Path) -> None:
    """A small training takes two steps on it."""
    (folder / "files").mkdir()
    data = {"name": source.key, **source.example(folder / "files", 0)}
    images = source.items == "image"
    extractor = {"extractor": "digits" if images else "identity"}  # needs no download
    mapping = merge(SMALL, {"evaluation": extractor}) | {"data": data}
    if not images:
        mapping["networks"] = {}
    training = trained(mapping, folder / "trained", 2)
    require(training.step == 2, "the training did not get as far as its second step")


def _opened(source: type[DataSource], folder: Path, seed: int) -> tuple[Any, Content]:
    opened = source(source.Config.model_validate(source.example(folder, seed)))
    return opened, opened.content(None)
