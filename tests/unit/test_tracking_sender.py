"""Whatever goes wrong between outbox and MLflow: in the end each fact is there, and there once."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.errors import RecordedElsewhere
from sweeper.tracking import SWEEP, Outbox
from sweeper.tracking.backlog import Backlog, MetricRow
from sweeper.tracking.batches import (
    MAX_CHARACTERS,
    MAX_METRICS,
    MAX_PARAMS,
    Param,
    Tag,
    batches,
)
from sweeper.tracking.elsewhere import keep_to
from sweeper.tracking.patience import PATIENCE
from sweeper.tracking.receipts import Receipts
from sweeper.tracking.sender import Sender
from sweeper.tracking.store import Known, Refused, Unreachable
from tests.fake_mlflow import FakeStore


def model_uri(*_: object) -> str:
    return "models:/m-1"


def new_sender(backlog: Backlog, store: FakeStore) -> Sender:
    return Sender(backlog, store, "me", model_uri)  # type: ignore[arg-type]


def say_sweep(outbox: Outbox, folder: Path, trials: int = 3) -> None:
    grid = folder / "grid.png"
    if not grid.exists():
        grid.write_bytes(b"png")
    outbox.sweep_started("s", study="id", time=1.0)
    for number in range(trials):
        parent = 0 if number == 2 else None
        outbox.trial_started(number, params={"lr": number}, parent=parent, time=2.0)
        outbox.tagged(number, {"protocol.data": "digits", "protocol.data_hash": "f" * 64})
        for step in (1, 2):
            outbox.evaluated(number, step, {"fid": step / 2, "kid": 1.0}, step)
        outbox.artifact(number, grid, "samples/1.png")
        outbox.trial_ended(number, "completed", tags={"symptom": "none"}, time=3.0)
    outbox.table("ablation", {"trick": ["ema"]})
    outbox.model(1, folder)
    outbox.tagged(SWEEP, {"sweeper.winner": "00001"})
    outbox.sweep_measured({"base/fid": 2.0})
    outbox.experiment({"mlflow.note.content": "what it is"})
    outbox.sweep_ended("finished", time=4.0)


def assert_complete(store: FakeStore) -> None:
    runs = store.active()
    assert set(runs) == {"sweep", "00000", "00001", "00002"}
    assert {run.status for run in runs.values()} == {"FINISHED"}
    for number in range(3):
        run = runs[f"{number:05d}"]
        assert run.params == {"lr": str(number)}
        assert run.metrics == {
            (key, step, value, step * 1000)
            for step in (1, 2)
            for key, value in (("fid", step / 2), ("kid", 1.0))
        }
        assert run.files == {"samples/1.png": b"png"}
        assert [(data.name, data.digest) for data in run.data] == [("digits", "f" * 36)]
        assert run.tags["symptom"] == "none"
    assert runs["00002"].tags["mlflow.parentRunId"] == runs["00000"].run_id
    assert runs["00001"].tags["mlflow.parentRunId"] == runs["sweep"].run_id
    assert runs["sweep"].tags["sweeper.model"] == "models:/m-1"
    assert {(key, step, value) for key, step, value, _ in runs["sweep"].metrics} == {
        ("base/fid", 0, 2.0)
    }
    assert store.tags == {"mlflow.note.content": "what it is"}
    assert set(runs["sweep"].files) == {"tables/ablation.csv", "tables/ablation.json"}


def test_to_look_at_what_is_known_to_be_there_is_to_write_nothing(tmp_path: Path) -> None:
    """A writer that began anew held the file for minutes of a resumed sweep of 5,000 trials."""
    store = FakeStore()
    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(outbox.path) as backlog:
        say_sweep(outbox, tmp_path)
        for _ in range(2):  # the model's address comes with the second pass
            new_sender(backlog, store).send()
        with Backlog(outbox.path) as watched:
            watched.changed()
            new_sender(backlog, store).send()
            assert not watched.changed()
            store.active()["00001"].status = "RUNNING"
            new_sender(backlog, store).send()
            assert watched.changed()
        row = backlog.run(1)
        moved, status = "file:///where/the/home/is/now", row.sent_status
        Receipts(backlog).adopt(Known(row.run_id, 1, status, True, 0, moved, row.sent_tags))
        assert backlog.run(1).artifact_uri == moved
    assert_complete(store)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.sampled_from([0.02, 0.1, 0.3]))
def test_lost_answers_and_killed_writers_leave_every_fact_once(
    seed: int, rate: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sender")
    chance = random.Random(seed)
    store = FakeStore()
    store.well = False

    class Killed(BaseException):
        """The writer process is gone in the middle of this call."""

    def trouble(action: str) -> None:
        if chance.random() < rate:
            raise chance.choice([Unreachable, Killed])(action)

    with Outbox(folder / "outbox.db") as outbox:
        say_sweep(outbox, folder)
        outbox.artifact(0, folder / "grid.png", "checkpoint.pt")
        store.trouble = trouble
        for attempt in range(500):
            if attempt == 3:
                outbox.let_go(0, ["checkpoint.pt", "never.said"])
            with Backlog(folder / "outbox.db") as backlog:
                sender = new_sender(backlog, store)
                try:
                    for _ in range(5):
                        try:
                            sender.send()
                        except Unreachable:
                            continue
                except Killed:
                    continue
            if chance.random() < 0.2:
                say_sweep(outbox, folder)
            if attempt >= 3 and outbox.left().pending == 0:
                break
        else:
            raise AssertionError(f"{outbox.left().pending} facts still wait")
        assert outbox.left().failures == ()
    assert_complete(store)


def test_a_file_that_goes_while_it_is_sent_is_no_failure(tmp_path: Path) -> None:
    store, file = FakeStore(), tmp_path / "checkpoint.pt"
    file.write_bytes(b"weights")
    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(tmp_path / "outbox.db") as backlog:

        def trouble(action: str) -> None:
            if action == "upload":
                outbox.let_go(0, [file.name])
                raise Refused(f"{file} is no longer there")

        outbox.sweep_started("s", study="id")
        outbox.trial_started(0)
        outbox.artifact(0, file, file.name)
        outbox.model(0, tmp_path)
        outbox.let_go(0, [], model=True)
        store.trouble = trouble
        sender = new_sender(backlog, store)
        sender.send()
        sender.send()
        assert outbox.left().pending == 0
        assert not outbox.left().failures
        assert "sweeper.model" not in store.active()["00000"].tags
        store.trouble = lambda action: None
        outbox.artifact(0, file, file.name)
        sender.send()
    assert store.active()["00000"].files == {file.name: b"weights"}


def test_the_model_that_the_sweep_names_is_the_winners_whichever_was_sent_last(
    tmp_path: Path,
) -> None:
    store = FakeStore()

    def win(outbox: Outbox, number: int, *, kept: bool = True) -> None:
        outbox.trial_started(number)
        if kept:
            outbox.model(number, tmp_path / str(number))
        outbox.tagged(SWEEP, {"sweeper.winner": f"{number:05d}"})

    def named(backlog: Backlog) -> tuple[str | None, str | None]:
        """What the sweep's run says of winner and model when all has been sent."""
        sender = Sender(backlog, store, "me", lambda *of: f"models:/m-of-{of[-1].name}")  # type: ignore[arg-type]
        while backlog.waiting():
            sender.send()
        tags = store.active()["sweep"].tags
        return tags.get("sweeper.winner"), tags.get("sweeper.model")

    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(tmp_path / "outbox.db") as backlog:
        outbox.sweep_started("s", study="id")
        for winner in (7, 3, 7, 3):
            win(outbox, winner)
            assert named(backlog) == (f"{winner:05d}", f"models:/m-of-{winner}")
        # Another MLflow, or this one without its runs: all is sent again, by number.
        store.held.clear()
        for number in (SWEEP, 3, 7):
            Receipts(backlog).forget(number)
        assert named(backlog) == ("00003", "models:/m-of-3")
        assert {store.active()[f"{n:05d}"].tags["sweeper.model"] for n in (3, 7)} == {
            "models:/m-of-3",
            "models:/m-of-7",
        }
        win(outbox, 5, kept=False)
        assert named(backlog) == ("00005", None), "better none than another's"


