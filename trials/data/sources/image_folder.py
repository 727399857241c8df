"""Pictures in a folder, one subfolder a class, or all in one."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from trials.data.content import Reading
from trials.data.examples import pictures, png
from trials.data.faults import SettingError, at_hand, raise_all, require_folder
from trials.data.file_source import FileSource
from trials.data.images import MAX_BYTES, Encoded, decode_all, used_range
from trials.data.intake import Tally, too_many
from trials.data.source import RANGE, Channels, DataPath, PixelRange, Size
from trials.files import obstacle
from trials.part import knob

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
EXPECTED = "a folder of images"
LEFT_BY_MACOS = "__MACOSX"
MOST = 10
"""Folders that one message names."""


class ImageFolder(FileSource):
    """A folder of pictures; its subfolders are the classes, in the order of their names."""

    key = "image_folder"
    summary = "pictures in a folder, one subfolder a class"
    most_bytes = MAX_BYTES

    class Config(FileSource.Config):
        """The settings of a folder of pictures."""

        path: DataPath = knob(..., "the folder")
        size: Size = knob(..., "side of the square images, in pixels")
        channels: Channels = knob(3, "3 for colour, 1 for grey")
        labels_from_folders: bool = knob(True, "each subfolder of the first level is a class")
        max_corrupt: float = knob(0.01, "share of corrupt images that may be skipped", ge=0, le=1)
        range: PixelRange = knob("full", RANGE)
        test: DataPath | None = knob(
            None, "a folder of test images, laid out alike, for `evaluation.reference: test`"
        )

    @property
    def labelled(self) -> bool:
        return bool(self.config.labels_from_folders)

    def item_shape(self) -> tuple[int, ...]:
        return (self.config.channels, self.config.size, self.config.size)

    def options(self) -> dict[str, Any]:
        options = super().options()
        del options["test"]  # the test images are decoded as data of their own
        return options

    def test_split(self) -> Config | None:
        if self.config.test is None:
            return None
        alone = {"path": self.config.test, "test": None, "holdout": 0.0}
        apart: ImageFolder.Config = self.config.model_copy(update=alone)
        return apart

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (self._look, self._look_at_test)

    def warnings(self) -> Sequence[str]:
        files = self.files()
        tally = self._unreadable(self._root(), files)
        return tally.intake().warnings()

    def files(self) -> list[Path]:
        root = self._root()
        pictures = _sorted_pictures(root)
        raise_all(self._misplaced(root, pictures))
        return pictures

    def read(self, files: Sequence[Path]) -> Reading:
        root = self._root()
        names = tuple(_folders(root)) if self.config.labels_from_folders else ()
        numbers = {name: number for number, name in enumerate(names)}
        tally = Tally(str(root), len(files), self.config.max_corrupt)

        def encoded() -> Iterator[Encoded]:
            for file in files:
                label = numbers[file.relative_to(root).parts[0]] if names else None
                yield Encoded(str(file), file, label)

        spread = used_range(encoded()) if self.config.range == "used" else None
        size, channels = self.config.size, self.config.channels
        return Reading(
            shape=(channels, size, size),
            total=len(files),
            blocks=decode_all(encoded(), tally, size=size, channels=channels, spread=spread),
            class_names=names,
            tally=tally,
        )

    def _root(self) -> Path:
        return require_folder(at_hand(self.config.path, "path"), "path", EXPECTED)

    def _look(self) -> None:
        """Everything that a listing can tell, at once."""
        root = self._root()
        pictures = _sorted_pictures(root)
        faults = list(self._misplaced(root, pictures))
        tally = self._unreadable(root, pictures)
        if tally.skipped > tally.share * tally.total:
            faults.append(too_many(str(tally.skipped), tally))
        raise_all(faults)

    def _look_at_test(self) -> None:
        """Whether the test images are there, and of the same kind as the others."""
        apart = self.test_split()
        if apart is None:
            return
        other = type(self)(apart)
        try:
            other._look()
        except SettingError as fault:
            raise_all(SettingError("test", p.message, p.expected) for p in fault.problems)
        if self.config.range == "used":
            told = "its images would be spread over 0 to 255 by their own values"
            raise SettingError("test", told, "range: full")
        own, others = (_folders(source._root()) for source in (self, other))
        if self.labelled and own != others:
            odd = ", ".join(sorted(set(own) ^ set(others))[:MOST])
            raise SettingError(
                "test", f"{apart.path} and {self.config.path} differ in the classes {odd}",
                "a folder for each class in both",
            )  # fmt: skip

    def _misplaced(self, root: Path, pictures: Sequence[Path]) -> Iterator[SettingError]:
        """What is wrong with the places of pictures and folders."""
        if not pictures:
            yield SettingError("path", f"{root} holds no images", f"files {', '.join(SUFFIXES)}")
        if not self.config.labels_from_folders:
            return
        knob, classes = "labels_from_folders", _folders(root)
        stray = [file for file in pictures if file.parent == root]
        if stray:
            yield SettingError(
                knob,
                f"{len(stray)} image{'s lie' if len(stray) > 1 else ' lies'} in {root} itself, "
                f"such as {stray[0].name}",
                "every image in the folder of its class, or labels_from_folders: false",
            )
        elif not classes:
            yield SettingError(
                knob,
                f"{root} has no subfolders to take classes from",
                "a folder a class, or labels_from_folders: false",
            )
        filled = {file.relative_to(root).parts[0] for file in pictures}
        bare = [name for name in classes if name not in filled]
        if bare and pictures:
            message = f"{', '.join(str(root / name) for name in bare[:MOST])} " + (
                "holds no images" if len(bare) == 1 else f"hold no images ({len(bare)} folders)"
            )
            expected = "one at least in the folder of each class"
            if LEFT_BY_MACOS in bare:
                expected += f"; {LEFT_BY_MACOS} is left by archives of macOS and can be deleted"
            yield SettingError(knob, message, expected)

    def _unreadable(self, root: Path, pictures: Sequence[Path]) -> Tally:
        """The pictures that cannot even be read, counted without a limit."""
        tally = Tally(str(root), len(pictures), 1.0)
        for file in pictures:
            if reason := obstacle(file, MAX_BYTES):
                tally.corrupt(str(file), reason)
        return dataclasses.replace(tally, share=self.config.max_corrupt)

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        images, labels = pictures(seed, channels=3, side=16)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = folder / f"class {label}"
            place.mkdir(exist_ok=True)
            (place / f"{number:03d}.png").write_bytes(png(image))
        return {"path": str(folder), "size": 16}


def _sorted_pictures(root: Path) -> list[Path]:
    return sorted(_pictures(root), key=lambda file: os.fsencode(file.relative_to(root)))


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
