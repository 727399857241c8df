"""What a sweep and its trials were made of is written down once, whole, and without a secret."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sweeper.cli.main import run
from sweeper.errors import UserError
from sweeper.foreign_parts import ForeignParts
from sweeper.home import Home, SweepFolder
from sweeper.provenance.attempts import Attempt, note_attempt, parts_of, read_attempts
from sweeper.provenance.checkout import MOST_BYTES, look
from sweeper.provenance.commands import script
from sweeper.provenance.installed import changed, requirements
from sweeper.provenance.recipe import Recipe, deviations, recipe_of, trial_and_number, unlike
from sweeper.provenance.run_record import Kept, RunRecord, Start, keep_run, read_run
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.search.attributes import DONOR
from sweeper.search.ledger import Ledger
from sweeper.search.lineage import Segment
from sweeper.secrets import looks_secret, redacted_command
from sweeper.sweepfile.load import load_sweep
from sweeper.sweepfile.model import Sweep
from sweeper.testing.small import SMALL
from sweeper.trial import Evaluation, Trial
from trials.config import load_config
from trials.part import PartConfig, knob, temporary_parts
from trials.presets import merge
from trials.surroundings import surroundings
from trials.trainer import train
from trials.trick import Trick

FILE: dict[str, Any] = {
    "name": "made",
    "base": {"data": "digits", "seed": 7},
    "parameters": {"optimizer.generator.lr": {"min": 1e-4, "max": 1e-2}},
    "search": {"sampler": "random", "seed": 3},
    "limits": {"trials": 2},
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@y", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for name, text in {
        "model.py": "WIDTH = 8\n",
        "settings.py": 'token = "old"\n',
        ".env": "A=1\n",
        "notes ä\t1.txt": "one\n",
        "gone.txt": "gone\n",
    }.items():
        (folder / name).write_text(text)
    git(folder, "add", "--force", ".")
    git(folder, "commit", "--quiet", "-m", "begin")
    return folder


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return load_sweep(FILE)


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    place = Home.at(tmp_path / "home").sweep("made")
    place.create()
    return place


# The checkout


def test_the_patch_makes_of_the_commit_what_lies_there(repository: Path, tmp_path: Path) -> None:
    (repository / "model.py").write_text("WIDTH = 16\nDEPTH = 2\n")
    (repository / "notes ä\t1.txt").write_text("two\n")
    (repository / "gone.txt").unlink()
    inner = repository / "inner"
    inner.mkdir()
    found, patch = look(inner, tmp_path / "home")
    assert found is not None
    assert found.commit == git(repository, "rev-parse", "HEAD").strip()
    assert set(found.changed) == {"model.py", "notes ä\t1.txt", "gone.txt"}
    assert not found.left_out
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    (tmp_path / "changes.patch").write_bytes(patch)
    git(clone, "apply", str(tmp_path / "changes.patch"))
    for name in ("model.py", "notes ä\t1.txt"):
        assert (clone / name).read_text() == (repository / name).read_text()
    assert not (clone / "gone.txt").exists()


def test_no_secret_and_no_untracked_file_is_in_the_patch(repository: Path, tmp_path: Path) -> None:
    (repository / ".env").write_text("A=hunter2\n")
    (repository / "settings.py").write_text('token = "hunter2"\n')
    (repository / "model.py").write_text("WIDTH = 16  # token = read()\n")
    (repository / "gone.txt").write_text("ghp_0123456789abcdefghij\n")
    (repository / "id_rsa").write_text("hunter2\n")
    found, patch = look(repository, tmp_path / "home")
    assert found is not None
    assert found.left_out == {
        ".env": "its name is that of a secret",
        "settings.py": "a line of it looks like a secret",
        "gone.txt": "a line of it looks like a secret",
    }
    assert found.untracked == ("id_rsa",)
    assert b"WIDTH = 16" in patch
    assert b"hunter2" not in patch
    assert b"ghp_" not in patch


def test_a_patch_has_an_end_and_says_what_it_lacks(repository: Path, tmp_path: Path) -> None:
    (repository / "model.py").write_text("x = 1\n" * 15_000)
    (repository / "gone.txt").write_text("a line of a hundred characters\n" * 19_000 * 2)
    (repository / "notes ä\t1.txt").write_text("y" * 3_000)
    (repository / "settings.py").write_bytes(b"\0\1")
    found, patch = look(repository, tmp_path / "home")
    assert found is not None
    assert 0 < len(patch) <= MOST_BYTES
    assert set(found.left_out) == {"gone.txt", "notes ä\t1.txt", "settings.py"}
    nothing, patch = look(repository, tmp_path / "home", patch=False)
    assert patch == b""
    assert nothing is not None
    assert nothing.changed == found.changed


def test_a_home_inside_the_repository_is_none_of_it(repository: Path) -> None:
    home = repository / "sweeps"
    home.mkdir()
    (home / "study.journal").write_text("1")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "a home")
    (home / "study.journal").write_text("2")
    (home / "lock").touch()
    found, patch = look(repository, home)
    assert found is not None
    assert (found.changed, found.untracked, patch) == ((), (), b"")


def test_where_there_is_no_commit_the_rest_goes_on(tmp_path: Path) -> None:
    assert look(tmp_path, tmp_path / "home") == (None, b"")
    git(tmp_path, "init", "--quiet")
    found, patch = look(tmp_path, tmp_path / "home")
    assert found is not None
    assert found.trouble
    assert patch == b""


@pytest.mark.parametrize(
    ("line", "code", "secret"),
    [
        ("token = tokenizer(text)", True, False),
        ("token = 'abc'", True, True),
        ("password: hunter2", False, False),
        ("PASSWORD=hunter2", False, True),
        ("PASSWORD=hunter2", True, False),
        ("sk-learn has no such estimator", True, False),
        ("use('hf_abcdefghij0123456789')", True, True),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", False, True),
        ("postgresql://me:hunter2@db/x", True, True),
        ("signature = inspect.signature(f)", True, False),
    ],
)
def test_a_line_looks_like_a_secret_or_does_not(line: str, code: bool, secret: bool) -> None:
    assert looks_secret(line, code=code) == secret


def test_a_command_is_shown_without_its_secrets() -> None:
    words = ["run.py", "--password", "hunter2", "--lr", "0.1", "--api-key=hunter2", "--token", "-v"]
    shown = redacted_command([*words, "http://me:hunter2@mlflow"])
    assert "hunter2" not in " ".join(shown)
    assert shown[3:5] == ["--lr", "0.1"]
    assert shown[6:8] == ["--token", "-v"]


# The driver's record


def test_a_sweep_that_is_run_again_as_before_adds_no_record(
    sweep: Sweep, folder: SweepFolder, repository: Path
) -> None:
    start = Start(("sweeper", "run", "made.yaml"), repository)
    (repository / "model.py").write_text("WIDTH = 16\n")
    first = keep_run(sweep, folder, ForeignParts.of(sweep), start)
    again = keep_run(sweep, folder, ForeignParts.of(sweep), start)
    assert first == again == read_run(folder, first.digest)
    assert first.record.seeds == {"search": 3, "base": 7}
    assert first.record.parts["sampler random"].startswith("gan-sweeper")
    assert set(first.files) == {
        f"provenance/{first.digest}/{name}"
        for name in ("run.json", "requirements.txt", "changes.patch")
    }
    (repository / "model.py").write_text("WIDTH = 32\n")
    other = keep_run(sweep, folder, ForeignParts.of(sweep), start)
    assert other.digest != first.digest
    assert (first.place / "changes.patch").read_text() != (
        other.place / "changes.patch"
    ).read_text()


def test_a_record_that_a_kill_has_cut_short_is_written_again(
    sweep: Sweep, folder: SweepFolder
) -> None:
    kept = keep_run(sweep, folder, ForeignParts(), None)
    (kept.place / "run.json").unlink()
    (kept.place / "requirements.txt").write_text("half")
    assert read_run(folder, kept.digest) is None
    assert keep_run(sweep, folder, ForeignParts(), None).digest == kept.digest
    assert (kept.place / "requirements.txt").read_text() == requirements()


def test_a_service_records_neither_its_command_nor_its_folder(
    sweep: Sweep, folder: SweepFolder
) -> None:
    record = keep_run(sweep, folder, ForeignParts(), None).record
    assert (record.command, record.folder, record.checkout) == ((), "", None)


def test_every_distribution_is_listed_and_what_has_changed_is_told() -> None:
    here = requirements()
    assert any(line.startswith("torch==") for line in here.splitlines())
    assert changed(here, here) == {}
    then = here.replace("\nPyYAML==", "\nPyYAML==0.") + "extra @ git+https://x/y@abc\n"
    differing = changed(then, here)
    assert set(differing) == {"pyyaml", "extra"}
    assert differing["extra"] == ("git+https://x/y@abc", "")


# The worker's record


def attempt(**fields: Any) -> Attempt:
    return Attempt(**{"run": "aa", "surroundings": {"threads": "1"}, **fields})


def test_an_attempt_that_goes_on_as_before_is_one_with_it(tmp_path: Path) -> None:
    note_attempt(tmp_path, attempt())
    note_attempt(tmp_path, attempt(step=4))
    assert read_attempts(tmp_path) == (attempt(),)
    elsewhere = attempt(step=8, surroundings={"threads": "2"})
    note_attempt(tmp_path, elsewhere)
    assert read_attempts(tmp_path) == (attempt(), elsewhere)
    taken = attempt(step=8, donor="00001/kept/000008")
    note_attempt(tmp_path, taken)
    assert read_attempts(tmp_path) == (taken,)
    note_attempt(tmp_path, attempt(step=12))
    assert read_attempts(tmp_path) == (taken,)
    note_attempt(tmp_path, attempt())
    assert read_attempts(tmp_path) == (attempt(),)
    (tmp_path / "provenance.json").write_text("[{")
    assert read_attempts(tmp_path) == ()


def test_the_parts_of_a_trial_are_those_that_it_holds_and_no_others() -> None:
    with temporary_parts():

        class Mine(Trick):
            """For this test."""

            key = "mine_of_provenance"
            group = "judgement"
            summary = "nothing"
            formula = "x"
            paper = "none"

            class Config(PartConfig):
                factor: float = knob(1.0, "nothing")

        parts = parts_of({"data": "digits", "tricks": {"mine_of_provenance": True, "ema": True}})
    assert parts["trick mine_of_provenance"].startswith(f"{__name__} sha256:")
    assert parts["trick mine_of_provenance"].endswith(", not installed")
    assert parts["trick ema"].startswith("gan-sweeper ")
    assert "sha256:" in parts["trick ema"]
    assert "data source grid" not in parts
    assert not any("packing" in name for name in parts)


# Training it again


def recipe(folder: SweepFolder, sweep: Sweep, **fields: Any) -> Recipe:
    measured = (Evaluation(4, 0.0, {"fid": 1.5, "loss/d": 2.0, "system/peak_memory_mb": 9.0}),)
    trial = Trial(3, "completed", config={"data": "digits"}, evaluations=measured)
    told = {
        "segments": (Segment(3, {"data": "digits"}, 4),),
        "attempts": (attempt(surroundings=surroundings() | {"threads": "2"}),),
        "run": None,
    }
    return Recipe(sweep, trial, **{**told, **fields})


def test_nothing_that_was_recorded_becomes_a_command(
    sweep: Sweep, folder: SweepFolder, repository: Path, tmp_path: Path
) -> None:
    """A file's name may hold a line end, and what follows it would be run."""
    bad = "x\ntouch hit\n.env"
    (repository / bad).write_text("1")
    git(repository, "add", "--force", ".")
    git(repository, "commit", "--quiet", "-m", "bad")
    (repository / bad).write_text("2")
    start = Start(("sweeper", "x\ntouch hit"), repository)
    kept = keep_run(sweep, folder, ForeignParts(), start)
    assert bad in (kept.record.checkout.left_out if kept.record.checkout else {})
    machine = surroundings() | {"machine": "a\ntouch hit"}
    config = {"data": "digits", "note": "$(touch hit)\nEND OF TRIAL\ntouch hit\n"}
    told = script(
        recipe(
            folder,
            sweep,
            run=kept,
            attempts=(attempt(surroundings=machine),),
            segments=(Segment(3, config, 4),),
        ),
        folder.path.parent,
    )
    stub = tmp_path / "bin"
    stub.mkdir()
    (stub / "sweeper").write_text("#!/bin/sh\nexit 0\n")
    (stub / "sweeper").chmod(0o755)
    subprocess.run(
        ["bash", "-e", "-c", told],
        cwd=tmp_path,
        env={"PATH": f"{stub}:/usr/bin:/bin"},
        check=True,
    )
    assert not list(tmp_path.rglob("hit"))
    assert (tmp_path / "made-00003.yaml").is_file()


