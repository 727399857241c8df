"""All name one winner, in a sweep whose luckiest trial is not its best configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

import sweeper
from sweeper.api import SweepResult
from sweeper.cli.live import Progress
from sweeper.cli.main import run
from sweeper.scheduling.recording.events import Event
from sweeper.sweepfile import load_sweep
from sweeper.tracking.runs import find_runs
from trials.config import load_config
from trials.evaluation.results import Evaluation
from trials.trainer import Training

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

SWEEP = """
name: lucky
base:
  data: digits
  steps: 2
  batch_size: 64
  networks: {generator: {width: 4}, discriminator: {width: 4}}
  evaluation: {every: 2, samples: 32, metrics: [fid], final_samples: 32}
parameters:
  batch_size: {values: [8, 16, 32]}
search: {sampler: grid}
seeds: {confirm_top: 2, replicates: 3, screen: 2}
limits: {parallel: 2}
"""

IN_THE_SEARCH = {8: 1.0, 16: 2.0, 32: 30.0, 64: 40.0}
ON_FRESH_SEEDS = {8: 9.0, 16: 3.0, 64: 8.0}
LUCKY, WINNER = 8, 16
"""Batch sizes of the trial that was lucky in the search and of the configuration that is best."""


class Staged(Training):
    """A small training for real, of which only the distance that it reports is made up."""

    def evaluate(self) -> Evaluation:
        evaluation = super().evaluate()
        size, seed = self.config.batch_size, self.config.seed
        fid = ON_FRESH_SEEDS[size] + seed * size // 16 % 7 / 10 if seed else IN_THE_SEARCH[size]
        return replace(evaluation, metrics={**evaluation.metrics, "fid": fid})


def staged(config: Mapping[str, Any], folder: Path, cache: Path) -> Staged:
    """The factory of staged trainings."""
    return Staged(load_config(config), folder, cache=cache)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepResult, Progress, Path]:
    """The sweep run to its end: its result, the live view's state, its home."""
    home = tmp_path_factory.mktemp("home")
    file = home / "lucky.yaml"
    file.write_text(SWEEP)
    sweep = load_sweep(file)
    progress = Progress(sweep)

    def hear(event: Event) -> None:
        progress.hear(event)

    result = sweeper.run(sweep, home=home, listener=hear, source=file, factory=staged)
    assert result.state == "finished", result.message
    return result, progress, home


def name_of(result: SweepResult, size: int) -> str:
    """The name of the search's trial with that batch size."""
    return next(
        trial.name
        for trial in result.trials
        if trial.role == "search" and trial.config["batch_size"] == size
    )


