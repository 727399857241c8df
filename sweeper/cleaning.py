"""Cleaning a sweep that nobody drives: what its trials need not keep goes, in MLflow too.

A driver lets go by itself while it runs (`scheduling.keeping`). This is for sweeps that were run
before there was `keep`, or that are to keep less than they did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sweeper.bucket.copies import PUBLISHED, bring_all, copies_of
from sweeper.bucket.giving_up import given_up
from sweeper.bucket.usage import forget
from sweeper.home import Home, SweepFolder
from sweeper.retention import Going, goes, going, let_go, let_go_afar
from sweeper.standings import Standings
from sweeper.standings.kept import kept_in
from sweeper.standings.progress import OVER, progress_of
from sweeper.sweepfile.sections import Keep
from sweeper.tracking import Outbox
from sweeper.tracking.address import tracking_uri
from sweeper.tracking.copies import copies_in
from sweeper.tracking.elsewhere import keep_to
from sweeper.tracking.handle import sync
from sweeper.tracking.left import Left
from sweeper.tracking.moved import follow_home


@dataclass(frozen=True)
class Leaving:
    """What one trial lets go of: `files` in its folder, and `copies` of MLflow's by their names."""

    number: int
    files: tuple[Going, ...]
    copies: tuple[str, ...]


def leavings(folder: SweepFolder, standings: Standings, keep: Keep) -> list[Leaving]:
    """What would go by `keep`, trial by trial; those that let go of nothing are left out.

    Raises:
        TrackingError: the outbox cannot be read.
        BucketError: what its trials have published cannot be looked at.
    """
    bring_all(folder)
    kept = kept_in(standings, keep, settled=progress_of(standings).state in OVER)
    copies = copies_in(folder.outbox)
    found = [
        Leaving(
            trial.number,
            tuple(going(folder.trial(trial.number), trial, kept, keep)),
            tuple(goes(copies.get(trial.number, ()), trial, kept, keep)),
        )
        for trial in standings.trials
    ]
    return [one for one in found if one.files or one.copies]


def clean(
    home: Home, folder: SweepFolder, standings: Standings, leaving: Iterable[Leaving], keep: Keep
) -> Left | None:
    """Let go of all that, under the sweep's lock. Returns what MLflow does not know yet; None where
    the sweep is not recorded.

    Each step may be made again: a kill in the middle costs nothing but time.

    Raises:
        TrackingError: MLflow's address cannot be used, or is another than the sweep is recorded at:
            then nothing has gone.
        BucketError: the bucket that its trials publish in does not answer; what was to go there is
            given up, and goes with the next run or cleaning.
    """
    address = tracking_uri(home.path, standings.sweep.tracking.uri)
    recorded = folder.outbox.exists()
    if recorded:
        follow_home(address, home.mlartifacts)
        keep_to(folder.outbox, address, home.mlartifacts, folder.name + home.flag)
        with Outbox(folder.outbox) as outbox, outbox.batch():
            for one in leaving:
                names = {PUBLISHED, *one.copies, *(file.name for file in one.files)}
                model = any(file.kind == "generators" for file in one.files)
                outbox.let_go(one.number, names, model=model)
    for one in leaving:
        let_go(folder.trial(one.number), one.files, keep)
    if copies := copies_of(folder):
        try:
            let_go_afar(folder, copies)
        finally:
            forget(folder)
            if recorded:
                _tell_what_is_left(folder, standings)
    return sync(folder.outbox, address, home.mlartifacts) if recorded else None


def _tell_what_is_left(folder: SweepFolder, standings: Standings) -> None:
    """MLflow is to have again where what trials have published lies, but for those of which
    something is still to go."""
    waiting = {one.number for one in given_up(folder)}
    with Outbox(folder.outbox) as outbox, outbox.batch():
        for trial in standings.trials:
            told = folder.trial(trial.number) / PUBLISHED
            if trial.over and trial.number not in waiting and told.is_file():
                outbox.artifact(trial.number, told, PUBLISHED)