def test_commands_make_an_environment_where_another_is_here(
    sweep: Sweep, folder: SweepFolder
) -> None:
    kept = keep_run(sweep, folder, ForeignParts(), None)
    home = folder.path.parent
    here = script(recipe(folder, sweep, run=kept), home)
    assert "venv" not in here
    assert "--threads 2 --until 4" in here
    assert "# step 4: fid 1.5" in here
    listed = kept.place / "requirements.txt"
    listed.write_text(listed.read_text().replace("\nPyYAML==", "\nPyYAML==0."))
    assert "-m venv environment" in script(recipe(folder, sweep, run=kept), home)
    shutil.rmtree(kept.place)
    assert "cannot be read" in script(recipe(folder, sweep, run=kept), home)


def test_a_trial_that_took_over_is_trained_with_its_donors(
    sweep: Sweep, folder: SweepFolder
) -> None:
    segments = (Segment(1, {}, 4), Segment(3, {}, 8, after=4))
    told = script(recipe(folder, sweep, segments=segments), folder.path.parent)
    assert f"sweeper train --like made/3 --home {folder.path.parent}" in told
    assert "00001 up to 4" in told


def test_a_trial_without_records_says_so(sweep: Sweep, folder: SweepFolder) -> None:
    told = script(recipe(folder, sweep, attempts=()), folder.path.parent)
    assert "not known: the version that made the trial wrote nothing" in told
    assert "--threads 1" in told


