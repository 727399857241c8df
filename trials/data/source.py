"""What a source of data is: the base classes, and the settings that all sources share.

A source is one file: its settings, and a class that says cheaply whether the data are there
(`inspections`), what shape they will have (`item_shape`), and reads them (`content`). A
source of images in files derives from `FileSource`, which decodes
them once and keeps them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator

from trials.data.content import Content
from trials.fields import Role
from trials.part import Part, PartConfig, knob
from trials.paths import at_home
from trials.urls import OrUrl

Size = Literal[8, 16, 32, 64, 128, 256]
"""Side of a square image, in pixels: what the networks can make."""

Channels = Literal[1, 3]

PixelRange = Literal["full", "used"]
RANGE = "of 16-bit values: full keeps the upper byte, used spreads those that occur over 0 to 255"


def _not_blank(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ValueError("is blank; give the path of a file or folder")
    return value


def _of_an_existing_user(path: Path) -> Path:
    at_home(path)
    return path


DataPath = Annotated[Path, BeforeValidator(_not_blank), AfterValidator(_of_an_existing_user), OrUrl]
"""A file or folder, as the user wrote it, or an address: `at_hand` says where it lies here."""


class DataSource(Part, ABC):
    """One source of data, bound to its settings."""

    kind = "data source"
    folders = ("trials.data.sources",)

    items: ClassVar[Literal["image", "point"]] = "image"
    """What it yields: images (C, H, W), or points (D,)."""

    known_modes: ClassVar[bool] = False
    """Whether its content names the true modes, so that missed ones can be counted."""

    class Config(PartConfig):
        """The settings of one source of data."""

        part: ClassVar[type[DataSource]]

        holdout: float = knob(
            0.0, "share kept out of the training, to measure memorisation against", ge=0, le=0.5
        )

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    @abstractmethod
    def labelled(self) -> bool:
        """Whether the items will have labels."""

    @abstractmethod
    def item_shape(self) -> tuple[int, ...]:
        """(C, H, W) or (D,), from the settings and, where needed, the header of a file.

        Raises:
            DataError: that header cannot be read.
        """

    def test_split(self) -> DataSource.Config | None:
        """The settings of the test images that belong to these, where the source has any and these
        are none of them."""
        return None

    @abstractmethod
    def inspections(self) -> Sequence[Callable[[], object]]:
        """Cheap looks at the data, each raising a SettingError where something is wrong."""

    def warnings(self) -> Sequence[str]:
        """What a cheap look finds that is allowed and should be known.

        Raises:
            DataError: the data are not there.
        """
        return ()

    @abstractmethod
    def content(self, cache: Path | None) -> Content:
        """The data themselves; decoded images are kept in `cache`.

        Raises:
            DataError: they are missing, damaged, empty or of the wrong size.
        """

    @property
    def flips(self) -> bool:
        """Whether half of the training images are mirrored."""
        return False

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        """Settings of a small example, for the conformance suite.

        What files it needs are made in `folder`, which is empty. Another `seed` gives other
        content.
        """
        raise NotImplementedError(f"the data source '{cls.key}' has no example")


class ImageSource(DataSource):
    """A source of images, uint8 (N, C, H, W)."""

    class Config(DataSource.Config):
        """The settings of a source of images."""

        flip: Annotated[bool, Role.TRAINS_ONLY] = knob(
            False, "mirror each training image left to right with probability 1/2"
        )

    @property
    def flips(self) -> bool:
        return bool(self.config.flip)