def test_a_value_that_is_said_while_the_one_before_it_is_sent_arrives_too(tmp_path: Path) -> None:
    store, nan = FakeStore(), float("nan")
    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(tmp_path / "outbox.db") as backlog:
        later = [({"best/fid": 9.0, "confirmed/fid": nan}, 3.0), ({"best/fid": 10.0}, 4.0)]

        def trouble(action: str) -> None:
            if action == "log" and later:
                metrics, time = later.pop(0)
                outbox.sweep_measured(metrics, step=5, time=time)

        outbox.sweep_started("s", study="id")
        outbox.sweep_measured({"best/fid": 10.0, "confirmed/fid": 1.0}, step=5, time=2.0)
        store.trouble = trouble
        sender = new_sender(backlog, store)
        for _ in range(3):
            sender.send()
        assert outbox.left().pending == 0
    arrived = store.active()["sweep"].metrics
    assert ("best/fid", 5, 10.0, 4000) in arrived, "what was said last"
    assert {time for key, *_, time in arrived if key == "confirmed/fid"} == {2000, 3000}


def test_the_data_of_a_run_are_its_input_and_say_what_was_left_out(tmp_path: Path) -> None:
    store = FakeStore()
    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(tmp_path / "outbox.db") as backlog:
        outbox.sweep_started("s", study="id")
        outbox.trial_started(0, params={"data": {"name": "npz", "path": "faces.npz"}})
        sender = new_sender(backlog, store)
        sender.send()
        assert store.active()["00000"].data == set()
        skipped = "3 of 1027 pictures skipped"
        measured = {"data": "npz", "data_hash": "a1" * 32, "real_count": "1024", "intake": skipped}
        outbox.tagged(0, {f"protocol.{name}": text for name, text in measured.items()})
        sender.send()
        (data,) = store.active()["00000"].data
        assert (data.name, data.digest) == ("npz", "a1" * 18)
        assert (data.source_type, json.loads(data.source)) == ("local", {"uri": "faces.npz"})
        assert json.loads(data.profile) == {
            "images": "1024", "hash": "a1" * 32, "intake": skipped,
        }  # fmt: skip
        outbox.evaluated(0, 1, {"fid": 1.0}, 1.0)
        sender.send()
        assert store.calls.count("log_data") == 1, "once, not at every evaluation"