def test_numbers_are_compared_bit_for_bit_and_the_machine_is_none_of_them() -> None:
    then = (Evaluation(4, 0.0, {"fid": 1.5, "system/peak_memory_mb": 9.0}),)
    same = (Evaluation(4, 9.0, {"fid": 1.5, "system/peak_memory_mb": 1.0}), Evaluation(8, 0.0, {}))
    assert deviations(then, same) == []
    (told,) = deviations(then, (Evaluation(4, 0.0, {"fid": 1.5000000000000002}),))
    assert str(told) == "fid at step 4 is 1.5000000000000002, and was 1.5"
    (lacking,) = deviations(then, ())
    assert str(lacking) == "fid at step 4 is not measured, and was 1.5"


def test_what_may_be_why_is_named_and_nothing_else() -> None:
    then = attempt(
        surroundings={"threads": "1", "machine": "a", "torch": "2.12"},
        protocol={"data_hash": "x"},
        parts={"trick ema": "1"},
        seed=1,
    )
    now = attempt(
        surroundings={"threads": "2", "machine": "b", "torch": "2.12"},
        protocol={"data_hash": "y"},
        parts={"trick ema": "2"},
        seed=1,
    )
    assert unlike([then], now) == [
        "threads is 2, and was 1",
        "data hash is y, and was x",
        "trick ema is 2, and was 1",
    ]
    assert unlike([then], then) == []


