"""What a source hands over: whole data as arrays, split, counted and fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trials.data.faults import SettingError
from trials.data.holdout import held_out
from trials.data.intake import Intake, Tally
from trials.data.resize import RESIZE_RULE, Pixels

Labels = npt.NDArray[np.int64]

MAX_CLASSES = 65_536
"""A label beyond this is an identifier, not a class."""


class Block(NamedTuple):
    """Some consecutive images (n, C, H, W) and their labels (n,), or None."""

    images: Pixels
    labels: Labels | None


@dataclass
class Reading:
    """A file source that is open and about to be decoded.

    `total` bounds the number of images from above; `tally` is complete when `blocks` are
    exhausted.
    """

    shape: tuple[int, int, int]
    total: int
    blocks: Iterator[Block]
    class_names: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Content:
    """Whole data, split into the part that is trained on and the part kept out.

    Images are uint8 (N, C, H, W), points float32 (N, D); `labels` belong to `items`.
    """

    items: npt.NDArray[Any]
    labels: Labels | None
    held_out: npt.NDArray[Any] | None
    fingerprint: str
    class_names: tuple[str, ...] = ()
    intake: Intake = Intake()  # noqa: RUF009 - it is frozen
    modes: npt.NDArray[np.float32] | None = None
    mode_std: float | None = None


def in_memory(
    items: npt.NDArray[Any],
    labels: Labels | None,
    *,
    holdout: float,
    class_names: tuple[str, ...] = (),
    modes: npt.NDArray[np.float32] | None = None,
    mode_std: float | None = None,
) -> Content:
    """The content of arrays that fit into memory."""
    mask = held_out(len(items), holdout)
    digest = hashlib.sha256(np.ascontiguousarray(items).tobytes()).hexdigest()
    return Content(
        items=items[~mask],
        labels=None if labels is None else labels[~mask],
        held_out=items[mask] if mask.any() else None,
        fingerprint=fingerprint(items.shape, digest, labels, holdout),
        class_names=class_names,
        modes=modes,
        mode_std=mode_std,
    )


def fingerprint(shape: tuple[int, ...], digest: str, labels: Labels | None, holdout: float) -> str:
    """SHA-256 over content, labels, split and, for images, the resize rule.

    `digest` is the SHA-256 of all items in their order, before the split. Where the data came
    from is no part of it: the same pictures from another container are the same data.
    """
    marked = None if labels is None else hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
    facts = {
        "shape": shape,
        "items": digest,
        "labels": marked,
        "holdout": holdout,
        "rule": RESIZE_RULE if len(shape) == 4 else "",
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def as_labels(values: npt.NDArray[Any], knob: str, where: str) -> Labels:
    """Values (n,) or (n, 1) as labels (n,).

    Raises:
        SettingError: they are not integers from 0 to 65535.
    """
    expected = f"integers from 0 to {MAX_CLASSES - 1}, one an image"
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iub":
        raise SettingError(
            knob, f"the labels in {where} are {values.dtype} of shape {values.shape}", expected
        )
    if len(values) and (values.min() < 0 or values.max() >= MAX_CLASSES):
        wrong = values[(values < 0) | (values >= MAX_CLASSES)][0]
        raise SettingError(knob, f"a label in {where} is {wrong}", expected)
    return values.astype(np.int64)


def names_for(labels: Labels, names: tuple[str, ...], where: str) -> tuple[str, ...]:
    """A name for every class: `names`, or the numbers up to the largest label.

    Raises:
        SettingError: a label has no name.
    """
    top = int(labels.max())
    if names and top >= len(names):
        raise SettingError(
            "path", f"a label in {where} is {top}", f"0 to {len(names) - 1}, as {len(names)} names"
        )
    return names or tuple(str(label) for label in range(top + 1))
