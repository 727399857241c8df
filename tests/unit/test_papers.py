"""The verbs for papers answer what they cannot do in a line, and ignore nothing they are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.ablation.designs.full_factorial import FullFactorial
from sweeper.cli.main import run
from sweeper.home import Home
from sweeper.standings import standings_of
from sweeper.sweepfile import Limits, Parameter, Toggle
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
    assert "--from ²: expected best, or the number of a trial" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--columns", "cell"], ["--reference", "none"], ["--interval", "t"], ["--limit", "2"]],
)
def test_effects_take_no_option_that_they_would_ignore(
    options: list[str], home: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["table", "small", "--effects", *options, "--home", home]) != 0
    assert f"--effects takes no {options[0]}" in capsys.readouterr().err


def test_a_cell_counts_runs_stopped_for_their_health_and_none_lost_with_a_worker() -> None:
    ends = ((None, 5.0), ("mode_collapse", None), ("worker_died", None), ("divergence", None))
    records = [
        trial(
            number,
            *([value] if value else []),
            cell="none",
            symptom=symptom,
            state="completed" if value else "pruned" if "mode" in str(symptom) else "failed",
        )
        for number, (symptom, value) in enumerate(ends)
    ]
    (cell,) = standings_of(SPEC, records).cells
    assert (cell.over_seeds.mean, cell.failed) == (5.0, 2)
