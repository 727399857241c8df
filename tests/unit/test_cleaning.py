"""`sweeper clean`: what would go and how much it frees is said first, and nothing else goes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper import cleaning
from sweeper.cli.main import run
from sweeper.disk import disk_of
from sweeper.sweepfile.load import read_stored
from sweeper.sweepfile.sections import Keep
from sweeper.tracking import Outbox
from sweeper.tracking.left import Left
from sweeper.wording import in_bytes
from tests.driven import SWEEP
from tests.unit.test_keep import GENERATOR, Heavy, told_of
from trials.state.names import CHECKPOINT

ALL = Keep(checkpoints="all", generators="all")


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Heavy:
    """One that has kept everything of its five trials, in MLflow too."""
    monkeypatch.setattr(cleaning, "sync", lambda *_: Left(0, (), ""))
    place = tmp_path / "driven"
    place.mkdir()
    with Outbox(place / "outbox.db") as outbox:
        outbox.sweep_started("driven", study="id")
        made = Heavy(tmp_path, 1, 5, outbox, keep=ALL)
        made.begin()
        made.to_the_end()
        made.conductor.keeping.settle()
    spec = replace(SWEEP, limits=made.conductor.sweep.limits).to_dict()
    spec.pop("keep")  # as a version without it has written it
    made.place.spec_json.write_text(json.dumps(spec))
    return made


def cleaned(sweep: Heavy, *arguments: str) -> int:
    return run(["clean", "driven", "--home", str(sweep.place.path.parent), *arguments])


def test_a_sweep_from_before_keeps_everything(
    sweep: Heavy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_stored(sweep.place.spec_json).keep == ALL
    assert cleaned(sweep, "--yes") == 0
    assert (
        "nothing to remove (checkpoints: all, generators: all, samples" in capsys.readouterr().out
    )
    assert sweep.having(CHECKPOINT) == set(range(5))


def test_it_says_what_goes_and_asks_before_it_does(
    sweep: Heavy, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--checkpoints", "best 2", "--generators", "best 3")
    assert cleaned(sweep, *asked) == 2
    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines()[1:]] == [
        ["what", "files", "frees"],
        ["checkpoints", "8", "320", "kB"],
        ["generators", "2", "8", "kB"],
        ["in", "all", "10", "328", "kB"],
        ["in", "MLflow", "3", "files,", "120", "kB", "more"],
    ]
    assert "give --yes" in said.err
    assert sweep.having(CHECKPOINT) == set(range(5))
    before = disk_of(sweep.place, patience=60).total
    assert cleaned(sweep, *asked, "--yes") == 0
    assert sweep.having(CHECKPOINT) == sweep.best(2)
    assert sweep.having(GENERATOR) == sweep.best(3)
    with Outbox(sweep.place.outbox) as outbox:
        assert told_of(outbox)[CHECKPOINT] == sweep.best(2)
    assert 320_000 < before - disk_of(sweep.place, patience=60).total < 328_000 + 1
    assert cleaned(sweep, *asked, "--yes") == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_what_went_is_told_of_where_it_is_looked_for(
    sweep: Heavy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cleaned(sweep, "--generators", "best 1", "--yes") == 0
    home, gone = str(sweep.place.path.parent), min(set(range(5)) - sweep.best(1))
    assert run(["sample", "driven", str(gone), "--home", home]) == 2
    assert (
        f"no samples of trial 0000{gone} can be drawn: its generator was let go "
        f"(keep.generators: best 1); `sweeper train --like driven/{gone}"
    ) in (told := capsys.readouterr().err)
    assert (
        "in a folder of its own, from which `trials.evaluation.drawing.draw_samples` draws" in told
    )
    assert run(["show", "driven", str(gone), "--home", home]) == 0
    assert "note     its generator was let go (keep.generators: best 1)" in capsys.readouterr().out
    assert run(["status", "driven", "--home", home]) == 0
    assert "  disk     4" in capsys.readouterr().out


def test_copies_in_mlflow_go_where_the_home_has_none_any_more(sweep: Heavy) -> None:
    for number in range(5):
        (sweep.place.trial(number) / CHECKPOINT).unlink()
    assert cleaned(sweep, "--checkpoints", "unfinished", "--yes") == 0
    with Outbox(sweep.place.outbox) as outbox:
        assert CHECKPOINT not in told_of(outbox)


def test_nonsense_is_answered_with_what_is_near(
    sweep: Heavy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cleaned(sweep, "--checkpoints", "best3", "--samples", "lats", "--yes") == 2
    said = capsys.readouterr().err
    assert "did you mean 'best 3'?" in said
    assert "did you mean 'last'?" in said


def test_a_sweep_that_runs_is_left_to_its_driver(
    sweep: Heavy, capsys: pytest.CaptureFixture[str]
) -> None:
    with sweep.place.lock():
        assert cleaned(sweep, "--checkpoints", "unfinished", "--yes") == 1
    assert sweep.having(CHECKPOINT) == set(range(5))


def test_what_a_sweep_takes_is_told_by_what_it_is(sweep: Heavy) -> None:
    disk = disk_of(sweep.place, patience=60)
    assert (disk.checkpoints, disk.generators, disk.samples) == (400_000, 20_000, 0)
    assert disk.in_words().endswith(": checkpoints 400 kB, generators 20 kB")
    for number in range(200):
        (sweep.place.trial(1) / str(number)).touch()
    assert disk_of(sweep.place, patience=-1).in_words().startswith("more than ")
    kept = sweep.place.trial(0) / "kept" / "000001" / CHECKPOINT
    kept.parent.mkdir(parents=True)
    kept.hardlink_to(sweep.place.trial(0) / CHECKPOINT)
    assert disk_of(sweep.place, patience=60).checkpoints == disk.checkpoints


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (999_600, "1 MB"),
        (1_230_000_000, "1.23 GB"),
        (10**16, "10 PB"),
    ],
)
def test_sizes_have_three_digits(size: int, words: str) -> None:
    assert in_bytes(size) == words
