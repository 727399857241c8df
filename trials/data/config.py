"""What every source of data has in common.

A source is one file: a frozen configuration that can say cheaply whether its data are there
(``inspections``), what shape they will have (``item_shape``), and read them (``content``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from trials.data.content import Content, Reading
from trials.data.store import decoded
from trials.paths import at_home

Size = Literal[8, 16, 32, 64, 128, 256]
"""Side of a square image, in pixels: what the networks can make."""

Channels = Literal[1, 3]


def _not_blank(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ValueError("is blank; give the path of a file or folder")
    return value


def _of_somebody(path: Path) -> Path:
    at_home(path)
    return path


DataPath = Annotated[Path, BeforeValidator(_not_blank), AfterValidator(_of_somebody)]


class DataConfig(BaseModel, ABC):
    """The settings of one source of data."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    holdout: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="share kept out of the training, to measure memorisation against",
    )

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

    @abstractmethod
    def inspections(self) -> Sequence[Callable[[], object]]:
        """Cheap looks at the data, each raising a SettingError where something is wrong."""

    @abstractmethod
    def content(self, cache: Path | None) -> Content:
        """The data themselves; decoded images are kept in ``cache``.

        Raises:
            DataError: they are missing, damaged, empty or of the wrong size.
        """

    def absolute(self, base: Path) -> DataConfig:
        """The same source with ``~`` expanded and relative paths put under ``base``."""
        paths = {
            key: base / value.expanduser()
            for key in type(self).model_fields
            if isinstance(value := getattr(self, key), Path)
        }
        return self.model_copy(update=paths) if paths else self


class ImageConfig(DataConfig):
    """The settings of a source of images."""

    flip: bool = Field(
        default=False, description="mirror each training image left to right with probability 1/2"
    )


class FileConfig(ImageConfig):
    """The settings of a source of images that are decoded from files, once."""

    @abstractmethod
    def files(self) -> list[Path]:
        """All files the data depend on, in their order.

        Raises:
            SettingError: there are none.
        """

    @abstractmethod
    def read(self, files: Sequence[Path]) -> Reading:
        """The files, opened."""

    def content(self, cache: Path | None) -> Content:
        return decoded(self, cache)

    def options(self) -> dict[str, Any]:
        """The settings that decoded images depend on."""
        return self.absolute(Path.cwd()).model_dump(exclude={"flip"})
