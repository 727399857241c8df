"""What is to go from the bucket, written down in the sweep's folder until it has gone.

    .given_up/00012-5b1e…    names of trial 12's files, and the attempt that had published them

Letting go is a matter of the folder (`sweeper.retention`), and the store may be away meanwhile. A
trial that has another attempt by then, since it is tried again, keeps everything.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sweeper.home import SweepFolder
from trials.files import atomic_write

_FOLDER = ".given_up"


class GivenUp(NamedTuple):
    """Names of a trial's files, all that one `attempt` had published and that is to go, and what to
    call once they are gone."""

    number: int
    names: set[str]
    attempt: str
    done: Callable[[], None]


def give_up(trial: Path, names: Iterable[str], attempt: str) -> None:
    """Files that an attempt at the trial with this folder has published are to go."""
    place = trial.parents[1] / _FOLDER
    place.mkdir(exist_ok=True)
    told = {"names": sorted(names), "attempt": attempt}
    atomic_write(place / f"{trial.name}-{secrets.token_hex(8)}", json.dumps(told))


def given_up(folder: SweepFolder) -> list[GivenUp]:
    """What has not gone yet: once for each trial, or for each attempt whose files are to go."""
    names: dict[tuple[int, str], set[str]] = defaultdict(set)
    notes: dict[tuple[int, str], list[Path]] = defaultdict(list)
    for file in sorted((folder.path / _FOLDER).glob("[0-9]*")):
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:  # it has gone this instant
            continue
        whose = int(file.name.partition("-")[0]), told["attempt"]
        names[whose] |= set(told["names"])
        notes[whose].append(file)
    return [
        GivenUp(number, names[number, attempt], attempt, partial(_gone, notes[number, attempt]))
        for number, attempt in sorted(names)
    ]


def _gone(notes: Iterable[Path]) -> None:
    for note in notes:
        note.unlink(missing_ok=True)
