"""Parquet files in the layout of Hugging Face's datasets: encoded images and integer labels.

The image column holds bytes, or structs with a field `bytes`. Files are read a batch of rows at
a time. Class names are taken from the metadata that the `datasets` library writes.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from trials.data.content import Reading, as_labels
from trials.data.examples import pictures, png
from trials.data.faults import SettingError, at_hand, raise_all, require_file
from trials.data.file_source import FileSource
from trials.data.images import Encoded, decode_all, used_range
from trials.data.intake import Tally
from trials.data.source import RANGE, Channels, DataPath, PixelRange, Size
from trials.part import knob
from trials.problems import nearest

EXPECTED = "a Parquet file, a folder of them, or a pattern such as data/train-*.parquet"
ROWS = 64
"""Rows held at once; with the largest sensible images still well under a gigabyte."""

SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
"""How the `datasets` library names shards: train-00000-of-00002.parquet."""

MOST = 10
"""Missing shards that one message names."""

BYTES = "binary or struct<bytes: binary, path: string>, with images as PNG, JPEG …"
EMBEDDED = (
    "pictures inside the file: `dataset.with_format('arrow').map("
    "datasets.table.embed_table_storage, batched=True)` before `to_parquet` puts them there; or "
    "the picture files themselves, with the source image_folder"
)


class Looked(NamedTuple):
    """What the metadata of a file say: rows, rows known to hold no picture, names of classes."""

    rows: int
    empty: int
    names: tuple[str, ...]


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
        allow_missing_shards: bool = knob(False, "read a split of which shards are missing")
        range: PixelRange = knob("full", RANGE)

    @property
    def labelled(self) -> bool:
        return self.config.label_column is not None

    def item_shape(self) -> tuple[int, ...]:
        return (self.config.channels, self.config.size, self.config.size)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (self._plausible,)

    def files(self) -> list[Path]:
        place = at_hand(self.config.path, "path")
        if place.is_dir():
            files = sorted(file for file in place.glob("*.parquet") if file.name[0] != ".")
        elif glob.has_magic(str(place)) and not place.exists():
            files = _matching(place)
        else:
            files = [place]
        if not files:
            raise SettingError("path", f"nothing is found at {place}", EXPECTED)
        raise_all(self._wrong(place, files))
        return files

    def _wrong(self, place: Path, files: Sequence[Path]) -> Iterator[SettingError]:
        """What the names tell, and files that are none."""
        for file in files:
            try:
                require_file(file, "path", EXPECTED)
            except SettingError as fault:
                yield fault
        if place.is_dir():
            yield from _several_splits(place, files)
        if not self.config.allow_missing_shards:
            yield from _missing_shards(files)

    def read(self, files: Sequence[Path]) -> Reading:
        looks = self._looks(files)
        names = {look.names for look in looks}
        if len(names) > 1:
            other = next(place for place, look in enumerate(looks) if look.names != looks[0].names)
            raise SettingError("path", f"{files[other]} names other classes than {files[0]}")
        rows = sum(look.rows for look in looks)
        rows = rows if self.config.limit is None else min(rows, self.config.limit)
        tally = Tally(str(self.config.path), rows, self.config.max_corrupt)
        size, channels, spread = self.config.size, self.config.channels, None
        if self.config.range == "used":
            spread = used_range(self._pictures(files, rows))
        encoded = self._pictures(files, rows)
        return Reading(
            shape=(channels, size, size),
            total=rows,
            blocks=decode_all(encoded, tally, size=size, channels=channels, spread=spread),
            class_names=looks[0].names,
            tally=tally,
        )

    def _plausible(self) -> None:
        files = self.files()
        looks = self._looks(files)
        if not any(look.rows for look in looks):
            raise SettingError("path", f"{files[0]} holds no images", "at least one image")

    def _looks(self, files: Sequence[Path]) -> list[Looked]:
        """What the metadata of each file say, once the columns are what they should be.

        Raises:
            SettingError: they are not, or hardly a row holds a picture.
        """
        looks, faults = [], []
        for file in files:
            try:
                looks.append(self._look(file))
            except SettingError as fault:
                faults.append(fault)
        raise_all(faults)
        rows, empty = sum(look.rows for look in looks), sum(look.empty for look in looks)
        if empty > self.config.max_corrupt * rows or (empty and empty == rows):
            raise SettingError(
                "image_column",
                f"{empty} of {rows} cells of '{self.config.image_column}' in {self.config.path} "
                "hold no picture; at most they name a file that is elsewhere",
                EMBEDDED,
            )
        return looks

    def _look(self, file: Path) -> Looked:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with _readable(file):
            metadata = pq.read_metadata(file)
            schema = metadata.schema.to_arrow_schema()
        column = self.config.image_column
        kind = _column(schema, column, "image_column", file)
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind, column = kind.field("bytes").type, f"{column}.bytes"
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            named = _names_files(kind)
            elsewhere = ": at most it names files that are elsewhere" if named else ""
            raise SettingError(
                "image_column",
                f"'{self.config.image_column}' in {file} is of type {kind}{elsewhere}",
                EMBEDDED if named else BYTES,
            )
        if self.config.label_column is not None:
            kind = _column(schema, self.config.label_column, "label_column", file)
            if not pa.types.is_integer(kind):
                raise SettingError(
                    "label_column",
                    f"'{self.config.label_column}' in {file} is of type {kind}",
                    "integers; null for unlabelled images",
                )
        names = _class_names(metadata.metadata, self.config.label_column)
        return Looked(metadata.num_rows, _nulls(metadata, column), names)

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


def _names_files(kind: Any) -> bool:
    """Whether cells of a type can name a file, and hold none."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("path") >= 0)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _class_names(metadata: dict[bytes, bytes] | None, column: str | None) -> tuple[str, ...]:
    """The names that the `datasets` library stored for a column of labels, or ()."""
    try:
        facts = json.loads((metadata or {}).get(b"huggingface", b"{}"))
        names = facts["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError):
        # Metadata are a courtesy: without them the classes are called by their numbers.
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _nulls(metadata: Any, column: str) -> int:
    """Rows without a value in a column, as far as the file's own statistics tell."""
    nulls = 0
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for place in range(chunks.num_columns):
            chunk = chunks.column(place)
            if chunk.path_in_schema == column and chunk.is_stats_set:
                nulls += chunk.statistics.null_count or 0
    return nulls


def _matching(pattern: Path) -> list[Path]:
    """The files that a pattern fits. Folders that are there are meant by their names, also where
    these look like a pattern."""
    there = next(folder for folder in pattern.parents if folder.exists())
    names = glob.glob(str(pattern.relative_to(there)), root_dir=there, recursive=True)
    return sorted(there / name for name in names if not (there / name).is_dir())


def _several_splits(folder: Path, files: Sequence[Path]) -> Iterator[SettingError]:
    splits = {match["split"] for file in files if (match := SHARD.fullmatch(file.stem))}
    if len(splits) > 1:
        yield SettingError(
            "path",
            f"{folder} holds shards of several splits: {', '.join(sorted(splits))}",
            f"one of them, such as {folder / min(splits)}-*.parquet",
        )


def _missing_shards(files: Sequence[Path]) -> Iterator[SettingError]:
    """A fault for each split whose files do not have all the numbers that they count."""
    there: dict[tuple[Path, str, str], set[int]] = defaultdict(set)
    for file in files:
        if match := SHARD.fullmatch(file.stem):
            there[file.parent, match["split"], match["count"]].add(int(match["number"]))
    for (folder, split, count), numbers in there.items():
        missing = [number for number in range(int(count)) if number not in numbers]
        if missing:
            names = [f"{split}-{number:05d}-of-{count}.parquet" for number in missing[:MOST]]
            more = f" and {len(missing) - MOST} more" if len(missing) > MOST else ""
            yield SettingError(
                "path",
                f"{len(missing)} of {int(count)} shards are missing in {folder}: "
                f"{', '.join(names)}{more}",
                "all of them, or allow_missing_shards: true to train on a part of the data",
            )
