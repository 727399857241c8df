"""The table of 10,000 trials, from the columnar copy and from mlflow.search_runs; their report.

    python -m benchmarks.tables [--trials 10000] [--parameters 20] [--seeds 10]

Both sides hold the same runs: `trials` completed trials in cells of `seeds` seeds, each with
`parameters` parameters and three metrics. Each side runs in a process of its own, so that its wall
time includes its imports and its peak memory (ru_maxrss) is its own. Ours writes two tables: every
cell against a reference with interval, test and correction, and, from a search in which every
trial is another configuration, the list of all of them. MLflow's side gets mean, deviation and
count by cell, and no tests.

A third process writes the report of the same search from its study, as `sweeper report` does:
dataset, tables, both importances, every figure, the page.

The MLflow runs are written straight into the store's tables in one transaction (SQLAlchemy bulk
inserts through the models of MLflow's own SqlAlchemyStore): through the client, 10,000 runs take
ten minutes, and reading does not see the difference.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

EXPERIMENT = "benchmark"


def synthetic_trials(trials: int, parameters: int, seeds: int) -> list[dict[str, Any]]:
    """Trials as the ledger has them, in cells of `seeds` seeds; one in fifty failed."""
    rng = np.random.default_rng(0)
    cells = trials // seeds
    settings = rng.random((cells, parameters))
    toggles = parameters // 2
    effects = rng.normal(size=cells)
    lift = rng.normal(size=seeds)
    found = []
    for number in range(trials):
        cell, seed = divmod(number, seeds)
        values: dict[str, Any] = {
            f"tricks.t{i}": bool(settings[cell, i] < 0.5) for i in range(toggles)
        }
        values |= {f"knob.k{i}": float(settings[cell, i]) for i in range(toggles, parameters)}
        failed = cell > 0 and rng.random() < 0.02
        fid = 20.0 + effects[cell] + lift[seed] + rng.normal()
        found.append(
            {
                "number": number,
                "state": "failed" if failed else "completed",
                "symptom": "divergence" if failed else None,
                "role": "search",
                "cell": f"cell {cell}",
                "values": values,
                "seed": seed,
                "objective": None if failed else fid,
                "best": fid,
                "steps": 1500,
                "seconds": 60.0,
                "protocol": {} if failed else {"extractor": "digits", "fake": "1024"},
                "metrics": {"fid": fid, "kid": fid / 100, "recall": 0.5},
            }
        )
    return found


def fill_mlflow(uri: str, trials: Sequence[dict[str, Any]]) -> None:
    """The same trials as finished MLflow runs, by bulk insert into the store's own tables."""
    from mlflow.store.tracking.dbmodels import models
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import insert

    store = SqlAlchemyStore(uri, tempfile.mkdtemp())
    experiment = int(store.create_experiment(EXPERIMENT))
    now = int(time.time() * 1000)
    runs, params, metrics, latest, tags = [], [], [], [], []
    for trial in trials:
        run = f"{trial['number']:032x}"
        runs.append(
            {
                "run_uuid": run,
                "name": str(trial["number"]),
                "source_type": "LOCAL",
                "user_id": "benchmark",
                "status": "FAILED" if trial["state"] == "failed" else "FINISHED",
                "start_time": now,
                "end_time": now + 60_000,
                "lifecycle_stage": "active",
                "artifact_uri": f"artifacts/{run}",
                "experiment_id": experiment,
            }
        )
        given = trial["values"] | {"seed": trial["seed"]}
        params += [{"run_uuid": run, "key": k, "value": str(v)} for k, v in given.items()]
        for key, value in trial["metrics"].items():
            row = {"run_uuid": run, "key": key, "value": value, "timestamp": now, "step": 1500}
            metrics.append(row | {"is_nan": False})
            latest.append(row | {"is_nan": False})
        tags += [
            {"run_uuid": run, "key": "mlflow.runName", "value": str(trial["number"])},
            {"run_uuid": run, "key": "sweeper.cell", "value": trial["cell"]},
            {"run_uuid": run, "key": "sweeper.symptom", "value": trial["symptom"] or ""},
        ]
    with store.engine.begin() as connection:
        for model, rows in (
            (models.SqlRun, runs),
            (models.SqlParam, params),
            (models.SqlMetric, metrics),
            (models.SqlLatestMetric, latest),
            (models.SqlTag, tags),
        ):
            connection.execute(insert(model), rows)
    store.engine.dispose()


def ours(source: str, output: str) -> dict[str, Any]:
    """Both tables from the Parquet file, as Markdown."""
    from sweeper.ablation.dataset import read_dataset
    from sweeper.ablation.table_format import rendered
    from sweeper.ablation.tables import build_table

    started = time.perf_counter()
    data = read_dataset(Path(source, "cells.parquet"))
    ablation = build_table(data, metric="fid", reference="cell 0")
    Path(output, "ablation.md").write_bytes(rendered(ablation, "markdown"))
    compared = time.perf_counter()
    data = read_dataset(Path(source, "search.parquet"))
    listing = build_table(data, metric="fid")
    Path(output, "trials.md").write_bytes(rendered(listing, "markdown"))
    return {
        "cells against the reference": compared - started,
        "list of all trials": time.perf_counter() - compared,
        "rows": [len(ablation), len(listing)],
    }


def mlflow_and_pandas(source: str, output: str) -> dict[str, Any]:
    """Mean, deviation and count by cell through mlflow.search_runs, as Markdown-like text."""
    import mlflow

    mlflow.set_tracking_uri(source)
    started = time.perf_counter()
    frame = mlflow.search_runs(experiment_names=[EXPERIMENT], max_results=50_000)
    read = time.perf_counter()
    finished = frame[frame["status"] == "FINISHED"]
    table = finished.groupby("tags.sweeper.cell")["metrics.fid"].agg(["mean", "std", "count"])
    Path(output, "mlflow.txt").write_text(table.to_string())
    return {
        "search_runs": read - started,
        "groupby": time.perf_counter() - read,
        "rows": [len(table), len(frame)],
    }


