"""UCI handwritten digits: 1,797 real images of 8 × 8 pixels in ten classes, no download.

scikit-learn's embedded copy (Alpaydin & Kaynak 1998) of the test part of the UCI data set. It is
read straight from its file: importing scikit-learn takes over a second, which would be half of a
short trial. Values 0 … 16 become bytes round(255 v / 16).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trials.data.content import Content, in_memory
from trials.data.faults import SettingError
from trials.data.resize import fit_arrays
from trials.data.source import ImageSource, Size
from trials.part import knob

COUNT = 1797
SIDE = 8
NAMES = tuple("0123456789")


class Digits(ImageSource):
    """UCI digits, embedded: 1,797 grey images of ten handwritten digits."""

    key = "digits"
    summary = "1,797 handwritten digits of 8 × 8 pixels, embedded"

    class Config(ImageSource.Config):
        """The settings of the embedded digits."""

        size: Size = knob(8, "side of the images, in pixels; 8 is their own")

    @property
    def labelled(self) -> bool:
        return True

    def item_shape(self) -> tuple[int, ...]:
        return (1, self.config.size, self.config.size)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (_require_sklearn,)

    def content(self, cache: Path | None) -> Content:
        table = _table()
        if table.shape != (COUNT, SIDE * SIDE + 1):
            raise SettingError(
                "name", f"scikit-learn's digits have shape {table.shape}", "(1797, 65)"
            )
        # round(255 v / 16)
        pixels = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8)
        images = fit_arrays(pixels.reshape(-1, 1, SIDE, SIDE), self.config.size, channels=1)
        labels = table[:, -1].astype(np.int64)
        return in_memory(images, labels, holdout=self.config.holdout, class_names=NAMES)

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        # Embedded data cannot change; their size can.
        return {"size": 8 << seed}


def _require_sklearn() -> Path:
    """The folder of scikit-learn, found without importing it."""
    spec = PathFinder.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise SettingError("name", "the digits are part of scikit-learn, which is not installed")
    return Path(spec.submodule_search_locations[0])


def _table() -> npt.NDArray[np.uint8]:
    """(1797, 65): 64 values from 0 to 16, then the label."""
    file = _require_sklearn() / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        # A version that keeps its file elsewhere: the slow way, through its public function.
        from sklearn.datasets import load_digits

        loaded = load_digits()
        return np.column_stack([loaded.data, loaded.target]).astype(np.uint8)
    try:
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        table: npt.NDArray[np.uint8] = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise SettingError("name", f"{file} is damaged: {error}", "reinstall it") from error
    return table
