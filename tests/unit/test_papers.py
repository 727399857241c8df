"""The verbs for papers answer what they cannot do in a line, and ignore nothing they are given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sweeper.ablation.designs.full_factorial import FullFactorial
from sweeper.cli.ablating import _around
from sweeper.cli.main import run
from sweeper.home import Home
from sweeper.search import looking
from sweeper.standings import standings_of
from sweeper.sweepfile import Limits, Parameter, Toggle
from sweeper.sweepfile.sections import Keep, Resources, Tracking
from tests.unit.report_sweeps import sweep, trial

SPEC = sweep(
    parameters=(Parameter("tricks.ema", Toggle()), Parameter("tricks.instance_noise", Toggle())),
    ablation=FullFactorial.Config(seeds=2),
    limits=Limits(),
)


@pytest.fixture
def home(tmp_path: Path) -> str:
    folder = Home(tmp_path).sweep("small")
    folder.create()
    folder.spec_json.write_text(json.dumps(SPEC.to_dict()))
    return str(tmp_path)


def test_a_number_that_is_none_is_answered_in_a_line(
    home: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ablate", "small", "--from", "²", "--home", home]) != 0
    assert "--from ²: expected `best` or the number of a trial" in capsys.readouterr().err


def test_the_study_around_a_trial_is_recorded_and_kept_as_its_sweep_is(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = sweep(
        tracking=Tracking(uri="http://mlflow.lab:5000", patch=False),
        keep=Keep(checkpoints="all", samples="last"),
        resources=Resources(cpu=2),
    )
    config = {"data": {"name": "digits"}, "tricks": {"ema": {}}}
    standings = standings_of(around, [trial(0, 5.0, config=config)])
    monkeypatch.setattr(looking, "read_standings", lambda folder: standings)
    for source in ("best", "0"):
        study = _around("small", source, ["ablation.seeds=2"], Home(Path(home)))
        for section in ("tracking", "keep", "resources"):
            assert getattr(study, section) == getattr(around, section)


@pytest.mark.parametrize(
    "options",
    [["--columns", "cell"], ["--reference", "none"], ["--interval", "t"], ["--limit", "2"]],
)
def test_effects_take_no_option_that_they_would_ignore(
    options: list[str], home: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["table", "small", "--effects", *options, "--home", home]) != 0
    assert f"--effects takes no {options[0]}" in capsys.readouterr().err


def test_versions_of_a_sweep_are_exported_to_files_of_their_own(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["small", "small.v2", "small.v3"]
    for name in names[1:]:
        shutil.copytree(tmp_path / "small", tmp_path / name)
        spec = {**SPEC.to_dict(), "name": name}
        (tmp_path / name / "spec.json").write_text(json.dumps(spec))
    for name in names:
        assert run(["export", name, "--home", home]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"{name}.parquet" for name in names
    ]
    (tmp_path / "small.v2.parquet").rename(tmp_path / "small" / "other.v2.parquet")
    assert run(["export", "small/other.v2.parquet"]) == 0
    assert (tmp_path / "other.v2.parquet").is_file()


def test_a_cell_counts_runs_stopped_for_their_health_and_none_lost_with_a_worker() -> None:
    ends = ((None, 5.0), ("mode_collapse", None), ("worker_died", None), ("divergence", None))
    records = [
        trial(
            number,
            *([value] if value else []),
            cell="none",
            cause=symptom,
            state="completed" if value else "pruned" if "mode" in str(symptom) else "failed",
        )
        for number, (symptom, value) in enumerate(ends)
    ]
    (cell,) = standings_of(SPEC, records).cells
    assert (cell.over_seeds.mean, cell.failed) == (5.0, 2)
