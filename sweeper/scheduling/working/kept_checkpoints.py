"""How a worker keeps checkpoints for other trials, and takes one over (population based training).

Keeping is a hard link: the next checkpoint replaces the file and leaves the link alone. Taking over
is marked in the folder once the training has saved itself as its own, so that a worker which is
killed in between takes over again, and one that is killed later goes on from there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.scheduling.working.messages import KEPT_FOLDER, Work, kept_checkpoint
from sweeper.search.milestones import Milestones
from trials.errors import CheckpointError, StaleCheckpointError
from trials.files import atomic_write, temporary_of
from trials.state.names import ANY_GENERATOR, NEWEST_CHECKPOINT

KEPT = (f"{NEWEST_CHECKPOINT}*", f"{ANY_GENERATOR}*")
"""What another training needs to go on from here, and to know its best generator."""
MARK = "taken_over"
INSTEAD = "its own instead"
"""In a second line of the mark where the other trial's checkpoint could not be had."""
OWN = "own_"
"""Before the name of what a trial has kept of itself while it takes over."""


class Began(NamedTuple):
    """What a training goes on from: the `donor` that it has taken over now, such as
    `00003/kept/000500`, if any; or its `own` checkpoint, in the place of one that it was to take
    over and could not have."""

    donor: str = ""
    own: bool = False


def begin(training: Any, folder: Path, work: Work) -> Began:
    """Restore the training: from its own checkpoint, or from another trial's, where it has not gone
    on from that yet or has lost what it had since.

    Raises:
        StaleCheckpointError: that was trained on other data, or measured by another protocol; or
            it was another trial's, and neither that nor the trial's own can be read.
    """
    mark = folder / MARK
    if work.anew:
        mark.unlink(missing_ok=True)
        shutil.rmtree(folder / KEPT_FOLDER, ignore_errors=True)
        training.forget()
        return Began()
    donor = "" if work.take_over is None else _kept_as(work.take_over)
    marked, own = _marked(mark) if donor else ("", False)
    restored = training.restore() if marked == donor else False
    if work.take_over is None or restored:
        began = Began(own=own)
    else:
        own = not _take_over(training, folder, work.take_over)
        atomic_write(mark, f"{donor}\n{INSTEAD}" if own else donor)
        for place in folder.glob(f"{KEPT_FOLDER}/{OWN}*"):
            shutil.rmtree(place, ignore_errors=True)
        began = Began("" if own else donor, own)
    keep(training, folder, work)
    return began


def _take_over(training: Any, folder: Path, donor: str) -> bool:
    """Go on from the donor's checkpoint; where that is damaged or gone, from the trial's own, with
    the settings that it was to have there. Whether it was the donor's."""
    try:
        training.take_over(Path(donor))
    except StaleCheckpointError:
        raise
    except CheckpointError as error:
        # By another name, since a training that takes over leaves behind what it was before.
        own = folder / KEPT_FOLDER / (OWN + _kept_as(donor).replace("/", "_"))
        if not own.exists():
            _link(folder, own)
        try:
            training.take_over(own)
        except CheckpointError as lost:
            raise StaleCheckpointError(f"{error}; and of its own checkpoint: {lost}") from lost
        training.notes.append(
            f"{error}, which it was to take over; it goes on from its own, with its new settings"
        )
        return False
    return True


def _marked(mark: Path) -> tuple[str, bool]:
    """What the mark says: whose checkpoint was to be taken over, and whether the trial's own was
    taken instead."""
    if not mark.exists():
        return "", False
    donor, _, instead = mark.read_text(errors="replace").partition("\n")
    return _kept_as(donor), instead == INSTEAD


def _kept_as(place: str) -> str:
    """`00003/kept/000500`: a kept checkpoint by what stays the same when the home moves."""
    return "/".join(Path(place).parts[-3:])


def keep(training: Any, folder: Path, work: Work) -> None:
    """Keep the checkpoint that was just saved, if it is the first one at or after a milestone."""
    if work.keep is None or not training.history:
        return
    steps = [0, *(evaluation.step for evaluation in training.history)]
    if Milestones(*work.keep).reached(steps[-2], steps[-1]) is None:
        return
    place = kept_checkpoint(folder, steps[-1])
    if place.exists():
        return
    _link(folder, place)


def _link(folder: Path, place: Path) -> None:
    """Have the training's present checkpoint stay at `place`, whatever becomes of it here."""
    place.parent.mkdir(exist_ok=True)
    with temporary_of(place) as temporary:
        temporary.mkdir()
        for pattern in KEPT:
            for file in folder.glob(pattern):
                os.link(file, temporary / file.name)
        temporary.rename(place)
