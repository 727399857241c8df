"""Pickles, which are programs: none is ever loaded, and whoever has some is told the way out."""

from __future__ import annotations

from pathlib import Path

from trials.data.faults import SettingError

WHY = "a Python pickle, which is a program and is never run here"

CIFAR = (
    'python -c "import pickle, numpy as np; '
    "b = [pickle.load(open(f'{folder}/data_batch_{{i}}', 'rb'), encoding='bytes') "
    "for i in range(1, 6)]; "
    "np.savez('cifar10.npz', "
    "images=np.concatenate([d[b'data'] for d in b]).reshape(-1, 3, 32, 32), "
    "labels=np.concatenate([d[b'labels'] for d in b]))\""
)
"""Turns the training images of CIFAR-10's Python version into an archive that `npz` reads."""


def is_pickle(file: Path) -> bool:
    """Whether a file begins as a pickle of protocol 2 or later does."""
    try:
        with file.open("rb") as stream:
            start = stream.read(2)
    except OSError:
        return False
    return len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5


def refuse_pickle(file: Path, expected: str) -> None:
    """Refuse a file that is a pickle, by that name.

    Raises:
        SettingError: it is one; `expected` says what should have been there.
    """
    if is_pickle(file):
        raise SettingError("path", f"{file} is {WHY}", expected)


def refuse_cifar(folder: Path, expected: str) -> None:
    """Refuse the folder of CIFAR-10's Python version, with the line that converts it.

    Raises:
        SettingError: `folder` is that folder, or holds it.
    """
    for place in (folder, folder / "cifar-10-batches-py"):
        if is_pickle(place / "data_batch_1"):
            line = CIFAR.format(folder=place)
            raise SettingError(
                "path",
                f"{place} is CIFAR-10's Python version: each file is {WHY}",
                f"{expected}; or, where you trust these files, run {line} and take "
                "data: {name: npz, path: cifar10.npz}",
            )
