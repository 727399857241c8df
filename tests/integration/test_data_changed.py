"""The pictures of a finished sweep are replaced, and the sweep is extended: with real trainings.

Values of the earlier pictures are far better than those of the later ones, so whatever compared
both would show it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeper.cli.main import run
from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.search.looking import read_standings, sweep_of
from sweeper.tracking.runs import find_runs
from sweeper.trial import Trial
from trials.config import load_config
from trials.trainer import Training

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

SWEEP = """
name: pictures
base:
  data: {{name: image_folder, path: {pictures}, size: 8, channels: 1, labels_from_folders: false}}
  steps: 2
  batch_size: 8
  networks: {{generator: {{width: 4}}, discriminator: {{width: 4}}}}
  evaluation:
    {{every: 1, samples: 16, final_samples: 16, grid: 4, metrics: [fid], extractor: identity}}
parameters:
  optimizer.generator.lr: {{min: 0.0001, max: 0.01}}
search: {{sampler: tpe}}
scheduler: {{name: asha, grace_steps: 1, reduction_factor: 2}}
limits: {{trials: 2, parallel: 1}}
"""


def draw(folder: Path, low: int, high: int) -> None:
    """Sixteen pictures of two levels, under the same names."""
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0)
    for number in range(16):
        pixels = noise.choice([low, high], (8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def cut_off(home: Path) -> int:
    """A further trial that a killed driver left: trained, evaluated and saved, and not over."""
    folder = Home.at(home).existing("pictures")
    sweep = sweep_of(folder)
    ledger = Ledger.open(sweep, folder)
    asked = ledger.ask()
    assert asked is not None
    ledger.started(asked.number)
    config = load_config(asked.config)
    training = Training(config, folder.trial(asked.number), cache=Home.at(home).cache)
    assert ledger.report(asked.number, training.advance())
    return asked.number


def hashes(trial: Trial) -> list[str]:
    return [evaluation.protocol["data_hash"] for evaluation in trial.evaluations]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_whose_pictures_are_replaced_stops_and_goes_on_apart_when_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, pictures, file = tmp_path / "home", tmp_path / "pictures", tmp_path / "pictures.yaml"
    draw(pictures, 120, 136)
    file.write_text(SWEEP.format(pictures=pictures))

    def status_of(*arguments: str) -> int:
        return run(["run", str(file), "--home", str(home), *arguments])

    assert status_of() == 0
    left = cut_off(home)
    before = read_standings(Home.at(home).existing("pictures"))
    (earlier,) = {text for trial in before.trials for text in hashes(trial)}

    draw(pictures, 0, 255)
    capsys.readouterr()
    assert status_of("--set", "limits.trials=5") == 1
    said = "".join(capsys.readouterr())
    assert f"contents of the data {earlier[:8]} before" in said
    for way in ("bring back", "a new name", "--accept-protocol"):
        assert way in said
    refused = read_standings(Home.at(home).existing("pictures"))
    assert [trial.evaluations for trial in refused.trials] == [
        trial.evaluations for trial in before.trials
    ]

    assert status_of("--set", "limits.trials=5", "--accept-protocol") == 0
    said = capsys.readouterr().out
    assert "what was measured before is compared with nothing that follows" in said
    folder = Home.at(home).existing("pictures")
    now = read_standings(folder)
    apart = {trial.number for trial in now.measured_otherwise}
    assert len(now.trials) == 5
    assert apart == {0, 1}
    assert len(hashes(now.trials[left])) in (1, 2)  # it began anew; a rung may have stopped it
    assert {text for trial in now.trials[2:] for text in hashes(trial)} == {
        now.protocol["data_hash"]
    }
    assert now.protocol["data_hash"] != earlier
    best = now.best
    assert best is not None
    assert best.trial.number not in apart
    assert min(trial.objective or (1e9,) for trial in before.trials) < (best.value,)

    def told(*arguments: str) -> str:
        assert run([*arguments, "--home", str(home)]) == 0
        return capsys.readouterr().out

    words = "2 trials were measured by another protocol (other contents of the data)"
    assert words in told("status", "pictures")
    assert words in told("top", "pictures")
    assert not apart & {trial["number"] for trial in json.loads(told("top", "pictures", "--json"))}
    assert words in (folder.report / "report.html").read_text()
    table = told("table", "pictures", "--format", "csv")
    assert f"trial {best.trial.name}" in table
    assert "trial 00000" not in table
    runs = find_runs(f"sqlite:///{home}/mlflow.db", "pictures")
    with_model = {run["tags"]["sweeper.trial"] for run in runs if "sweeper.model" in run["tags"]}
    assert best.trial.name in with_model
