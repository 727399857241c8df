"""The two things that are done with a source of data: look at it, open it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch

from trials.by_name import ByName
from trials.data.dataset import Dataset
from trials.data.faults import SettingError
from trials.data.source import DataSource
from trials.errors import DataError
from trials.problems import Problem

AnyData = Annotated[Any, ByName(DataSource)]
"""The settings of any source. A bare name stands for that source with its defaults."""


def check_data(config: DataSource.Config) -> list[Problem]:
    """What is wrong with the data, as far as a cheap look can tell: nothing is decoded."""
    problems: dict[Problem, None] = {}
    for inspect in config.part(config).inspections():
        try:
            inspect()
        except SettingError as fault:
            problems[fault.problem] = None
        except OSError as error:
            problems[Problem("data.path", f"cannot be read: {error}")] = None
    return list(problems)


def open_data(config: DataSource.Config, *, cache: Path | None = None) -> Dataset:
    """The data of `config`, decoded images mapped from `cache`.

    Raises:
        DataError: the data are missing, empty, damaged or of the wrong size; the message says
            what is wrong, where, and what was expected.
    """
    source = config.part(config)
    try:
        content = source.content(cache)
    except OSError as error:
        raise DataError(f"data ({config.name}): {error}") from error
    found, declared = tuple(content.items.shape[1:]), source.item_shape()
    if found != declared:
        raise DataError(f"data ({config.name}): yields items of {found}, and declares {declared}")

    def tensor(array: Any) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array)

    return Dataset(
        name=config.name,
        fingerprint=content.fingerprint,
        images=torch.from_numpy(content.items),
        labels=tensor(content.labels),
        held_out=tensor(content.held_out),
        class_names=content.class_names,
        skipped=content.skipped,
        modes=tensor(content.modes),
        mode_std=content.mode_std,
        flip=source.flips,
    )
