"""Parquet files in the layout of Hugging Face's datasets: encoded images and integer labels.

The image column holds bytes, or structs with a field ``bytes``. Files are read a batch of rows at
a time. Class names are taken from the metadata that the ``datasets`` library writes.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from trials.data.config import Channels, DataPath, FileConfig, Size
from trials.data.content import Reading, Tally, as_labels
from trials.data.faults import SettingError, require_file
from trials.data.images import Encoded, decode_all
from trials.problems import nearest

EXPECTED = "a Parquet file, a folder of them, or a pattern such as data/train-*.parquet"
ROWS = 64
"""Rows held at once; with the largest sensible images still well under a gigabyte."""

SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}")
"""How the ``datasets`` library names shards: train-00000-of-00002.parquet."""


class ParquetConfig(FileConfig):
    """Encoded images and labels in Parquet files, as the Hugging Face Hub serves them."""

    name: Literal["parquet"] = "parquet"
    path: DataPath = Field(description="a file, a folder of shards, or a pattern with *")
    image_column: str = Field(default="image", description="column of bytes or struct{bytes, path}")
    label_column: str | None = Field(
        default="label", description="column of integer labels; null for unlabelled images"
    )
    size: Size = Field(description="side of the square images, in pixels")
    channels: Channels = Field(default=3, description="3 for colour, 1 for grey")
    limit: int | None = Field(
        default=None, ge=1, description="use the first so many rows only; null for all"
    )
    max_corrupt: float = Field(
        default=0.01, ge=0, le=1, description="share of corrupt images that may be skipped"
    )

    @property
    def labelled(self) -> bool:
        return self.label_column is not None

    def item_shape(self) -> tuple[int, ...]:
        return (self.channels, self.size, self.size)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (self._plausible,)

    def files(self) -> list[Path]:
        place = self.path.expanduser()
        if place.is_dir():
            found = sorted(file for file in place.glob("*.parquet") if file.name[0] != ".")
            _require_one_split(place, found)
        elif glob.has_magic(str(place)) and not place.exists():
            found = _matching(place)
        else:
            found = [require_file(place, "path", EXPECTED)]
        if not found:
            raise SettingError("path", f"nothing is found at {place}", EXPECTED)
        return found

    def read(self, files: Sequence[Path]) -> Reading:
        rows, names = 0, None
        for file in files:
            count, found = self._look(file)
            if names is not None and found != names:
                raise SettingError("path", f"{file} names other classes than {files[0]}")
            names = found
            rows += count
        rows = rows if self.limit is None else min(rows, self.limit)
        tally = Tally(str(self.path), rows, self.max_corrupt)
        pictures = self._pictures(files, rows)
        return Reading(
            shape=(self.channels, self.size, self.size),
            total=rows,
            blocks=decode_all(pictures, tally, size=self.size, channels=self.channels),
            class_names=names or (),
            tally=tally,
        )

    def _plausible(self) -> None:
        files = self.files()
        if not any(self._look(file)[0] for file in files):
            raise SettingError("path", f"{files[0]} holds no images", "at least one image")

    def _look(self, file: Path) -> tuple[int, tuple[str, ...]]:
        """The number of rows and the class names, once the columns are what they should be."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with _readable(file):
            metadata = pq.read_metadata(file)
            schema = metadata.schema.to_arrow_schema()
        kind = _column(schema, self.image_column, "image_column", file)
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise SettingError(
                "image_column",
                f"'{self.image_column}' in {file} is of type {kind}",
                "binary or struct<bytes: binary, path: string>, with images as PNG, JPEG …",
            )
        if self.label_column is not None:
            kind = _column(schema, self.label_column, "label_column", file)
            if not pa.types.is_integer(kind):
                raise SettingError(
                    "label_column",
                    f"'{self.label_column}' in {file} is of type {kind}",
                    "integers; null for unlabelled images",
                )
        return metadata.num_rows, _class_names(metadata.metadata, self.label_column)

    def _pictures(self, files: Sequence[Path], rows: int) -> Iterator[Encoded]:
        """The first ``rows`` rows of all files."""
        import pyarrow.parquet as pq

        columns = [name for name in (self.image_column, self.label_column) if name is not None]
        for file in files:
            # Left to itself pyarrow reads ahead until the whole file is in memory.
            bounded = {"buffer_size": 2**20, "pre_buffer": False}
            with _readable(file), pq.ParquetFile(file, **bounded) as table:
                row = 0
                for batch in table.iter_batches(batch_size=ROWS, columns=columns):
                    cells = batch.column(self.image_column).to_pylist()
                    labels = self._labels(batch, file)
                    for cell, label in zip(cells, labels, strict=True):
                        if not rows:
                            return
                        data = cell["bytes"] if isinstance(cell, dict) else cell
                        yield Encoded(f"{file}, row {row}", data, label)
                        row += 1
                        rows -= 1

    def _labels(self, batch: Any, file: Path) -> list[int | None]:
        if self.label_column is None:
            return [None] * batch.num_rows
        column = batch.column(self.label_column)
        if column.null_count:
            raise SettingError(
                "label_column", f"a label in {file} is empty", "an integer in each row"
            )
        values = column.to_numpy(zero_copy_only=False)
        return list(as_labels(values, "label_column", str(file)).tolist())


@contextlib.contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn pyarrow's exceptions into ours."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(
            "path", f"{file} cannot be read as Parquet: {reason}", EXPECTED
        ) from error


def _column(schema: Any, name: str, knob: str, file: Path) -> Any:
    """The type of a column."""
    index = schema.get_field_index(name)
    if index < 0:
        names = list(schema.names)
        raise SettingError(
            knob,
            f"{file} has no column '{name}'",
            "one of " + ", ".join(names) + ("; null for none" if knob == "label_column" else ""),
            nearest(name, names),
        )
    return schema.field(index).type


def _class_names(metadata: dict[bytes, bytes] | None, column: str | None) -> tuple[str, ...]:
    """The names that the ``datasets`` library stored for a column of labels, or ()."""
    try:
        facts = json.loads((metadata or {}).get(b"huggingface", b"{}"))
        names = facts["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError):
        # Metadata are a courtesy: without them the classes are called by their numbers.
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _matching(pattern: Path) -> list[Path]:
    """The files that a pattern fits. Folders that are there are meant by their names, also where
    these look like a pattern."""
    there = next(folder for folder in pattern.parents if folder.exists())
    names = glob.glob(str(pattern.relative_to(there)), root_dir=there, recursive=True)
    return sorted(there / name for name in names if (there / name).is_file())


def _require_one_split(folder: Path, files: Sequence[Path]) -> None:
    splits = {match["split"] for file in files if (match := SHARD.fullmatch(file.stem))}
    if len(splits) > 1:
        raise SettingError(
            "path",
            f"{folder} holds shards of several splits: {', '.join(sorted(splits))}",
            f"one of them, such as {folder / min(splits)}-*.parquet",
        )
