"""A trick that a script defines: registered by being defined, trained by Ray's workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.cli.main import run as command
from sweeper.home import Home
from sweeper.results import records_of
from sweeper.search.looking import sweep_of
from sweeper.tracking.runs import find_runs

HELPER = """
def twice(images, times):
    return times * images
"""

SCRIPT = '''
import sys

import sweeper
import trials
from sweeper.sweepfile import parse_sweep
from helper_of_script import twice
from trials.part import PartConfig, knob
from trials.trick import Trick


STRENGTH = SCALE


class Contrast(Trick):
    """Shows the discriminator more contrast, and samples from what it has learnt so."""

    key = "contrast"
    group = "judgement"
    summary = "multiplies the contrast"
    formula = "c x"
    paper = "none"

    class Config(PartConfig):
        factor: float = knob(1.5, "c", gt=0, search={"min": 0.5, "max": 2.0})

    def see(self, game, images, real):
        return twice(images, STRENGTH * self.config.factor)


BASE = {
    "data": "digits",
    "networks": {"generator": {"width": 4}, "discriminator": {"width": 4}},
    "latent": {"dim": 8},
    "batch_size": 8,
    "steps": 4,
    "evaluation": {"every": 2, "samples": 32, "final_samples": 32, "metrics": ["fid"], "grid": 4},
    "tricks": {"contrast": True},
    "device": "cpu",
}

if __name__ == "__main__":
    alone = trials.train(trials.load_config(BASE), folder=sys.argv[2])
    assert alone.state == "completed", alone
    sweep = parse_sweep(
        f"""
        name: scripted
        base: {BASE}
        parameters:
          tricks.contrast.factor: {{min: 0.5, max: 2.0}}
        objective: {{metric: fid}}
        search: {{sampler: random}}
        limits: {{trials: 2, parallel: 1}}
        """
    )
    result = sweeper.run(sweep, home=sys.argv[1], listener=lambda event: print(event))
    assert result.state == "finished", result.message
'''


def script_run(script: Path, home: Path, *, strength: str) -> str:
    script.with_name("helper_of_script.py").write_text(HELPER)
    script.write_text(SCRIPT.replace("SCALE", strength))
    done = subprocess.run(
        [sys.executable, str(script), str(home), str(home.parent / "alone")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=script.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_trick_defined_in_a_script_is_trained_recorded_and_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, script = tmp_path / "home", tmp_path / "script.py"
    script_run(script, home, strength="1.0")
    folder = Home.at(home).existing("scripted")
    trials = records_of(folder, sweep_of(folder))
    assert [trial.state for trial in trials] == ["completed"] * 2

    runs = find_runs(f"sqlite:///{home}/mlflow.db", "scripted")
    assert len(runs) == 3
    for run in runs:
        assert run["tags"]["sweeper.parts"].startswith("__main__.contrast sha256:")
    assert any("sweeper.model" in run["tags"] for run in runs), "the winner's generator is a model"

    assert command(["train", "--like", "scripted/0", "--home", str(home)]) == 2
    assert "trained with the trick contrast, which no installed" in capsys.readouterr().err

    told = script_run(script, home, strength="0.5")
    assert "the source of __main__.contrast has changed" in told
