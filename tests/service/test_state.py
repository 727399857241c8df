"""The service's database: migrations, tokens, and events without a gap; SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psutil
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Engine, create_engine, event, exc, make_url, text

from sweeper.errors import SweeperError, UserError
from sweeper.service import sole as sole_service
from sweeper.service.sole import Sole
from sweeper.service.state import accounts, events, listing, session_locks
from sweeper.service.state import database as database_module
from sweeper.service.state.accounts import Scope
from sweeper.service.state.database import Database, DatabaseError
from sweeper.service.state.tables import Table
from tests.service.conftest import Lab


def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    database.upgrade()  # again: nothing to do
    with database.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_what_an_older_version_s_tokens_were_made_with_is_found_in_the_audit_log(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(empty_database)
    with monkeypatch.context() as older:
        upgrade = command.upgrade
        older.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
        database.upgrade()
    token = "INSERT INTO tokens (id, person_id, name, hash, scope, created) VALUES "
    with database.writing() as session:
        session.execute(text("INSERT INTO people VALUES (1, 'bo', 1, NULL, NULL, NULL, 1)"))
        session.execute(
            text(token + "('old', 1, '', '', 'read', 1), ('new', 1, '', '', 'read', 2)")
        )
        session.execute(
            text(
                "INSERT INTO audit (id, time, person, token_id, address, action, target, detail) "
                "VALUES (1, 2, 'bo', 'old', '', 'make a token', 'new', '{}')"
            )
        )
    database.upgrade()
    with database.reading() as session:
        made_with = {one.id: one.made_with for one in accounts.tokens_of(session)}
    assert made_with == {"old": None, "new": "old"}
    database.close()


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="made by a newer sweeper"):
        database.upgrade()


def test_processes_that_upgrade_at_once_are_in_no_one_s_way(database: Database) -> None:
    others = [Database(database.url) for _ in range(4)]
    threads = [threading.Thread(target=other.upgrade) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert events.last_event(session) == 0
    for other in others:
        other.close()


def test_a_lock_has_one_holder_and_is_free_again(database: Database) -> None:
    other = Database(database.url)
    with (
        database.lock("dispatcher") as mine,
        other.lock("dispatcher") as theirs,
        other.lock("another") as free,
    ):
        assert [bool(one) for one in (mine, theirs, free)] == [True, False, True]
    with other.lock("dispatcher") as theirs:
        assert theirs
    other.close()


def test_a_service_whose_lock_went_with_its_connection_takes_it_again_or_ends(
    empty_database: str,
) -> None:
    database, other = Database(empty_database), Database(empty_database)
    sole = Sole(database)

    def restart() -> None:
        with other.reading() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT pid FROM pg_locks "
                    "WHERE locktype = 'advisory') AS holders"
                )
            )

    sole.look()
    restart()
    sole.look()
    with other.lock("serve") as theirs:
        assert not theirs
    restart()
    with other.lock("serve") as theirs:
        assert theirs
        with pytest.raises(SweeperError, match="another `sweeper serve` is at work"):
            sole.look()
    database.close()
    other.close()


def test_a_database_that_is_away_is_told_of_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away, ended = DatabaseError("no answer"), SweeperError("another one")
    said = iter((away, away, None, away, DatabaseError("no room"), ended))

    def look(self: Sole) -> None:
        if (error := next(said)) is not None:
            raise error

    monkeypatch.setattr(sole_service, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(Sole, "look", look)
    watched = Sole(database)
    watched.watch(lambda: None)
    with pytest.raises(SweeperError, match="another one"):
        watched.close()
    told = [record.args[0] for record in caplog.records]
    assert list(map(str, told)) == ["no answer", "no answer", "no room"]


def test_a_service_whose_connection_the_network_has_cut_takes_its_lock_again(
    empty_database: str,
) -> None:
    """PostgreSQL is not told of the cut: to it the session goes on, and has the lock."""
    database, other = Database(empty_database), Database(empty_database)
    sole = Sole(database)
    with _cut_off(empty_database):
        sole.look()
    sole.look()
    with other.lock("serve") as theirs:
        assert not theirs
    sole.close()
    with other.lock("serve") as theirs:
        assert theirs
    database.close()
    other.close()


@pytest.mark.parametrize(
    ("when", "at"),
    [
        ("before_cursor_execute", "pg_terminate_backend"),
        ("after_cursor_execute", "pg_try_advisory_lock"),
    ],
)
def test_a_second_failure_of_the_network_leaves_no_lock_to_a_dead_session(
    when: str, at: str, empty_database: str
) -> None:
    """The holder that nobody can see any more is this process's own, and no other service."""
    database = Database(empty_database)
    sole = Sole(database)
    with ExitStack() as cut:
        cut.enter_context(_cut_off(empty_database))

        def fail(connection: object, cursor: object, statement: str, *_: object) -> None:
            if at in statement:
                event.remove(Engine, when, fail)
                cut.enter_context(_cut_off(empty_database))
                raise exc.OperationalError(statement, {}, OSError("cut off"))

        event.listen(Engine, when, fail)
        with pytest.raises(DatabaseError, match="cut off"):
            sole.look()
        sole.look()
        with closing(Database(empty_database)) as other, other.lock("serve") as theirs:
            assert not theirs
    sole.close()
    database.close()


