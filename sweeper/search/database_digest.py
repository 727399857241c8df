"""The digest of a study in a database, brought up to date: only what is new, or was not over when
it was last looked at, is asked for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sweeper.home import SweepFolder
from sweeper.permissions import private
from sweeper.search.digest import Digest, Header, Unlike
from sweeper.search.identity import refuse_strangers
from sweeper.search.study_attributes import UNMARKED
from sweeper.search.tables import Row, Tables, Unread, tables_at
from sweeper.sweepfile.model import Sweep

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def digest_in_database(folder: SweepFolder, sweep: Sweep, address: str) -> Digest | None:
    """What the folder's digest and the database say together; None where the study is to be read.

    Raises:
        AnotherHome: it is driven from another home.
    """
    with contextlib.suppress(Unread), tables_at(address) as tables:
        found = tables.study(sweep.name)
        if found is None:
            return None
        study, attrs = found
        refuse_strangers(sweep.name, attrs, folder)
        if UNMARKED not in attrs:  # whose the entries are is not settled yet
            return None
        before = Digest.read(folder.study_digest)
        for digest in (before, Digest(Header(name=sweep.name), {})):
            if digest is None:
                continue
            fits = digest.header.tail == _tail(tables, study, attrs, digest.header)
            if fits or digest is not before:
                digest.header.attrs = attrs
                with contextlib.suppress(Unlike):
                    _look(digest, tables, study, folder)
                    return digest
    return None


def _tail(tables: Tables, study: int, attrs: dict[str, Any], header: Header) -> str:
    """By what the entries are known that a digest believes to be over: a database that was brought
    back from an older copy has fewer of them, or has made them again later."""
    count, latest = tables.over(study, header.offset, [told["id"] for told in header.open])
    return f"{attrs['id']} {count} {latest}"


def _look(digest: Digest, tables: Tables, study: int, folder: SweepFolder) -> None:
    """Take in what has changed; `offset` is the last entry's id.

    Raises:
        Unlike: the digest is of no use.
        Unread: the database does not answer.
    """
    header = digest.header
    unfinished = [told["id"] for told in header.open]
    rows = tables.entries(study, header.offset, unfinished)
    if not {row.id for row in rows}.issuperset(unfinished):
        raise Unlike
    if not rows:
        return
    from sweeper.search.catching_up import take  # imports Optuna

    known, header.open = header.count, []
    entries = [_entry(row) for row in rows]
    for entry in entries:
        take(digest, entry.number, entry)
        header.offset = max(header.offset, entry._trial_id)
        header.count = max(header.count, entry.number + 1)
    if header.count != known + sum(entry.number >= known for entry in entries):
        raise Unlike  # one was committed after others that were made later
    header.tail = _tail(tables, study, header.attrs, header)
    changed = [entry for entry in entries if entry.state.is_finished() or entry.number >= known]
    if len(changed) > (max(50, known // 20) if folder.driver() is not None else 0):
        with contextlib.suppress(OSError), private(folder.path.parent):
            digest.write(folder.study_digest)


def _entry(row: Row) -> FrozenTrial:
    """A row as Optuna has it."""
    from optuna.trial import FrozenTrial, TrialState

    return FrozenTrial(
        number=row.number,
        trial_id=row.id,
        state=TrialState[row.state],
        value=None,
        values=row.values or None,
        datetime_start=row.started,
        datetime_complete=row.ended,
        params={},
        distributions={},
        user_attrs=row.attrs,
        system_attrs={},
        intermediate_values={},
    )