@pytest.mark.timeout(600)
def test_everybody_names_the_confirmed_winner_and_nobody_the_lucky_one(
    ran: tuple[SweepResult, Progress, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    result, progress, home = ran
    lucky, winner = name_of(result, LUCKY), name_of(result, WINNER)

    def said(*arguments: str) -> str:
        assert run([*arguments, "--home", str(home)]) == 0
        return capsys.readouterr().out

    def told(*arguments: str) -> Any:
        return json.loads(said(*arguments, "--json"))

    by_search = [trial for trial in result.trials if trial.role == "search"]
    assert min(by_search, key=lambda trial: trial.objective or ()).name == lucky
    assert result.best is not None

    exported = home / "lucky.parquet"
    said("export", "lucky", "--out", str(exported))
    named = {
        "result.best": result.best.name,
        "result.as_dict": f"{result.as_dict()['best']['number']:05d}",
        "result.frame": f"{result.frame.set_index('rank').loc[1, 'number']:05d}",
        "status": said("status", "lucky").split("best ")[1].split("by trial ")[1][:5],
        "status --json": f"{told('status', 'lucky')['best_trial']:05d}",
        "top": said("top", "lucky").splitlines()[1].split()[1],
        "top --json": f"{told('top', 'lucky')[0]['number']:05d}",
        "live view": progress.best_line().split("by trial ")[1][:5],
        "page, first tile": _first_tile(result.report.read_text()).split("trial ")[1][:5],
        "best.yaml": (result.folder / "report" / "best.yaml").read_text().split()[2],
        "leaderboard.csv": f"{int(_first_row(result)['trial']):05d}",
        "MLflow's model": _with_model(home)["tags"]["sweeper.trial"],
        "table": result.tables[0].columns[0].texts[0].split("trial ")[1],
        "table's bold row": result.tables[0].raw()["cell"][result.tables[0].best].as_py()[-5:],
        "sweeper table": said("table", "lucky", "--format", "csv").splitlines()[1][6:11],
        "exported": said("table", str(exported), "--format", "csv").splitlines()[1][6:11],
    }
    assert named == dict.fromkeys(named, winner)
    best = yaml.safe_load((result.folder / "report" / "best.yaml").read_text())
    assert best["batch_size"] == WINNER


def test_what_it_is_praised_for_is_its_mean_on_fresh_seeds(
    ran: tuple[SweepResult, Progress, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    result, progress, home = ran
    assert result.standings.best is not None
    mean = result.standings.best.value
    assert mean == pytest.approx(ON_FRESH_SEEDS[WINNER] + 0.3, abs=0.3)
    assert run(["status", "lucky", "--home", str(home), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"] == mean
    assert f"best fid {mean:.4g} ±" in progress.best_line()
    assert "(3) on fresh seeds" in progress.best_line()


def test_everybody_says_the_same_of_what_it_gains_on_the_base(
    ran: tuple[SweepResult, Progress, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    result, progress, home = ran
    found = result.against_base
    assert found is not None
    assert found.confirmed
    (gain,) = found.differences
    fresh = [trial for trial in result.trials if trial.role == "replicate"]
    base = {t.config["seed"]: t.objective[0] for t in fresh if t.of == 0 and t.objective}
    ours = {t.config["seed"]: t.objective[0] for t in fresh if t.of == found.trial.number}
    assert base.keys() == ours.keys()
    assert gain.difference == pytest.approx(fmean(ours[s] - base[s] for s in ours))
    verdict = f"trial {found.trial.name} beats the base configuration, fid {gain.shown}"
    assert verdict in result.verdict
    assert run(["status", "lucky", "--home", str(home)]) == 0
    assert result.verdict in capsys.readouterr().out
    assert run(["status", "lucky", "--home", str(home), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["against_base"] == found.as_dict()
    assert result.as_dict()["verdict"] == result.verdict
    page = result.report.read_text()
    assert f"beats the base configuration, FID {gain.shown}" in page.split('class="tiles"')[0]
    assert f"({gain.shown} against the base)" in progress.best_line()
    (of_the_sweep,) = [
        run["tags"]
        for run in find_runs(f"sqlite:///{home}/mlflow.db", "lucky")
        if run["tags"]["sweeper.trial"] == "sweep"
    ]
    assert of_the_sweep["sweeper.verdict"] == result.verdict
    assert of_the_sweep["sweeper.confirmed"] == "true"
    assert result.verdict in of_the_sweep["mlflow.note.content"]


def _first_tile(page: str) -> str:
    return page.split('<div class="tiles">')[1].split("Trials")[0]


def _first_row(result: SweepResult) -> dict[str, str]:
    heads, first, *_ = result.files.leaderboard_csv.read_text().splitlines()
    return dict(zip(heads.replace('"', "").split(","), first.split(","), strict=False))


def _with_model(home: Path) -> dict[str, Any]:
    """The only run of the sweep with a logged model."""
    (run,) = [
        run
        for run in find_runs(f"sqlite:///{home}/mlflow.db", "lucky")
        if "sweeper.model" in run["tags"] and run["tags"]["sweeper.trial"] != "sweep"
    ]
    return run
