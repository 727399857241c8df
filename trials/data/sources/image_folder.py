"""Pictures in a folder, one subfolder a class, or all in one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from trials.data.content import Reading, Tally
from trials.data.examples import pictures, png
from trials.data.faults import SettingError, require_folder
from trials.data.file_source import FileSource
from trials.data.images import Encoded, decode_all
from trials.data.source import Channels, DataPath, Size
from trials.part import knob

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
EXPECTED = "a folder of images"


class ImageFolder(FileSource):
    """A folder of pictures; its subfolders are the classes, in the order of their names."""

    key = "image_folder"
    summary = "pictures in a folder, one subfolder a class"

    class Config(FileSource.Config):
        """The settings of a folder of pictures."""

        path: DataPath = knob(..., "the folder")
        size: Size = knob(..., "side of the square images, in pixels")
        channels: Channels = knob(3, "3 for colour, 1 for grey")
        labels_from_folders: bool = knob(True, "each subfolder of the first level is a class")
        max_corrupt: float = knob(0.01, "share of corrupt images that may be skipped", ge=0, le=1)

    @property
    def labelled(self) -> bool:
        return bool(self.config.labels_from_folders)

    def item_shape(self) -> tuple[int, ...]:
        return (self.config.channels, self.config.size, self.config.size)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (self._plausible,)

    def files(self) -> list[Path]:
        root = self._root()
        pictures = sorted(_pictures(root), key=lambda file: os.fsencode(file.relative_to(root)))
        if not pictures:
            raise SettingError("path", f"{root} holds no images", f"files {', '.join(SUFFIXES)}")
        if self.config.labels_from_folders:
            stray = [file for file in pictures if file.parent == root]
            if stray:
                raise SettingError(
                    "labels_from_folders",
                    f"{len(stray)} images lie in {root} itself, such as {stray[0].name}",
                    "every image in the folder of its class, or labels_from_folders: false",
                )
            bare = set(_folders(root)) - {file.relative_to(root).parts[0] for file in pictures}
            if bare:
                raise SettingError(
                    "labels_from_folders", f"{root / min(bare)} holds no images", "one at least"
                )
        return pictures

    def read(self, files: Sequence[Path]) -> Reading:
        root = self._root()
        names = tuple(_folders(root)) if self.config.labels_from_folders else ()
        numbers = {name: number for number, name in enumerate(names)}
        tally = Tally(str(root), len(files), self.config.max_corrupt)
        encoded = (
            Encoded(str(file), file, numbers[file.relative_to(root).parts[0]] if names else None)
            for file in files
        )
        return Reading(
            shape=(self.config.channels, self.config.size, self.config.size),
            total=len(files),
            blocks=decode_all(encoded, tally, size=self.config.size, channels=self.config.channels),
            class_names=names,
            tally=tally,
        )

    def _root(self) -> Path:
        return require_folder(self.config.path.expanduser(), "path", EXPECTED)

    def _plausible(self) -> None:
        root = self._root()
        if next(_pictures(root), None) is None:
            raise SettingError("path", f"{root} holds no images", f"files {', '.join(SUFFIXES)}")
        if self.config.labels_from_folders and not _folders(root):
            raise SettingError(
                "labels_from_folders",
                f"{root} has no subfolders to take classes from",
                "a folder a class, or labels_from_folders: false",
            )

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        images, labels = pictures(seed, channels=3, side=16)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = folder / f"class {label}"
            place.mkdir(exist_ok=True)
            (place / f"{number:03d}.png").write_bytes(png(image))
        return {"path": str(folder), "size": 16}


def _folders(root: Path) -> list[str]:
    """The class folders, by name; hidden ones do not count."""
    names = (item.name for item in root.iterdir() if item.is_dir())
    return sorted((name for name in names if not name.startswith(".")), key=os.fsencode)


def _unlistable(error: OSError) -> NoReturn:
    raise SettingError("path", f"{error.filename} cannot be listed: {error.strerror}", EXPECTED)


def _pictures(root: Path) -> Iterator[Path]:
    """Every picture below `root`, each folder entered once though links may lead in circles."""
    entered: set[str] = set()
    for folder, folders, names in os.walk(root, onerror=_unlistable, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield Path(folder, name)