def test_a_refused_item_is_set_aside_and_the_rest_of_its_batch_arrives(tmp_path: Path) -> None:
    store = FakeStore()
    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(tmp_path / "outbox.db") as backlog:
        outbox.sweep_started("s", study="id")
        params = {f"p{n}": n for n in range(250)}
        outbox.trial_started(0)
        sender = new_sender(backlog, store)
        sender.send()
        store.active()["00000"].params["p77"] = "taken"
        outbox.trial_started(0, params=params)
        outbox.evaluated(0, 1, {f"m{n}": n for n in range(1700)}, 1.0)
        outbox.trial_ended(0, "completed")
        sender.send()
        assert outbox.left().pending == 0
        assert [(f.kind, f.key) for f in outbox.left().failures] == [("param", "p77")]
    run = store.active()["00000"]
    assert run.params == {f"p{n}": str(n) for n in range(250)} | {"p77": "taken"}
    assert len(run.metrics) == 1700
    assert run.status == "FINISHED"


def test_a_call_that_alone_keeps_failing_is_set_aside_but_never_while_mlflow_is_down(
    tmp_path: Path,
) -> None:
    store = FakeStore()

    def trouble(action: str) -> None:
        if action == "upload":
            raise Unreachable("error 500")

    store.trouble = trouble
    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(tmp_path / "outbox.db") as backlog:
        say_sweep(outbox, tmp_path)
        sender = new_sender(backlog, store)
        store.well = False
        for _ in range(3 * PATIENCE):
            with pytest.raises(Unreachable):
                sender.send()
        assert outbox.left().failures == ()
        store.well = True
        for _ in range(5 * PATIENCE):
            try:
                sender.send()
            except Unreachable:
                continue
        assert outbox.left().pending == 0
        assert {f.kind for f in outbox.left().failures} == {"file"}
    assert {run.status for run in store.active().values()} == {"FINISHED"}


def test_a_store_that_lost_everything_is_filled_again(tmp_path: Path) -> None:
    store = FakeStore()
    with Outbox(tmp_path / "outbox.db") as outbox:
        say_sweep(outbox, tmp_path)
        with Backlog(tmp_path / "outbox.db") as backlog:
            new_sender(backlog, store).send()
            assert outbox.left().pending > 0  # where the model is
            new_sender(backlog, store).send()
        assert outbox.left().pending == 0
        store.held.clear()
        with Backlog(tmp_path / "outbox.db") as backlog:
            sender = new_sender(backlog, store)
            sender.send()
            sender.send()
        assert outbox.left().pending == 0
    assert_complete(store)


