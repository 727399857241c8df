"""Looking at the study of a home: what `ls`, `status`, `top` and `show` tell.

Of a study that nobody writes to nothing is read but its digest (`digest`), and nothing of Optuna is
imported.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from sweeper.home import SweepFolder
from sweeper.permissions import private
from sweeper.protocols import measured_in, present
from sweeper.search.address import address_of
from sweeper.search.database_digest import digest_in_database
from sweeper.search.digest import Digest, Header, Unlike, tail_of
from sweeper.search.foreign_entry import ForeignEntry
from sweeper.search.journal_count import OURS, Count
from sweeper.search.study_attributes import BUDGET, PROTOCOL, with_finals
from sweeper.standings import Standings, standings_of
from sweeper.sweepfile.load import read_stored
from sweeper.sweepfile.model import Sweep

ALWAYS_READ = 1 << 18
"""Bytes that a driver may add to a journal before its digest is made anew."""


def sweep_of(folder: SweepFolder) -> Sweep:
    """The sweep that a folder was started with, as last changed."""
    return read_stored(folder.spec_json)


def read_standings(folder: SweepFolder) -> Standings:
    """The standings of a sweep from its study, while it runs too."""
    return read_all(folder)[0]


def read_all(folder: SweepFolder) -> tuple[Standings, list[ForeignEntry]]:
    """The standings of a sweep, and what other people have put into its study, which decides
    nothing.

    Raises:
        LedgerError: the study cannot be read, or is gone.
        AnotherHome: it is driven from another home.
    """
    return look_at(folder, sweep_of(folder))


def look_at(folder: SweepFolder, sweep: Sweep) -> tuple[Standings, list[ForeignEntry]]:
    """The same of a sweep as it is given."""
    address = address_of(None)
    if not address and _has_nothing(folder):
        return standings_of(sweep, ()), []
    with _without_collecting():
        digest = digest_in_database(folder, sweep, address) if address else _digest(folder, sweep)
        if digest is not None:
            return _standings(sweep, digest), digest.foreign
        from sweeper.search.reader import read_study

        study = read_study(sweep, folder)
        if study is None:
            return standings_of(sweep, ()), []
        return study.standings(), study.foreign()


def _has_nothing(folder: SweepFolder) -> bool:
    """Whether no study was ever begun in a folder."""
    left = (folder.study_journal, folder.identity)
    return not any(path.exists() for path in left) and not any(folder.trials.glob("*"))


def _digest(folder: SweepFolder, sweep: Sweep) -> Digest | None:
    """The digest of a folder's journal, up to date; None where the journal itself is to be read."""
    before = Digest.read(folder.study_digest)
    for digest in (before, Digest(Header(name=sweep.name), {})):
        if digest is not None and digest.header.name == sweep.name:
            with contextlib.suppress(OSError):
                if _brought_up_to_date(digest, folder):
                    return digest
    return None


def _brought_up_to_date(digest: Digest, folder: SweepFolder) -> bool:
    """Take in what the journal has gained, and keep the digest where that was much."""
    header = digest.header
    promised = Count(folder.study_journal).read()  # first: the journal may grow
    with folder.study_journal.open("rb") as journal:
        if not digest.fits(journal):
            return False
        journal.seek(header.offset)
        written, _, _ = journal.read().rpartition(b"\n")
        written += b"\n" if written else b""
        header.ours += written.count(OURS)
        if header.ours < promised:
            return False  # operations were lost
        if written:
            from sweeper.search.catching_up import catch_up  # imports Optuna

            try:
                catch_up(digest, written)
            except Unlike:
                return False
        worth = max(ALWAYS_READ, header.offset // 20)
        header.offset += len(written)
        header.tail = tail_of(journal, header.offset)
    if len(written) > (worth if folder.driver() is not None else 0):
        # It is only a copy, and the home may be another's.
        with contextlib.suppress(OSError), private(folder.path.parent):
            digest.write(folder.study_digest)
    return True


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """A study of thousands of trials is hundreds of thousands of objects, none of them a cycle."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what was read stays to the end: looking through it takes as long as reading
        gc.enable()


def _standings(sweep: Sweep, digest: Digest) -> Standings:
    attrs = digest.header.attrs
    trials = [trial for _, (_, trial) in sorted(digest.trials.items())]
    protocol = present(attrs.get(PROTOCOL), measured_in(trials))
    return standings_of(sweep, with_finals(trials, attrs), attrs.get(BUDGET), protocol)
