"""Parquet files in the layout of Hugging Face's datasets: encoded images and integer labels.

The image column holds bytes, or structs with a field `bytes`. Files are read a batch of rows at
a time. Class names are taken from the metadata that the `datasets` library writes.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from trials.data.content import Reading, Tally, as_labels
from trials.data.examples import pictures, png
from trials.data.faults import SettingError, require_file
from trials.data.file_source import FileSource
from trials.data.images import Encoded, decode_all
from trials.data.source import Channels, DataPath, Size
from trials.part import knob
from trials.problems import nearest

EXPECTED = "a Parquet file, a folder of them, or a pattern such as data/train-*.parquet"
ROWS = 64
"""Rows held at once; with the largest sensible images still well under a gigabyte."""

SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}")
"""How the `datasets` library names shards: train-00000-of-00002.parquet."""


class Parquet(FileSource):
    """Encoded images and labels in Parquet files, as the Hugging Face Hub serves them."""

    key = "parquet"
    summary = "encoded images in Parquet files, as the Hugging Face Hub serves them"

    class Config(FileSource.Config):
        """The settings of Parquet files."""

        path: DataPath = knob(..., "a file, a folder of shards, or a pattern with *")
        image_column: str = knob("image", "column of bytes or struct{bytes, path}")
        label_column: str | None = knob(
            "label", "column of integer labels; null for unlabelled images"
        )
        size: Size = knob(..., "side of the square images, in pixels")
        channels: Channels = knob(3, "3 for colour, 1 for grey")
        limit: int | None = knob(None, "use the first so many rows only; null for all", ge=1)
        max_corrupt: float = knob(0.01, "share of corrupt images that may be skipped", ge=0, le=1)

    @property
    def labelled(self) -> bool:
        return self.config.label_column is not None

    def item_shape(self) -> tuple[int, ...]:
        return (self.config.channels, self.config.size, self.config.size)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (self._plausible,)

    def files(self) -> list[Path]:
        place = self.config.path.expanduser()
        if place.is_dir():
            files = sorted(file for file in place.glob("*.parquet") if file.name[0] != ".")
            _require_one_split(place, files)
        elif glob.has_magic(str(place)) and not place.exists():
            files = _matching(place)
        else:
            files = [require_file(place, "path", EXPECTED)]
        if not files:
            raise SettingError("path", f"nothing is found at {place}", EXPECTED)
        return files

    def read(self, files: Sequence[Path]) -> Reading:
        rows, names = 0, None
        for file in files:
            count, classes = self._look(file)
            if names is not None and classes != names:
                raise SettingError("path", f"{file} names other classes than {files[0]}")
            names = classes
            rows += count
        rows = rows if self.config.limit is None else min(rows, self.config.limit)
        tally = Tally(str(self.config.path), rows, self.config.max_corrupt)
        encoded = self._pictures(files, rows)
        return Reading(
            shape=(self.config.channels, self.config.size, self.config.size),
            total=rows,
            blocks=decode_all(encoded, tally, size=self.config.size, channels=self.config.channels),
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
        kind = _column(schema, self.config.image_column, "image_column", file)
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise SettingError(
                "image_column",
                f"'{self.config.image_column}' in {file} is of type {kind}",
                "binary or struct<bytes: binary, path: string>, with images as PNG, JPEG …",
            )
        if self.config.label_column is not None:
            kind = _column(schema, self.config.label_column, "label_column", file)
            if not pa.types.is_integer(kind):
                raise SettingError(
                    "label_column",
                    f"'{self.config.label_column}' in {file} is of type {kind}",
                    "integers; null for unlabelled images",
                )
        return metadata.num_rows, _class_names(metadata.metadata, self.config.label_column)

    def _pictures(self, files: Sequence[Path], rows: int) -> Iterator[Encoded]:
        """The first `rows` rows of all files."""
        import pyarrow.parquet as pq

        images, labels = self.config.image_column, self.config.label_column
        columns = [images] if labels is None else [images, labels]
        for file in files:
            # Left to itself pyarrow reads ahead until the whole file is in memory.
            bounded = {"buffer_size": 2**20, "pre_buffer": False}
            with _readable(file), pq.ParquetFile(file, **bounded) as table:
                row = 0
                for batch in table.iter_batches(batch_size=ROWS, columns=columns):
                    cells = batch.column(images).to_pylist()
                    for cell, label in zip(cells, self._labels(batch, file), strict=True):
                        if not rows:
                            return
                        data = cell["bytes"] if isinstance(cell, dict) else cell
                        yield Encoded(f"{file}, row {row}", data, label)
                        row += 1
                        rows -= 1

    def _labels(self, batch: Any, file: Path) -> list[int | None]:
        if self.config.label_column is None:
            return [None] * batch.num_rows
        column = batch.column(self.config.label_column)
        if column.null_count:
            raise SettingError(
                "label_column", f"a label in {file} is empty", "an integer in each row"
            )
        values = column.to_numpy(zero_copy_only=False)
        return list(as_labels(values, "label_column", str(file)).tolist())

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        images, labels = pictures(seed, channels=3, side=16)
        table = pa.table({"image": [png(image) for image in images], "label": labels})
        half = len(images) // 2
        for number in range(2):
            file = folder / f"train-{number:05d}-of-00002.parquet"
            pq.write_table(table.slice(number * half, half), file, row_group_size=7)
        return {"path": str(folder), "size": 16}


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
    """The names that the `datasets` library stored for a column of labels, or ()."""
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
