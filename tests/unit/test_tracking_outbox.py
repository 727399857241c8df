"""The outbox keeps what was said once, whatever the order, however often it is said."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.errors import TrackingError
from sweeper.tracking import SWEEP, Outbox, waiting
from sweeper.tracking.backlog import Backlog
from sweeper.tracking.receipts import Receipts

Fact = tuple[str, Callable[[Outbox], None]]


def facts(folder: Path) -> list[Fact]:
    """What a driver says of a sweep with two trials, each fact with a name to show."""
    grid = folder / "grid.png"
    grid.write_bytes(b"png")
    said: list[Fact] = [
        ("sweep", lambda o: o.sweep_started("s", study="id", time=1.0)),
        ("table", lambda o: o.table("ablation", {"trick": ["ema"], "fid": [1.0]})),
    ]
    for number in (0, 1):
        said += [
            (
                f"start {number}",
                lambda o, n=number: o.trial_started(
                    n, params={"lr": n}, tags={"a": "1"}, note="x", time=2.0
                ),
            ),
            (
                f"end {number}",
                lambda o, n=number: o.trial_ended(
                    n, "completed", tags={"b": "2"}, note="y", time=9.0
                ),
            ),
            (f"tag {number}", lambda o, n=number: o.tagged(n, {"c": 3})),
            (f"grid {number}", lambda o, n=number: o.artifact(n, grid, "samples/1.png")),
            (f"model {number}", lambda o, n=number: o.model(n, folder)),
        ]
        said += [
            (
                f"metrics {number}@{step}",
                lambda o, n=number, s=step: o.evaluated(
                    n, s, {"fid": s / 2, "nan": float("nan")}, s
                ),
            )
            for step in (1, 2)
        ]
    return said


def contents(path: Path) -> dict[str, Any]:
    """Everything in the outbox but revision counts and the driver's session."""
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        kept = {
            table: [
                {key: row[key] for key in row.keys() if key not in ("revision", "sent")}  # noqa: SIM118
                for row in db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
            ]
            for table in ("runs", "metrics", "files", "models")
        }
    db.close()
    return kept


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_order_and_repetition_of_facts_leaves_the_same_outbox(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    said = facts(folder)
    with Outbox(folder / "plain.db") as plain:
        for _, say in said:
            say(plain)
    order = data.draw(st.permutations(said))
    again = data.draw(st.lists(st.sampled_from(said), max_size=12))
    with Outbox(folder / "shuffled.db") as shuffled:
        for _, say in [*order, *again]:
            say(shuffled)
        assert shuffled.left().pending == waiting(folder / "plain.db").pending
    assert contents(folder / "shuffled.db") == contents(folder / "plain.db")


def test_saying_a_thing_again_does_not_make_it_wait_again(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    said = facts(tmp_path)
    with Outbox(path) as outbox, Backlog(path) as backlog:
        for _, say in said:
            say(outbox)
        for number in backlog.waiting():
            Receipts(backlog).set_aside_run(number, "taken")
        assert outbox.left().pending == 0
        for _, say in said:
            say(outbox)
        assert outbox.left().pending == 0
        (tmp_path / "grid.png").write_bytes(b"another picture")
        outbox.artifact(0, tmp_path / "grid.png", "samples/1.png")
        assert outbox.left().pending == 1


def test_only_an_interrupted_trial_is_reopened_by_its_start(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox:
        for number in range(4):
            outbox.trial_started(number)
        outbox.trial_ended(0, "completed")
        outbox.trial_ended(1, "failed")
        outbox.trial_ended(2, "interrupted", tags={"sweeper.symptom": "worker_died"})
    # The driver dies with trial 3 running; the next one takes over.
    with Outbox(path) as outbox, Backlog(path) as backlog:

        def states() -> list[str]:
            rows = [backlog.run(number) for number in range(4)]
            return [row.state for row in rows if row is not None]

        assert states() == ["completed", "failed", "interrupted", "interrupted"]
        for number in range(4):
            outbox.trial_started(number)
        assert states() == ["completed", "failed", "running", "running"]
        row = backlog.run(2)
        assert row is not None
        assert "sweeper.symptom" not in row.tags
        outbox.trial_ended(0, "interrupted")
        assert states()[0] == "completed"
        outbox.reopened(1)  # a trial that failed is tried again
        assert states()[1] == "interrupted"
        outbox.trial_started(1)
        outbox.trial_ended(1, "completed")
        assert states()[1] == "completed"


def test_the_first_value_of_a_metric_at_a_step_stands(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox, Backlog(path) as backlog:
        outbox.trial_started(0)
        outbox.evaluated(0, 1, {"fid": 3.0, "gap": None, "blown": float("inf")}, 10.0)
        outbox.evaluated(0, 1, {"fid": 4.0, "late": 1.0}, 20.0)
        rows = {(row.key, row.step): (row.value, row.time) for row in backlog.metrics(0, 10)}
    assert rows == {
        ("fid", 1): (3.0, 10_000),
        ("blown", 1): (float("inf"), 10_000),
        ("late", 1): (1.0, 20_000),
    }


def test_a_second_driver_ends_the_first_ones_writer(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as first, Backlog(path, first.session) as backlog:
        first.trial_started(0)
        assert not backlog.superseded()
        with Outbox(path) as second:
            second.trial_started(0)
            assert backlog.superseded()
            backlog.interrupt()
            row = backlog.run(0)
            assert row is not None
            assert row.state == "running"


def test_what_cannot_be_kept_is_said_at_once_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox:
        outbox.sweep_started("s", study="one")
        with pytest.raises(TrackingError, match="belongs to the study one"):
            outbox.sweep_started("s", study="two")
        with pytest.raises(TrackingError, match="cannot record"):
            outbox.artifact(SWEEP, tmp_path / "absent.png", "absent.png")
        before = outbox.left().pending
        # What a full disk does, at the moment it is full.
        with outbox._database.reading() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(TrackingError, match="full"):
            outbox.table("large", {"text": ["x" * 1_000_000]})
        with outbox._database.reading() as connection:
            connection.execute("PRAGMA max_page_count = 1000000")
        assert outbox.left().pending == before
        outbox.table("small", {"text": ["x"]})
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(TrackingError, match=r"damaged.*taken from the ledger"):
        Outbox(damaged)
    assert damaged.read_bytes().startswith(b"this is no database")


def test_what_is_recorded_holds_no_secret_of_an_address(tmp_path: Path) -> None:
    told = "see http://me:hunter2@mlflow or postgresql://db/x?password=hunter2"
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.sweep_started("s", study="id", note=told)
        outbox.trial_started(0, params={"data": told}, tags={"why": told})
        outbox.trial_ended(0, "failed", tags={"why": told}, note=told)
        outbox.sweep_ended("failed", note=told)
    rows = contents(tmp_path / "outbox.db")["runs"]
    assert "hunter2" not in str(rows)
    assert str(rows).count("me:***@mlflow") == 6