def test_a_sweep_that_is_sent_again_keeps_its_runs_and_its_mlflow(tmp_path: Path) -> None:
    """Before MLflow has answered as well: until then nobody knows that a run is lost."""
    store = FakeStore()
    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(outbox.path) as backlog:
        say_sweep(outbox, tmp_path)
        new_sender(backlog, store).send()
        new_sender(backlog, store).send()
        store.held["run1"].tags["mlflow.note.content"] = "mine"
        before = deepcopy(store.held)
        store.held.popitem()
        Receipts(backlog).send_all_again()
        with pytest.raises(RecordedElsewhere, match="has nothing of it: nothing was sent"):
            keep_to(outbox.path, f"sqlite:///{tmp_path}/other.db", tmp_path, "s")
        store.calls.clear()
        new_sender(backlog, store).send()
        new_sender(backlog, store).send()
        assert backlog.waiting() == {}
    assert store.calls.count("create") == 1
    assert store.held == before


def test_a_run_that_mlflow_shows_running_and_nobody_runs_is_killed(tmp_path: Path) -> None:
    store = FakeStore()
    with Outbox(tmp_path / "lost.db") as outbox, Backlog(tmp_path / "lost.db") as backlog:
        outbox.sweep_started("s", study="id")
        outbox.trial_started(0)
        outbox.trial_started(1)
        new_sender(backlog, store).send()
    # That outbox is lost; the new one hears of trial 1 again, of trial 0 only later.
    with Outbox(tmp_path / "new.db") as outbox, Backlog(tmp_path / "new.db") as backlog:
        outbox.sweep_started("s", study="id")
        outbox.trial_started(1)
        sender = new_sender(backlog, store)
        sender.send()
        statuses = {name: run.status for name, run in store.active().items()}
        assert statuses == {"sweep": "RUNNING", "00000": "KILLED", "00001": "RUNNING"}
        outbox.trial_started(0)
        sender.send()
    assert {run.status for run in store.active().values()} == {"RUNNING"}


def test_a_replicate_stands_under_its_trial_also_where_that_is_told_of_later(
    tmp_path: Path,
) -> None:
    store = FakeStore()
    with Outbox(tmp_path / "o.db") as outbox, Backlog(tmp_path / "o.db") as backlog:
        outbox.sweep_started("s", study="id")
        outbox.trial_started(1, parent=0)  # its worker was the quicker one
        sender = new_sender(backlog, store)
        sender.send()
        outbox.trial_started(0)
        outbox.trial_ended(1, "completed")
        sender.send()
        assert outbox.left().pending == 0
    runs = store.active()
    assert runs["00001"].tags["mlflow.parentRunId"] == runs["00000"].run_id
    assert runs["00000"].tags["mlflow.parentRunId"] == runs["sweep"].run_id


def test_runs_that_are_known_are_not_looked_for_and_a_quiet_outbox_costs_no_call(
    tmp_path: Path,
) -> None:
    store = FakeStore()
    with Outbox(tmp_path / "outbox.db") as outbox, Backlog(tmp_path / "outbox.db") as backlog:
        say_sweep(outbox, tmp_path)
        sender = new_sender(backlog, store)
        sender.send()
        sender.send()
        assert store.calls.count("runs") == 1
        assert store.calls.count("create") == 4
        assert store.calls.count("set_status") == 4
        # One batch a run, and one more for the address of the model that a run has got since.
        assert store.calls.count("log") == 5
        store.calls.clear()
        sender.send()
        assert store.calls == []


@given(
    st.lists(
        st.one_of(
            st.builds(Param, st.just("p"), st.text(max_size=6000)),
            st.builds(Tag, st.just("t"), st.just("v")),
            st.builds(MetricRow, st.just("m"), st.just(1), st.just(1.0), st.just(1)),
        ),
        max_size=50,
    ).flatmap(lambda items: st.just(items * 30))
)
def test_batches_keep_order_and_limits(items: list[Any]) -> None:
    pieces = list(batches(items))
    assert [item for piece in pieces for item in piece] == items
    for piece in pieces:
        assert sum(isinstance(item, MetricRow) for item in piece) <= MAX_METRICS
        assert sum(isinstance(item, Param) for item in piece) <= MAX_PARAMS
        assert sum(isinstance(item, Tag) for item in piece) <= MAX_PARAMS
        assert sum(len(i.value) for i in piece if isinstance(i, Param)) <= MAX_CHARACTERS
