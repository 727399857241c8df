"""The digest of a study in a database, brought up to date: only what is new, or was not over when
it was last looked at, is asked for."""

from __future__ import annotations

import contextlib

import optuna
from optuna.storages import RDBStorage

from sweeper.home import SweepFolder
from sweeper.privacy import private
from sweeper.search.attributes import translated
from sweeper.search.catching_up import Unlike, take
from sweeper.search.digest import Digest, Header
from sweeper.search.foreign import UNMARKED
from sweeper.search.owner import refuse_strangers
from sweeper.search.storage import load_study, open_storage
from sweeper.sweepfile.model import Sweep


def digest_in_database(folder: SweepFolder, sweep: Sweep) -> Digest | None:
    """What the folder's digest and the database say together; None where the study is to be read.

    Raises:
        LedgerError: the study cannot be read.
        AnotherHome: it is driven from another home.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with translated(folder.path):
        place, _ = open_storage(folder, None)
        assert isinstance(place, RDBStorage)
        if sweep.name not in optuna.get_all_study_names(place):
            return None
        study = load_study(sweep, place)
        refuse_strangers(study, folder)
        attrs = study.user_attrs
        if UNMARKED not in attrs:  # whose the entries are is not settled yet
            return None
        before = Digest.read(folder.study_digest)
        for digest in (before, Digest(Header(name=sweep.name, tail=attrs["id"]), {})):
            if digest is not None and digest.header.tail == attrs["id"]:
                digest.header.attrs = attrs
                with contextlib.suppress(Unlike):
                    _look(digest, place, study._study_id, folder)
                    return digest
    return None


def _look(digest: Digest, place: RDBStorage, study: int, folder: SweepFolder) -> None:
    """Take in what has changed; `offset` is the last entry's id.

    Raises:
        Unlike: the digest is of no use.
    """
    header = digest.header
    unfinished = {told["id"] for told in header.open}
    entries = place._get_trials(study, None, unfinished, header.offset)
    known, header.open = header.count, []
    for entry in sorted(entries, key=lambda entry: entry.number):
        take(digest, entry.number, entry)
        header.offset = max(header.offset, entry._trial_id)
        header.count = max(header.count, entry.number + 1)
    if header.count != known + sum(entry.number >= known for entry in entries):
        raise Unlike  # one was committed after others that were made later
    changed = [entry for entry in entries if entry.state.is_finished() or entry.number >= known]
    if len(changed) > (max(50, known // 20) if folder.driver() is not None else 0):
        with contextlib.suppress(OSError), private(folder.path.parent):
            digest.write(folder.study_digest)
