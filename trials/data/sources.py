"""All sources of data, and the two things that are done with one: look at it, open it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import BeforeValidator, Field

from trials.data.cifar10 import Cifar10Config
from trials.data.config import DataConfig, ImageConfig
from trials.data.dataset import Dataset
from trials.data.digits import DigitsConfig
from trials.data.faults import SettingError
from trials.data.grid import GridConfig
from trials.data.idx import IdxConfig
from trials.data.image_folder import ImageFolderConfig
from trials.data.npz import NpzConfig
from trials.data.parquet import ParquetConfig
from trials.data.ring import RingConfig
from trials.errors import DataError
from trials.problems import Problem

Source = Annotated[
    DigitsConfig
    | RingConfig
    | GridConfig
    | ParquetConfig
    | ImageFolderConfig
    | NpzConfig
    | IdxConfig
    | Cifar10Config,
    Field(discriminator="name"),
]

SOURCES: dict[str, type[DataConfig]] = {
    source.model_fields["name"].default: source for source in get_args(get_args(Source)[0])
}


def _spelled_out(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


AnyData = Annotated[
    Source,
    BeforeValidator(
        _spelled_out, json_schema_input_type=Source | Literal["digits", "ring", "grid"]
    ),
]
"""The settings of any source. A bare name stands for that source with its defaults."""


def check_data(config: DataConfig) -> list[Problem]:
    """What is wrong with the data, as far as a cheap look can tell: nothing is decoded."""
    problems: dict[Problem, None] = {}
    for inspect in config.inspections():
        try:
            inspect()
        except SettingError as fault:
            problems[fault.problem] = None
        except OSError as error:
            problems[Problem("data.path", f"cannot be read: {error}")] = None
    return list(problems)


def open_data(config: DataConfig, *, cache: Path | None = None) -> Dataset:
    """The data of ``config``, decoded images mapped from ``cache``.

    Raises:
        DataError: the data are missing, empty, damaged or of the wrong size; the message says
            what is wrong, where, and what was expected.
    """
    try:
        content = config.content(cache)
    except OSError as error:
        raise DataError(f"data ({config.name}): {error}") from error

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
        flip=isinstance(config, ImageConfig) and config.flip,
    )