TOGGLES = (
    "ema",
    "spectral_norm",
    "gradient_penalty",
    "label_smoothing",
    "instance_noise",
    "minibatch_stddev",
    "self_attention",
    "orthogonal_regularisation",
    "lecam",
    "feature_matching",
)
KNOBS = ("lr", "beta1", "beta2", "eps", "weight_decay")


def fill_study(home: str, count: int) -> None:
    """A sweep of twenty parameters with `count` trials in its study, each measured four times."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    from sweeper.home import Home
    from sweeper.search.ledger import Ledger
    from sweeper.search.storage import load_study, open_storage
    from sweeper.sweepfile import parse_sweep
    from trials.files import atomic_write

    knobs = [
        f"optimizer.{side}.{knob}" for side in ("generator", "discriminator") for knob in KNOBS
    ]
    toggles = [f"tricks.{name}" for name in TOGGLES]
    ranges = {"distribution": "log_uniform", "min": 1e-4, "max": 1e-2}
    parameters = {path: {"toggle": True} for path in toggles} | dict.fromkeys(knobs, ranges)
    base = {"data": {"name": "digits"}, "steps": 1500}
    given = {"name": EXPERIMENT, "base": base, "parameters": parameters}
    sweep = parse_sweep(json.dumps({**given, "limits": {"trials": count}}))
    folder = Home.at(home).sweep(EXPERIMENT)
    folder.create()
    atomic_write(folder.spec_json, json.dumps(sweep.to_dict()))
    spaces: dict[str, BaseDistribution] = {
        **{path: CategoricalDistribution((False, True)) for path in toggles},
        **{path: FloatDistribution(1e-4, 1e-2, log=True) for path in knobs},
    }
    rng = np.random.default_rng(0)
    Ledger.open(sweep, folder)  # makes the study
    storage, journal = open_storage(folder, None)
    assert journal is not None
    trials = []
    for _ in range(count):
        values: dict[str, Any] = {path: bool(rng.random() < 0.5) for path in toggles}
        values |= {path: float(10 ** rng.uniform(-4, -2)) for path in knobs}
        fid = 20 - 4 * values["tricks.ema"] + abs(np.log10(values[knobs[0]]) + 3) + rng.normal()
        curve = {step: float(fid) * (1 + 300 / step) for step in (375, 750, 1125, 1500)}
        attrs = {
            "role": "search",
            "values": values,
            "config": {"steps": 1500, "seed": 0},
            "attempts": 1,
            "protocol": {"extractor": "digits", "fake": "1024"},
            **{f"step:{s}": {"metrics": {"fid": v}, "time": 1.0} for s, v in curve.items()},
        }
        trials.append(
            optuna.trial.create_trial(
                params=values,
                distributions=spaces,
                values=[curve[1500]],
                user_attrs=attrs,
                intermediate_values=curve,
            )
        )
    with journal.together():
        load_study(sweep, storage).add_trials(trials)


def report(source: str, _: str) -> dict[str, Any]:
    """The report of the sweep in the home `source`."""
    from sweeper.api import write_report_of
    from sweeper.home import Home

    started = time.perf_counter()
    written = write_report_of(Home.at(source).existing(EXPERIMENT))
    return {
        "report": time.perf_counter() - started,
        "rows": [written.leaderboard_csv.read_text().count("\n") - 1],
    }


SIDES = {"ours": ours, "mlflow": mlflow_and_pandas, "report": report}


def measured(side: str, source: str, output: str) -> dict[str, Any]:
    """One side in a fresh interpreter: its parts, its wall time, its peak memory."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.tables", "--side", side, source, output]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"wall": time.perf_counter() - started}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--parameters", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "SOURCE", "OUTPUT"))
    options = parser.parse_args(arguments)
    if options.side:
        side, source, output = options.side
        parts = SIDES[side](source, output)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cost = {"cpu": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}
        print(json.dumps(parts | cost))
        return
    from sweeper.ablation.dataset import trial_table, write_dataset

    trials = synthetic_trials(options.trials, options.parameters, options.seeds)
    search = synthetic_trials(options.trials, options.parameters, 1)
    for trial in search:
        del trial["cell"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_dataset(trial_table(trials), Path(folder, "cells.parquet"))
        print(f"columnar copy written in {time.perf_counter() - started:.2f} s", flush=True)
        write_dataset(trial_table(search), Path(folder, "search.parquet"))
        database = f"sqlite:///{folder}/mlflow.db"
        started = time.perf_counter()
        fill_mlflow(database, trials)
        print(f"MLflow store filled in bulk in {time.perf_counter() - started:.1f} s", flush=True)
        home = str(Path(folder, "home"))
        fill_study(home, options.trials)
        for name, source in (("ours", folder), ("mlflow", database), ("report", home)):
            print(_line(name, measured(name, source, folder)), flush=True)


def _line(name: str, found: dict[str, Any]) -> str:
    total = ("wall", "cpu", "peak_mib", "rows")
    parts = ", ".join(f"{part} {took:.2f} s" for part, took in found.items() if part not in total)
    return (
        f"{name}: {found['wall']:.2f} s of wall time and {found['cpu']:.2f} s of processor with "
        f"imports, {found['peak_mib']:.0f} MiB at most ({parts}); rows {found['rows']}"
    )


if __name__ == "__main__":
    main()