def test_our_own_dead_session_that_does_not_end_is_no_other_service(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(empty_database)
    sole = Sole(database)
    with _cut_off(empty_database):
        monkeypatch.setattr(session_locks, "PATIENCE", 0.0)
        monkeypatch.setattr(session_locks, "_END", "SELECT :pid, :began, :high, :low")
        for _ in range(2):
            with pytest.raises(DatabaseError, match="a lost session of our own"):
                sole.look()
        monkeypatch.undo()
        sole.look()
    sole.close()
    database.close()


def test_a_database_none_of_whose_connections_is_free_cannot_be_used(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(url: URL, **given: Any) -> Engine:
        few = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
        return create_engine(url, **{**given, **few})

    monkeypatch.setattr(database_module, "create_engine", narrow)
    with closing(Database(database.url)) as full, full.reading() as session:
        events.last_event(session)
        with pytest.raises(DatabaseError, match="cannot be used: QueuePool limit"):
            full.answers()


@contextmanager
def _cut_off(address: str) -> Iterator[None]:
    """Cut this process's connections to the server at this end alone."""
    ours = [
        one.fd
        for one in psutil.Process().net_connections("tcp")
        if one.raddr and one.raddr.port == make_url(address).port
    ]
    kept = [os.dup(fd) for fd in ours]  # so that the server's end stays open
    for fd in ours:
        dead, end = socket.socketpair()
        end.close()
        os.dup2(dead.fileno(), fd)
        dead.close()
    yield
    for fd in kept:
        os.close(fd)


def test_a_lock_excludes_the_version_before(postgres: str) -> None:
    """In the schema `public` its key was made of the name alone."""
    key = int.from_bytes(hashlib.sha256(b"serve").digest()[:8], signed=True)
    with closing(Database(postgres)) as database, database.reading() as before:
        assert before.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key})
        with database.lock("serve") as mine:
            assert not mine
        before.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})


def test_services_in_two_schemas_of_a_database_are_in_no_one_s_way(empty_database: str) -> None:
    with closing(Database(empty_database)) as database, database.writing() as session:
        schema = session.scalar(text("SELECT current_schema()"))
        session.execute(text(f"CREATE SCHEMA {schema}_two"))
    one, two = Database(empty_database), Database(empty_database.replace(schema, f"{schema}_two"))
    with one.lock("serve") as mine, two.lock("serve") as theirs:
        assert mine
        assert theirs
    one.close()
    two.close()


def test_event_numbers_have_no_gap_and_arrive_in_order(database: Database) -> None:
    """Writers that fail in the middle leave no hole, and no number shows before a lower one."""
    seen: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        last = False
        while not last:
            last = stop.is_set()  # before it looks: what was written by then is there
            with database.reading() as session:
                fresh = events.events_after(session, seen[-1] if seen else 0)
            seen.extend(event.id for event in fresh)

    def write(failing: bool) -> None:
        for number in range(30):
            try:
                with database.writing() as session:
                    events.add_event(session, None, "noted", {"number": number})
                    if failing and number % 3 == 0:
                        raise RuntimeError("killed")
            except RuntimeError:
                continue

    writers = [threading.Thread(target=write, args=(failing,)) for failing in (False, True, True)]
    watcher = threading.Thread(target=watch)
    for thread in (watcher, *writers):
        thread.start()
    for writer in writers:
        writer.join()
    stop.set()
    watcher.join()
    assert seen == list(range(1, 71))


def test_a_token_is_kept_as_its_hash_and_ends(either_lab: Lab) -> None:
    with either_lab.database.writing() as session:
        token, words = accounts.add_token(
            session, either_lab.person("bo"), "laptop", Scope.READ, days=1
        )
    secret = words.split("_", 2)[2]  # which may have more of them
    assert secret not in str(vars(token))
    with either_lab.database.reading() as session:
        caller = accounts.caller_with_token(session, words)
        assert caller is not None
        assert (caller.person.name, caller.scope) == ("bo", Scope.READ)
        for wrong in (words + "x", words[:-1], "", "swp", f"swp_{token.id}", secret):
            assert accounts.caller_with_token(session, wrong) is None
    with either_lab.database.writing() as session:
        accounts.revoke(session, token.id)
    with either_lab.database.writing() as session:
        assert accounts.caller_with_token(session, words) is None
        late, words = accounts.add_token(
            session, either_lab.person("bo"), "old", Scope.READ, days=1
        )
        late.expires = time.time() - 1
    with either_lab.database.reading() as session:
        assert accounts.caller_with_token(session, words) is None


def test_a_browser_is_signed_out_with_its_token(lab: Lab) -> None:
    with lab.database.writing() as session:
        caller = accounts.caller_with_token(session, lab.tokens["bo"])
        assert caller is not None
        cookie = accounts.sign_in(session, caller)
    with lab.database.reading() as session:
        signed_in = accounts.caller_with_cookie(session, cookie)
        assert signed_in is not None
        assert signed_in.csrf
    with lab.database.writing() as session:
        accounts.revoke(session, caller.token.id)
        assert accounts.caller_with_cookie(session, cookie) is None


@pytest.mark.parametrize("name", ["", " ", "a" * 101, "line\nbreak", "ada"])
def test_a_person_needs_a_name_of_their_own(lab: Lab, name: str) -> None:
    with pytest.raises(UserError), lab.database.writing() as session:
        accounts.add_person(session, name)


def test_sqlite_finds_a_word_however_its_letters_are_written(lab: Lab) -> None:
    """Of itself it knows the small forms of ASCII alone; PostgreSQL those of its locale."""
    with lab.database.writing() as session:
        accounts.add_person(session, "Ärzte Özlem")
    lab.submit("Ärzte Özlem", "small")
    with lab.database.reading() as session:
        for text in ("ärzte", "ÖZLEM SMALL", "zlem"):
            assert listing.count(session, listing.Wish(text=text)) == 1, text
        assert listing.count(session, listing.Wish(text="orzte")) == 0
