"""Whose a study is: the one home that runs it, and the one driver that writes it now.

The study's attribute `owner` holds

    home       the random name of the sweep's folder, which its file `identity` holds too
    path       where that folder was when a driver last ran there
    attempt    how many drivers have taken the study up, this one included
    bucket     the address that its trials publish at, where they do: decided as the study begins

A folder that was moved has its name with it, and goes on. Another folder is refused, also where it
has the sweep's name and a copy of its journal, until somebody says by `--adopt` that the study is
to be its own. The attempt is looked at before every write, and in a database once more inside each
transaction that writes, under a lock that the next driver has to wait for: what a driver writes
that has been superseded, frozen between any two instructions or on another machine, never comes
into the study.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.storages import RDBStorage
from optuna.study import Study

from sweeper.bucket.place import given_bucket
from sweeper.errors import AnotherHome, LedgerError, Superseded
from sweeper.home import SweepFolder
from sweeper.search.attributes import translated
from sweeper.search.identity import Identity, is_copy, lost, refusal
from sweeper.search.study_attributes import OWNER, UNMARKED

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Owner:
    """A folder's claim to a study, and from `take` on one driver's hold of it."""

    def __init__(self, study: Study, folder: SweepFolder, *, shared: bool) -> None:
        """`shared` says whether the study is kept outside the folder, where others can be its."""
        self._study = study
        self._folder = folder
        self._shared = shared
        self._mine: dict[str, Any] = {}

    def take(self, *, adopt: bool) -> str:
        """Make this process the study's one driver; `adopt` if it is another home's so far.

        Returns the study's id, which names it for ever, also beside others of its name.

        Raises:
            AnotherHome: the study is driven from another folder.
            LedgerError: the folder has begun another study of this name.
        """
        attrs = self._study.user_attrs
        identity, owner = Identity.of(self._folder), attrs.get(OWNER)
        foreign = owner is not None and (
            identity is None
            or owner["home"] != identity.home
            or (self._shared and is_copy(self._folder, owner))
        )
        if owner is not None and foreign and not adopt:
            raise AnotherHome(refusal(self._study.study_name, owner["path"]))
        if identity is None or foreign:
            identity = Identity(uuid.uuid4().hex)
            identity.keep(self._folder)
        elif identity.study is not None and identity.study != attrs.get("id") and not adopt:
            raise LedgerError(lost(self._folder))
        name = attrs.get("id") or f"{self._study.study_name}-{uuid.uuid4().hex}"
        if "id" not in attrs:
            self._study.set_user_attr("id", name)
        if UNMARKED not in attrs:
            count = len(self._study.get_trials(deepcopy=False)) if "fingerprint" in attrs else 0
            self._study.set_user_attr(UNMARKED, count)
        self._mine = {
            "home": identity.home,
            "path": str(self._folder.path),
            "attempt": (owner["attempt"] if owner else 0) + 1,
        }
        if bucket := self._bucket(name, attrs):
            self._mine["bucket"] = bucket
        self._study.set_user_attr(OWNER, self._mine)
        self.check()
        if identity.study != name:
            Identity(identity.home, name).keep(self._folder)
        return str(name)

    @staticmethod
    def _bucket(name: str, attrs: Mapping[str, Any]) -> str:
        if OWNER in attrs:
            return str(attrs[OWNER].get("bucket", ""))
        begins = "fingerprint" not in attrs
        return f"{bucket}/{name}" if begins and (bucket := given_bucket()) else ""

    @property
    def attempt(self) -> int:
        return int(self._mine["attempt"])

    @property
    def bucket(self) -> str:
        return str(self._mine.get("bucket", ""))

    def check(self) -> None:
        """See that no other driver has taken the study up since.

        Raises:
            Superseded: one has.
            LedgerError: the study is no longer there.
        """
        try:
            now = self._study._storage.get_study_user_attrs(self._study._study_id).get(OWNER)
        except KeyError as error:
            name = self._study.study_name
            raise LedgerError(f"the study {name!r} has been deleted by another program") from error
        self._compare(now)

    def superseded(self) -> str:
        """Who has taken the study up since, in words; empty where nobody is known to have."""
        try:
            with translated():
                self.check()
        except Superseded as error:
            return str(error)
        except LedgerError:
            return ""
        return ""

    def guard(self, database: RDBStorage) -> None:
        """From now on every transaction that writes to the database by this storage sees to it, and
        fails with Superseded otherwise.

        It looks after its first change: then SQLite lets nobody else write until it ends. For other
        databases it locks the owner's row against change.
        """
        from optuna.storages._rdb.models import StudyUserAttributeModel as Attribute
        from sqlalchemy import event, select

        ours = (Attribute.study_id == self._study._study_id, Attribute.key == OWNER)
        look = select(Attribute.value_json).where(*ours).with_for_update(read=True)
        mark = "sweeper: the owner was looked at"

        def begun(connection: Connection) -> None:
            connection.info.pop(mark, None)

        def executed(connection: Connection, statement: Any, *_: Any) -> None:
            if getattr(statement, "is_dml", False) and mark not in connection.info:
                connection.info[mark] = True
                found = connection.execute(look).scalar()
                self._compare(None if found is None else json.loads(found))

        event.listen(database.engine, "begin", begun)
        event.listen(database.engine, "after_execute", executed)

    def _compare(self, now: Mapping[str, Any] | None) -> None:
        if now != self._mine:
            name = self._study.study_name
            there = f"{now['path']} (attempt {now['attempt']})" if now else "nobody"
            raise Superseded(
                f"the study {name!r} is now driven from {there}; this driver, attempt "
                f"{self._mine['attempt']}, writes nothing more"
            )
