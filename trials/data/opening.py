"""The two things that are done with a source of data: look at it, open it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import torch
from pydantic import ValidationError

from trials.by_name import ByName
from trials.data.dataset import Dataset
from trials.data.faults import SettingError
from trials.data.source import DataSource
from trials.errors import ConfigError, DataError
from trials.problems import Problem
from trials.settings import Settings
from trials.validation import problems_from

AnyData = Annotated[Any, ByName(DataSource)]
"""The settings of any source. A bare name stands for that source with its defaults."""


class _Alone(Settings):
    """Data that are given by themselves."""

    data: AnyData


def read_data(given: Mapping[str, Any]) -> DataSource.Config:
    """The settings of a source of data that are given without a training around them.

    Raises:
        ConfigError: with everything that is wrong with them.
    """
    try:
        config: DataSource.Config = _Alone.model_validate({"data": dict(given)}).data
    except ValidationError as error:
        raise ConfigError(problems_from(error, _Alone)) from error
    return config


def check_data(config: DataSource.Config) -> list[Problem]:
    """What is wrong with the data, as far as a cheap look can tell: nothing is decoded."""
    problems: dict[Problem, None] = {}
    for inspect in config.part(config).inspections():
        try:
            inspect()
        except SettingError as fault:
            problems |= dict.fromkeys(fault.problems)
        except OSError as error:
            problems[Problem("data.path", f"cannot be read: {error}")] = None
    return list(problems)


def check_given(given: Any) -> list[Problem]:
    """What is wrong with the data of settings that may be wrong themselves.

    As far as the right ones let one look: a path that leads nowhere is told beside a size that is
    missing. What is wrong with the settings is not told here.
    """
    settings: Mapping[str, Any] = given if isinstance(given, Mapping) else {"name": given}
    source = DataSource.all().get(str(settings.get("name")))
    if source is None:
        return []
    knobs = {name: value for name, value in settings.items() if name != "name"}
    wrong: set[str] = set()
    try:
        config = source.Config.model_validate(knobs)
    except ValidationError as error:
        wrong = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        stand_ins = {name: _some_choice(source, name) for name in wrong}
        right = {name: value for name, value in knobs.items() if name not in wrong}
        try:
            config = source.Config.model_validate(
                right | {name: value for name, value in stand_ins.items() if value is not None}
            )
        except ValidationError:
            return []
    return [problem for problem in check_data(config) if problem.path.split(".")[1] not in wrong]


def _some_choice(source: type[DataSource], knob: str) -> Any:
    """A value that a required knob of few choices may have; None for any other."""
    field = source.Config.model_fields.get(knob)
    return next(iter(get_args(field.annotation)), None) if field and field.is_required() else None


def reference_of(
    config: DataSource.Config, dataset: Dataset, reference: str, cache: Path | None
) -> Dataset:
    """What generated items are measured against: the data that are trained on, or, where
    `reference` is `test`, their test split.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    if reference == "train":
        return dataset
    apart = config.part(config).test_split()
    if apart is None:
        raise DataError(f"data ({config.name}): have no test split to measure against")
    return open_data(apart, cache=cache)


def has_test_split(source: DataSource) -> bool:
    """Whether there are test images that belong to these data, as far as a cheap look can tell."""
    try:
        return source.test_split() is not None
    except (DataError, OSError):
        return False


def lenient(config: DataSource.Config) -> DataSource.Config:
    """The same data, however many of their pictures are corrupt: to look at them, not to train."""
    return config.model_copy(update={"max_corrupt": 1.0} if hasattr(config, "max_corrupt") else {})


def cheap_warnings(config: DataSource.Config) -> list[str]:
    """What a cheap look finds that is allowed and should be known; nothing where the look fails."""
    try:
        return list(config.part(config).warnings())
    except (DataError, OSError):
        return []  # check_data says why


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
        intake=content.intake,
        modes=tensor(content.modes),
        mode_std=content.mode_std,
        flip=source.flips,
    )
