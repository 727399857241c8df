"""Everything for real, as a user has it: the command, Ray, Optuna's study, MLflow, the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sweeper.home import Home
from sweeper.results import records_of
from sweeper.search.looking import sweep_of
from sweeper.tracking.runs import find_runs
from tests.recorded import metric_history

SWEEP = """
name: tiny
base:
  data: digits
  steps: 4
  batch_size: 8
  networks: {generator: {width: 4}, discriminator: {width: 4}}
  evaluation: {every: 2, samples: 32, metrics: [fid], final_samples: 64}
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-4, max: 1.0e-2}
  loss: {values: [hinge, lsgan]}
  tricks.ema: {toggle: true}
  tricks.ema.decay: {min: 0.9, max: 0.99, when: {tricks.ema: true}}
limits: {trials: 3, parallel: 2}
"""

ABLATION = """
name: study
base:
  data: digits
  steps: 2
  batch_size: 8
  networks: {generator: {width: 4}, discriminator: {width: 4}}
  evaluation: {every: 2, samples: 32, metrics: [fid]}
parameters:
  tricks.ema: {toggle: true}
  tricks.spectral_norm: {toggle: true}
  tricks.weight_clipping: {toggle: true}
ablation: {design: leave_one_out, seeds: 2}
limits: {parallel: 2}
"""


def sweeper(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a user calls it."""
    return subprocess.run(
        [sys.executable, "-m", "sweeper", *arguments],
        capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "SWEEPER_HOME": str(home)},
    )  # fmt: skip


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command with --json printed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(600)
def test_a_sweep_runs_is_recorded_extended_and_never_repeated(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(SWEEP)
    home = tmp_path / "home"
    first = sweeper("run", str(file), home=home)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "report" in first.stdout
    assert "Traceback" not in first.stderr

    folder = Home.at(home).existing("tiny")
    records = records_of(folder, sweep_of(folder))
    assert [record.number for record in records] == [0, 1, 2]
    assert records[0].role == "base"
    assert all(record.state == "completed" for record in records)
    assert (folder.report / "report.html").stat().st_size > 10_000

    uri = f"sqlite:///{home}/mlflow.db"
    runs = {run["tags"]["sweeper.trial"]: run for run in find_runs(uri, "tiny")}
    assert set(runs) == {"sweep", "00000", "00001", "00002"}
    assert {run["status"] for run in runs.values()} == {"FINISHED"}
    for record in records:
        run = runs[record.name]
        assert run["parent"] == runs["sweep"]["run_id"]
        varied = {**record.values, "seed": run["tags"]["sweeper.seed"]}
        assert run["params"] == {path: str(value) for path, value in varied.items()}
        assert run["tags"]["mlflow.runName"].startswith(f"{record.name} · ")
        assert run["tags"]["protocol.extractor"] == "digits"
        history = metric_history(uri, run["run_id"], "fid")
        assert [(step, value) for step, value, _ in history] == list(record.curve("fid").items())
        assert run["metrics"]["best/fid"] == record.best("fid", "minimize")
        assert run["metrics"]["fid"] == record.objective[0]
    [won] = [record for record in records if record.final is not None]
    assert won == min(records, key=lambda record: record.objective)
    assert won.final.protocol["fake_count"] == "64"
    assert runs[won.name]["metrics"]["fid_64"] == won.final.metrics["fid_64"]
    assert runs[won.name]["tags"]["protocol.final.fake_count"] == "64"
    assert "fid_64" in sweeper("show", "tiny", str(won.number), home=home).stdout

    raised = told(sweeper("run", str(file), "--set", "limits.trials=4", "--json", home=home))
    assert raised["state"] == "finished"
    assert [trial["number"] for trial in raised["trials"]] == [0, 1, 2, 3]
    again = records_of(folder, sweep_of(folder))
    assert again[:3] == records

    other = sweeper("run", str(file), "--set", "base.steps=6", home=home)
    assert other.returncode == 2
    assert "steps" in other.stderr
    assert records_of(folder, sweep_of(folder)) == again

    best = told(sweeper("top", "tiny", "--json", home=home))[0]
    tag = next(r for r in find_runs(uri, "tiny") if "sweeper.model" in r["tags"])
    assert f"{best['number']:05d}" in {tag["tags"]["sweeper.trial"], *runs}
    _loads_as_a_model(uri, tag["tags"]["sweeper.model"])


def _loads_as_a_model(uri: str, model: str) -> None:
    """What the README shows, in a process that has never heard of this project."""
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "import mlflow, torch\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "generator = mlflow.pytorch.load_model(sys.argv[2])\n"
        "images = generator(torch.randn(5, 64))\n"
        "assert images.shape == (5, 1, 8, 8) and float(images.abs().max()) <= 1\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('sweeper', 'trials')]\n"
    )
    subprocess.run([sys.executable, "-c", code, uri, model], check=True, capture_output=True)


@pytest.mark.timeout(600)
def test_an_ablation_runs_its_cells_and_more_seeds_add_only_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(ABLATION)
    home = tmp_path / "home"
    preview = told(sweeper("ablate", str(file), "--preview", "--json", home=home))
    impossible = [cell["label"] for cell in preview["cells"] if cell["impossible"]]
    assert impossible == ["full", "without ema"]  # clipping beside spectral norm
    assert preview["runs"] == 4
    done = sweeper("ablate", str(file), home=home)
    assert done.returncode == 0, done.stdout + done.stderr

    folder = Home.at(home).existing("study")
    records = records_of(folder, sweep_of(folder))
    cells = {(record.cell, record.values["seed"]) for record in records}
    assert cells == {
        (cell, seed)
        for cell in ("without spectral_norm", "without weight_clipping")
        for seed in (0, 1)
    }
    more = told(sweeper("ablate", str(file), "--seeds", "3", "--json", home=home))
    assert len(more["trials"]) == 6
    assert records_of(folder, sweep_of(folder))[:4] == records

    runs = {
        run["tags"]["sweeper.trial"]: run
        for run in find_runs(f"sqlite:///{home}/mlflow.db", "study")
    }
    for record in records:
        above = "sweep" if record.of is None else f"{record.of:05d}"
        assert runs[record.name]["parent"] == runs[above]["run_id"]

    shown = sweeper("table", "study", "--columns", "cell,value", home=home)
    assert "without spectral_norm" in shown.stdout + shown.stderr
    exported = tmp_path / "all.parquet"
    assert sweeper("export", "study", "--out", str(exported), home=home).returncode == 0
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("objective: metrics.fid\ncell: tags.sweeper.tricks\nseed: params.seed\n")
    imported = sweeper(
        "import-mlflow", "study", "--mapping", str(mapping), "--out", str(tmp_path / "i.parquet"),
        home=home,
    )  # fmt: skip
    assert imported.returncode == 0, imported.stdout + imported.stderr
