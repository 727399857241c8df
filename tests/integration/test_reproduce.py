"""The commands that `show --reproduce` prints give the same numbers, bit for bit, in a fresh
folder; so does `train --like`, also of a trial that took another one's weights over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.cli.main import run
from sweeper.home import Home
from sweeper.provenance.attempts import read_attempts
from sweeper.provenance.run_record import Start
from sweeper.results import records_of
from sweeper.scheduling.run import run as run_sweep
from sweeper.search.looking import sweep_of
from sweeper.sweepfile.load import load_sweep
from sweeper.tracking.runs import find_runs
from sweeper.trial import Trial

SWEEP = {
    "name": "again",
    "base": {
        "data": "digits",
        "networks": {"generator": {"width": 4}, "discriminator": {"width": 4}},
        "latent": {"dim": 8},
        "batch_size": 8,
        "steps": 6,
        "evaluation": {
            "every": 2,
            "samples": 32,
            "final_samples": 32,
            "metrics": ["fid"],
            "grid": 4,
        },
        "device": "cpu",
    },
    "parameters": {"optimizer.generator.lr": {"min": 1e-5, "max": 2e-2}},
    "search": {"sampler": "random"},
    "scheduler": {"name": "pbt", "interval_steps": 2, "quantile": 0.5},
    "limits": {"trials": 3, "parallel": 1},
    "resources": {"cpu": 2},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A population of three, each trained by two threads."""
    folder = tmp_path_factory.mktemp("made") / "home"
    outcome = run_sweep(load_sweep(SWEEP), Home.at(folder), report=False, start=Start.here())
    assert outcome.state == "finished", outcome.message
    return folder


def trials(home: Path) -> list[Trial]:
    folder = Home.at(home).existing("again")
    return records_of(folder, sweep_of(folder))


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert run(list(arguments)) == status
    return capsys.readouterr().out


@pytest.mark.timeout(600)
def test_the_commands_give_the_same_fid_in_a_fresh_folder(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = said(capsys, "show", "again", "0", "--home", str(home), "--reproduce")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    line = next(line for line in commands.splitlines() if line.startswith("sweeper train"))
    assert "--threads 2" in line
    python = Path(sys.executable).parent
    subprocess.run(
        ["bash", "-e", "-c", commands.replace(line, f"{line} --json > said.json")],
        cwd=fresh,
        env={**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        timeout=300,
    )
    again = {
        one["step"]: one["metrics"]
        for one in json.loads((fresh / "said.json").read_text())["history"]
    }
    base = trials(home)[0]
    assert {step: one["fid"] for step, one in again.items()} == base.curve("fid")
    assert list(again) == [2, 4, 6]


def test_a_trial_with_donors_is_the_same_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heir = next(trial for trial in trials(home) if trial.donors)
    at = ("--home", str(home), "--out", str(tmp_path / "heir"))
    compared = json.loads(said(capsys, "train", "--like", f"again/{heir.number}", *at, "--json"))
    last_taken = max(step for step, _ in heir.donors)
    assert compared["same"], compared
    assert compared["compared"] == [step for step in (2, 4, 6) if step > last_taken]
    (attempt,) = read_attempts(Home.at(home).existing("again").trial(heir.number))
    assert attempt.donor
    assert attempt.surroundings["threads"] == "2"


@pytest.mark.slow
def test_what_is_not_the_same_is_told_with_what_differs(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Home.at(home).existing("again").trial(0)
    record, config = folder / "provenance.json", folder / "config.json"
    kept = record.read_text(), config.read_text()
    record.write_text(kept[0].replace('"torch": "', '"torch": "0.'))
    changed = json.loads(kept[1])
    changed["optimizer"]["generator"]["lr"] *= 1.5
    config.write_text(json.dumps(changed))
    try:
        at = ("--home", str(home), "--out", str(tmp_path / "other"))
        told = said(capsys, "train", "--like", "again/0", *at, status=1)
    finally:
        record.write_text(kept[0])
        config.write_text(kept[1])
    assert "not the same: fid at step 2 is " in told
    assert "torch is " in told
    assert "and was 0." in told


def test_mlflow_has_what_every_run_was_made_of(home: Path) -> None:
    runs = find_runs(f"sqlite:///{home}/mlflow.db", "again")
    parent = next(one for one in runs if one["parent"] is None)
    made = home / "again" / "provenance" / parent["tags"]["sweeper.run"]
    there = Path(parent["artifact_uri"].removeprefix("file://")) / "provenance" / made.name
    for name in ("run.json", "requirements.txt"):
        assert (there / name).read_bytes() == (made / name).read_bytes()
    for one in runs:
        if one["parent"] is not None:
            kept = Path(one["artifact_uri"].removeprefix("file://")) / "provenance.json"
            assert json.loads(kept.read_text())[-1]["run"] == made.name
