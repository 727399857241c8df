"""Letting go of what trials that have ended need no longer: which files, and the note they leave.

A note in the trial's folder says what went and by which setting, for whoever looks for it later.
It is written before the first file goes: what a kill in between leaves, the next look finds again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from sweeper.bucket.copies import Copies, give_up_published, published_in
from sweeper.bucket.giving_up import given_up
from sweeper.bucket.publishing import amend
from sweeper.home import SweepFolder
from sweeper.standings.kept import Kept, may_go_on
from sweeper.sweepfile.sections import Keep
from sweeper.trial import Trial
from trials.errors import TakenOver
from trials.files import atomic_write
from trials.state.names import ANY_GENERATOR, NEWEST_CHECKPOINT, PREVIOUS_CHECKPOINT

Kind = Literal["checkpoints", "generators", "samples"]
"""Of a file: the setting of `keep` that it stays or goes by."""

NOTE = "let_go.json"
_NOTES = TypeAdapter(dict[str, str])


class Going(NamedTuple):
    """A file that is to go: its `name` in the trial's folder, and the bytes that it takes."""

    kind: Kind
    name: str
    size: int


def goes(names: Iterable[str], trial: Trial, kept: Kept, keep: Keep) -> dict[str, Kind]:
    """Those of a trial's files that need not stay, by their names; of one that may still go on,
    none."""
    if may_go_on(trial):
        return {}
    gone: list[tuple[str, Kind]] = []
    if kept.checkpoints is not None:
        gone.append((PREVIOUS_CHECKPOINT, "checkpoints"))  # nobody goes back behind an end
        if trial.number not in kept.checkpoints:
            gone.append((NEWEST_CHECKPOINT, "checkpoints"))
    if kept.generators is not None and trial.number not in kept.generators:
        gone.append((ANY_GENERATOR, "generators"))
    earlier = _drawn(trial)[:-1] if keep.samples == "last" else []
    found: dict[str, Kind] = {}
    for name in names:
        if name in earlier:
            found[name] = "samples"
        for beginning, kind in gone:
            if name.startswith(beginning):
                found[name] = kind
    return found


def going(folder: Path, trial: Trial, kept: Kept, keep: Keep) -> list[Going]:
    """What a trial has in its folder and need not keep."""
    names = (*_listed(folder), *_drawn(trial))
    return list(_there(folder, goes(names, trial, kept, keep)))


def let_go(folder: Path, files: Iterable[Going], keep: Keep) -> None:
    """Remove these files of a trial; in a bucket they are given up, and go when the store answers.
    What cannot be removed stays, and is found again."""
    files = list(files)
    if not files:
        return
    told = notes(folder) | {file.kind: str(getattr(keep, file.kind)) for file in files}
    with contextlib.suppress(
        OSError
    ):  # a disk that is full is to have room, with a note or without
        atomic_write(folder / NOTE, _NOTES.dump_json(told, indent=2) + b"\n")
    for file in files:
        with contextlib.suppress(OSError):
            (folder / file.name).unlink(missing_ok=True)
    give_up_published(folder, (file.name for file in files))


def let_go_afar(
    folder: SweepFolder,
    copies: Copies,
    come: Callable[[int, set[str]], object] = lambda number, names: None,
) -> None:
    """Let go in the bucket of what has been given up; `come` is told of a trial whose files have
    come here meanwhile.

    Raises:
        BucketError: the store does not answer (BucketAway), or refuses; it is still given up.
    """
    for number, names, attempt, done in given_up(folder):
        note, store = folder.trial(number) / NOTE, copies.commits(number).store
        plus = {NOTE: note.read_bytes()} if note.is_file() else {}
        with contextlib.suppress(TakenOver):  # it is tried again, and keeps everything
            amend(store, attempt, without=names, plus=plus)
            come(number, copies.bring(number))
        done()


def notes(folder: Path) -> dict[str, str]:
    """What a trial has let go of: kind → the setting by which; empty where that is nothing, or the
    note is damaged."""
    try:
        return _NOTES.validate_json((folder / NOTE).read_bytes())
    except (OSError, ValidationError):
        return {}


def why_gone(folder: Path, kind: Kind) -> str:
    """That a trial has its checkpoint or its generator no longer, in a sentence; empty where it is
    there, or never was."""
    what, beginning = {
        "checkpoints": ("its checkpoint", NEWEST_CHECKPOINT),
        "generators": ("its generator", ANY_GENERATOR),
        "samples": ("every picture but the last", "\0"),
    }[kind]
    setting = notes(folder).get(kind)
    if setting is None or any(name.startswith(beginning) for name in _listed(folder)):
        return ""
    return f"{what} was let go (keep.{kind}: {setting})"


def told(folder: Path) -> list[str]:
    """What a trial has no longer, each in a sentence."""
    kinds: tuple[Kind, ...] = ("checkpoints", "generators", "samples")
    return [sentence for kind in kinds if (sentence := why_gone(folder, kind))]


def _drawn(trial: Trial) -> list[str]:
    """The pictures of a trial, in the order of their steps."""
    return [one.samples for one in trial.evaluations if one.samples]


def _listed(folder: Path) -> list[str]:
    """What a trial has: in its folder, and in the bucket where it publishes."""
    try:
        return [*os.listdir(folder), *published_in(folder)]
    except OSError:
        return []


def _there(folder: Path, names: Mapping[str, Kind]) -> Iterator[Going]:
    """Those of these files that are there, each inside the folder, whatever the study says."""
    published = published_in(folder)
    for name, kind in names.items():
        path = folder / name
        inside = ".." not in Path(name).parts and path.is_relative_to(folder)
        if name in published:
            yield Going(kind, name, published[name])
        elif inside and path.is_file():
            yield Going(kind, name, path.lstat().st_size)