@pytest.mark.parametrize("text", ["quickstart", "/3", "quickstart/", "quickstart/x", "a/1e3"])
def test_a_trial_is_named_by_its_sweep_and_number(text: str) -> None:
    with pytest.raises(UserError, match="expected NAME/N"):
        trial_and_number(text)
    assert trial_and_number("quickstart/00012") == ("quickstart", 12)


def test_a_record_of_another_version_is_read_as_far_as_it_goes(folder: SweepFolder) -> None:
    place = folder.provenance / "ab"
    place.mkdir(parents=True)
    (place / "run.json").write_text(json.dumps({"python": "3.9", "younger": 1}))
    assert read_run(folder, "ab") == Kept("ab", RunRecord(python="3.9"), place)


# Training again


def begun(home: Path, **evaluation: Any) -> tuple[SweepFolder, Ledger]:
    """A sweep of small trainings of which nothing has been asked yet."""
    base = merge(SMALL, {"steps": 4, "evaluation": evaluation})
    spec = load_sweep({**FILE, "base": base, "search": {"sampler": "random"}})
    folder = Home.at(home).sweep("made")
    folder.create()
    keep_spec(spec, folder, None)
    return folder, Ledger.open(spec, folder)


def test_a_verdict_that_comes_late_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, ledger = begun(tmp_path / "home", lag=1)
    trial = ledger.ask()
    assert trial is not None
    ledger.started(trial.number)
    result = train(load_config(trial.config), folder=folder.trial(trial.number))
    for evaluation in result.history:
        ledger.report(trial.number, evaluation)
    ledger.complete(trial.number, [result.history[-1].metrics["fid"]])
    at = ("--home", str(folder.path.parent), "--out", str(tmp_path / "again"), "--json")
    assert run(["train", "--like", "made/0", *at]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["same"]
    assert told["compared"] == [one.step for one in result.history]


def test_what_a_trial_would_have_gone_on_by_is_not_what_it_was_trained_by(tmp_path: Path) -> None:
    folder, ledger = begun(tmp_path / "home")
    trial = ledger.ask()
    assert trial is not None
    place = folder.trial(trial.number)
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(load_config(trial.config).as_dict()))
    ledger.started(trial.number)
    ledger.report(trial.number, Evaluation(2, 1.0, {"fid": 1.0}))
    assert recipe_of(folder, 0).segments[0].config == load_config(trial.config).as_dict()
    # It takes another one's weights over, its next worker writes that down, and is killed.
    other = merge(trial.config, {"optimizer": {"generator": {"lr": 0.01}}})
    taken = {"number": 7, "step": 2, "values": {"optimizer.generator.lr": 0.01}, "config": other}
    ledger._entries.set(trial.number, f"{DONOR}2", taken)
    (place / "config.json").write_text(json.dumps(load_config(other).as_dict()))
    (segment,) = recipe_of(folder, 0).segments
    assert segment.config == trial.config
