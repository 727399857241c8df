"""Sources of images that are decoded from files, once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from trials.data.content import Content, Reading
from trials.data.source import ImageSource
from trials.data.store import decoded
from trials.origins import foreign_in_words
from trials.urls import Url


class FileSource(ImageSource):
    """A source of images in files. Decoded, they are kept in the cache of a machine."""

    most_bytes: ClassVar[int | None] = None
    """Files of more bytes count as such that cannot be read; None: of any size."""

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

    @property
    def holdout(self) -> float:
        """The share that is kept out of the training."""
        share: float = self.config.holdout
        return share

    @property
    def origin(self) -> str:
        """Where the source comes from, with its version; empty for one of ours."""
        return foreign_in_words([type(self)])

    def options(self) -> dict[str, Any]:
        """The settings that decoded images depend on, paths absolute."""
        settings = self.config.as_dict()
        for name, value in self.config:
            if isinstance(value, Path):
                at = value if isinstance(value, Url) else Path.cwd() / value.expanduser()
                settings[name] = str(at)
        return {name: value for name, value in settings.items() if name != "flip"}
