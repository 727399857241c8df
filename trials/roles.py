"""What the settings of a training are to the service: which name files, which a running training
cannot change, and which say how it is measured. The fields themselves say so, see
`trials.fields`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trials import catalogue
from trials.config import TrialConfig
from trials.fields import Role, fields_at, is_path, paths_in
from trials.trick import Trick


def paths_of(mapping: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where a mapping, valid or not, names a file or folder: the keys that lead there."""
    return paths_in(TrialConfig, mapping)


def names_file(path: str) -> bool:
    """Whether a setting names a file or folder, of whichever part may be chosen there."""
    return any(map(is_path, fields_at(TrialConfig, path.split("."))))


def shapes_weights(path: str) -> bool:
    """Whether the weights, or the place in the data, depend on a setting: a training that goes on
    from a checkpoint cannot change it."""
    section, *rest = path.split(".")
    if section == "tricks" and rest:
        trick = catalogue.tricks().get(rest[0])
        return trick is not None and trick.plan is not Trick.plan
    field = TrialConfig.model_fields.get(section)
    return field is not None and Role.SHAPES_WEIGHTS in field.metadata


def measures(path: str) -> bool:
    """Whether a setting says how, or against which data, a training is measured: searched, it would
    be what a trial wins by."""
    section, *rest = path.split(".")
    field = TrialConfig.model_fields.get(section)
    if field is None or Role.MEASURES not in field.metadata:
        return False
    fields = fields_at(TrialConfig, [section, *rest])
    return not fields or any(Role.TRAINS_ONLY not in field.metadata for field in fields)
