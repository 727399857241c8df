"""CIFAR-10 in its binary version: 60,000 colour images of 32 × 32 pixels in ten classes.

Krizhevsky 2009. Records of 3,073 bytes: the label, then red, green and blue planes, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from trials.data.arrays import blocks
from trials.data.content import Block, Reading
from trials.data.examples import pictures
from trials.data.faults import SettingError, at_hand, require_file, require_folder
from trials.data.file_source import FileSource
from trials.data.intake import Tally
from trials.data.pickles import refuse_cifar
from trials.data.resize import fit_arrays
from trials.data.source import DataPath, DataSource, Size
from trials.part import knob

SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE
NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = ("test_batch.bin",)
SPLITS = {"train": TRAIN, "test": TEST, "all": TRAIN + TEST}
UNPACKED = "cifar-10-batches-bin"
EXPECTED = f"the folder {UNPACKED} of CIFAR-10's binary version"


class Cifar10(FileSource):
    """CIFAR-10, from its binary version on disk."""

    key = "cifar10"
    summary = "CIFAR-10 in its binary version"

    class Config(FileSource.Config):
        """The settings of CIFAR-10."""

        path: DataPath = knob(..., f"the folder {UNPACKED}, or the one that holds it")
        split: Literal["train", "test", "all"] = knob(
            "train", "50,000 training images, 10,000 test images, or both"
        )
        size: Size = knob(32, "side of the images, in pixels; 32 is their own")

    @property
    def labelled(self) -> bool:
        return True

    def item_shape(self) -> tuple[int, ...]:
        return (3, self.config.size, self.config.size)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (self.files,)

    def test_split(self) -> DataSource.Config | None:
        if self.config.split != "train":
            return None
        apart: DataSource.Config = self.config.model_copy(update={"split": "test", "holdout": 0.0})
        return apart

    def files(self) -> list[Path]:
        folder = require_folder(at_hand(self.config.path, "path"), "path", EXPECTED)
        if (folder / UNPACKED).is_dir():
            folder = folder / UNPACKED
        else:
            refuse_cifar(folder, EXPECTED)
        files = [folder / name for name in SPLITS[self.config.split]]
        for file in files:
            require_file(file, "path", EXPECTED)
            size = file.stat().st_size
            if size % RECORD:
                raise SettingError(
                    "path", f"{file} has {size} bytes", f"a multiple of {RECORD}, a record each"
                )
        return files

    def read(self, files: Sequence[Path]) -> Reading:
        total = sum(file.stat().st_size // RECORD for file in files)
        tally = Tally(str(files[0].parent), total)
        tally.taken(SIDE, SIDE, "uint8 array", total)
        return Reading(
            shape=(3, self.config.size, self.config.size),
            total=total,
            blocks=self._blocks(files),
            class_names=NAMES,
            tally=tally,
        )

    def _blocks(self, files: Sequence[Path]) -> Iterator[Block]:
        for file in files:
            with file.open("rb") as stream:
                count = file.stat().st_size // RECORD
                for records in blocks(stream, count, (RECORD,), str(file)):
                    labels = records[:, 0].astype(np.int64)
                    if labels.max() >= len(NAMES):
                        raise SettingError("path", f"a label in {file} is {labels.max()}", "0 to 9")
                    images = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
                    yield Block(fit_arrays(images, self.config.size, channels=3), labels)

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        images, labels = pictures(seed, channels=3, side=SIDE)
        columns = [labels[:, None].astype(np.uint8), images.reshape(len(images), -1)]
        records = np.concatenate(columns, axis=1)
        for name, part in zip(TRAIN, np.split(records, len(TRAIN)), strict=True):
            (folder / name).write_bytes(part.tobytes())
        return {"path": str(folder)}
