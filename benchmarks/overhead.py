"""What the machinery costs: seconds per trial on trials that do nothing.

    python benchmarks/overhead.py [--trials 200] [--parallel 2] [--rounds 3]
    [--only sweeper --only bare]

Four contenders run the same search, 200 trials over eight parameters, each in a process of its
own, on a Ray that is already up:

    sweeper     this project: TPE, the ledger fsynced to disk, every run recorded in MLflow
                (SQLite), timed until MLflow has everything
    unrecorded  the same without MLflow: what is left is what recording there takes
    bare        Ray Tune at its fastest: reused actors, OptunaSearch (TPE) in memory, nothing
                recorded
    default     Ray Tune as it comes, a function trainable and its own MLflowLoggerCallback (SQLite)

The contenders take turns, so that a machine which is slow for a while is slow for all of them, and
the median of their rounds counts; default, which takes minutes, has one round.

Targets: sweeper takes at most 1.5 times what bare takes, and at most a tenth of default.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trials.evaluation.results import Evaluation
from trials.health import Symptom

NAMES = tuple(f"x{place}" for place in range(8))
METRIC = "fid"


def value(config: Mapping[str, Any]) -> float:
    """What a trial that does nothing reports."""
    return float(sum((config[name] - 0.5) ** 2 for name in NAMES))


# The contenders --------------------------------------------------------------------------------


def sweeper(trials: int, parallel: int, folder: Path) -> float:
    """This project, from the call to the last fact in MLflow."""
    return swept(trials, parallel, folder, record=True)


def unrecorded(trials: int, parallel: int, folder: Path) -> float:
    """This project, with the study alone to know of its trials."""
    return swept(trials, parallel, folder, record=False)


def swept(trials: int, parallel: int, folder: Path, *, record: bool) -> float:
    """Run the sweep, and see that everything is there."""
    from sweeper.home import Home
    from sweeper.scheduling import closing
    from sweeper.scheduling.run import run
    from sweeper.search.samplers.tpe import Tpe
    from sweeper.sweepfile.domains import Parameter, Range
    from sweeper.sweepfile.model import Sweep
    from sweeper.sweepfile.sections import Limits
    from sweeper.tracking.runs import find_runs

    sweep = Sweep(
        name="nothing",
        base={"steps": 1},
        parameters=tuple(Parameter(name, Range(0.0, 1.0)) for name in NAMES),
        search=Tpe.Config(start_with_base=False),
        limits=Limits(trials=trials, parallel=parallel),
    )
    home = Home.at(folder)
    closing.PATIENCE = 600.0  # the clock runs until MLflow has everything, however long that is
    began = time.perf_counter()
    outcome = run(
        *(sweep, home),
        factory=Nothing,
        events=lambda event: phase(event, began),
        report=False,
        record=record,
    )
    seconds = time.perf_counter() - began
    assert outcome.state == "finished", outcome
    assert not outcome.message, outcome.message
    assert outcome.standings.counts["completed"] == trials
    if not record:
        return seconds
    runs = find_runs(f"sqlite:///{home.mlflow_db}", sweep.name)
    assert len(runs) == trials + 1, len(runs)
    assert {one["status"] for one in runs} == {"FINISHED"}
    return seconds


def phase(event: Any, began: float) -> None:
    """Where the time goes, for whoever reads the error output."""
    if type(event).__name__ in ("PhaseChanged", "SweepEnded"):
        told = getattr(event, "phase", "ended")
        print(f"{time.perf_counter() - began:8.2f} s  {told}", file=sys.stderr)


class Nothing:
    """A training of one step."""

    def __init__(self, config: Mapping[str, Any], folder: Path, cache: Path) -> None:
        self.config = config
        self.history: list[Evaluation] = []
        self.notes: list[str] = []
        self.protocol: Mapping[str, str] = {}
        self.stopped_by: Symptom | None = None
        self.should_stop: Callable[[], bool] = lambda: False

    @property
    def finished(self) -> bool:
        return bool(self.history)

    def restore(self) -> bool:
        return False

    def forget(self) -> None:
        pass

    def rehearse(self, steps: int = 1, left: int | None = None) -> bool:
        return False

    def evaluate(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def advance(self) -> Evaluation:
        self.history.append(Evaluation(1, time.time(), {METRIC: value(self.config)}))
        return self.history[-1]


def bare(trials: int, parallel: int, folder: Path) -> float:
    """Ray Tune with everything off that costs time."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(parallel)

    class Still(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self.config = config

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.config = new_config
            return True

        def step(self) -> dict[str, Any]:
            return {METRIC: value(self.config), "done": True}

    tuner = tune.Tuner(
        tune.with_resources(Still, {"cpu": 1}),
        param_space={name: tune.uniform(0.0, 1.0) for name in NAMES},
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="min",
            num_samples=trials,
            search_alg=OptunaSearch(seed=0),
            max_concurrent_trials=parallel,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    return timed(tuner.fit, trials)


def default(trials: int, parallel: int, folder: Path) -> float:
    """Ray Tune as its documentation shows it, with its MLflow callback."""
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    def still(config: dict[str, Any]) -> None:
        tune.report({METRIC: value(config)})

    uri = f"sqlite:///{folder}/mlflow.db"
    tuner = tune.Tuner(
        tune.with_resources(still, {"cpu": 1}),
        param_space={name: tune.uniform(0.0, 1.0) for name in NAMES},
        tune_config=tune.TuneConfig(
            metric=METRIC, mode="min", num_samples=trials, max_concurrent_trials=parallel
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            verbose=0,
            callbacks=[MLflowLoggerCallback(tracking_uri=uri, experiment_name="nothing")],
        ),
    )
    return timed(tuner.fit, trials)


def timed(fit: Callable[[], Any], trials: int) -> float:
    began = time.perf_counter()
    results = fit()
    seconds = time.perf_counter() - began
    assert len(results) == trials
    assert not results.errors
    return seconds


CONTENDERS: dict[str, Callable[[int, int, Path], float]] = {
    "sweeper": sweeper,
    "unrecorded": unrecorded,
    "bare": bare,
    "default": default,
}

# Running them ----------------------------------------------------------------------------------


def measure(name: str, trials: int, parallel: int) -> float:
    """Run one contender in this process, on a Ray that is up before the clock starts."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        num_cpus=max(parallel, os.cpu_count() or 1),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            return CONTENDERS[name](trials, parallel, Path(folder))
    finally:
        ray.shutdown()


def in_a_process(name: str, trials: int, parallel: int) -> float:
    """Run one contender in a process of its own. Returns its seconds."""
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [
            sys.executable,
            __file__,
            "--measure",
            name,
            f"--trials={trials}",
            f"--parallel={parallel}",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stdout}\n{done.stderr}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=CONTENDERS, help="may be repeated")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps({"seconds": measure(given.measure, given.trials, given.parallel)}))
        return
    chosen = given.only or list(CONTENDERS)
    taken: dict[str, list[float]] = {name: [] for name in chosen}
    for turn in range(given.rounds):
        for name in chosen:
            if turn == 0 or name != "default":
                taken[name].append(in_a_process(name, given.trials, given.parallel))
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    report(seconds, given.trials, given.json)


def report(seconds: Mapping[str, float], trials: int, as_json: bool) -> None:
    """Print what was measured, and how it stands to the targets."""
    ratios = {
        name: seconds["sweeper"] / seconds[name]
        for name in ("bare", "default")
        if name in seconds and "sweeper" in seconds
    }
    if as_json:
        print(json.dumps({"trials": trials, "seconds": dict(seconds), "ratios": ratios}))
        return
    for name, taken in seconds.items():
        each = 1000 * taken / trials
        print(f"{name:<10} {taken:8.1f} s for {trials} trials, {each:7.1f} ms each")
    for name, target in (("bare", 1.5), ("default", 0.1)):
        if name in ratios:
            print(f"sweeper / {name:<11} {ratios[name]:.3f} (target: at most {target})")
    if {"unrecorded", "bare"} <= seconds.keys():
        print(f"unrecorded / bare     {seconds['unrecorded'] / seconds['bare']:.3f}")


if __name__ == "__main__":
    main()
