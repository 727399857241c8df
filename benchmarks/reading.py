"""How long the verbs that look take: of a sweep of many trials, and in a home of many sweeps.

    python -m benchmarks.reading [--trials 10000] [--sweeps 100] [--rounds 3] [--home DIR]
    SWEEPER_STORAGE=postgresql+psycopg://… python -m benchmarks.reading --sweeps 0

The sweep has 20 parameters; of each trial the study has five evaluations with what a trainer
measures. Each verb is a process of its own, with all that it imports: seconds by the clock and of
processor time, the median of some rounds. `first` is the verb that meets the study before anything
was derived from it. With --home the home stays there, and is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages._rdb import models
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert

from sweeper.home import Home
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.search.address import address_of
from sweeper.search.distributions import distribution
from sweeper.search.foreign import mark_of
from sweeper.search.journal import Journal
from sweeper.search.ledger import Ledger
from sweeper.search.quantiles import at
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import apply

TRIALS: Any = models.TrialModel.__table__
ROOT = Path(__file__).parents[1]
RUN = "import sys; from sweeper.cli.main import run; sys.exit(run())"
EVALUATIONS = (200, 400, 600, 800, 1000)
PROTOCOL = {"extractor": "digits", "weights": "0f" * 16, "reference": "ab" * 16, "fakes": "1000"}
RATES = [f"optimizer.{who}.{what}" for who in ("generator", "discriminator") for what in ("lr",)]
BETAS = [f"optimizer.{who}.beta{n}" for who in ("generator", "discriminator") for n in (1, 2)]
SWITCHES = {
    "ema": ("decay", 0.9, 0.999),
    "instance_noise": ("sigma", 0.02, 0.3),
    "label_smoothing": ("alpha", 0.7, 0.95),
    "gradient_penalty": ("weight", 0.03, 3.0),
    "lookahead": ("alpha", 0.2, 0.8),
}
SPEC: dict[str, Any] = {
    "name": "many",
    "base": {"data": {"name": "digits"}, "steps": EVALUATIONS[-1]},
    "parameters": {
        **{path: {"distribution": "log_uniform", "min": 1e-5, "max": 1e-2} for path in RATES},
        **{path: {"min": 0.0, "max": 0.99} for path in BETAS},
        "batch_size": {"values": [16, 32, 64]},
        "loss": {"values": ["non_saturating", "hinge", "lsgan"]},
        "latent.size": {"values": [32, 64, 128]},
        "networks.generator.width": {"values": [16, 24, 32]},
        **{f"tricks.{name}": {"toggle": True} for name in SWITCHES},
        **{
            f"tricks.{name}.{knob}": {"min": low, "max": high}
            for name, (knob, low, high) in SWITCHES.items()
        },
    },
    "objective": {"metric": "fid", "goal": "minimize"},
    "search": {"sampler": "random", "start_with_base": False},
    "scheduler": {"name": "asha", "grace_steps": 200, "reduction_factor": 3},
    "seeds": {"confirm_top": 0},
}


def spec(name: str, trials: int) -> Sweep:
    """The sweep under this name."""
    return sweep_from_dict({**SPEC, "name": name, "limits": {"trials": trials}})


# A home -----------------------------------------------------------------------------------------


def make_sweep(home: Home, name: str, trials: int) -> None:
    """A sweep whose driver has ended, with so many trials: its journal as a driver writes it."""
    sweep, folder = spec(name, trials), home.sweep(name)
    folder.create()
    ledger = Ledger.open(sweep, folder)
    ledger.plan()
    ledger.measuring.admit(0, PROTOCOL)
    keep_spec(sweep, folder, None)
    if database := address_of(None):
        with tempfile.TemporaryDirectory() as scratch:
            journal = Journal(Path(scratch) / "study.journal")
            optuna.create_study(study_name=name, storage=JournalStorage(journal))
            _write(journal, sweep, ledger.identity, trials)
            _copy(journal, database, name)
    else:
        _write(Journal(folder.study_journal), sweep, ledger.identity, trials)


def _write(journal: Journal, sweep: Sweep, identity: str, trials: int) -> None:
    rng = np.random.default_rng(0)
    with journal.together():
        for number in range(trials):
            told = [*_trial(sweep, identity, number, rng)]
            journal.append_logs([{**one, "worker_id": "benchmark"} for one in told])


def _copy(journal: Journal, database: str, name: str) -> None:
    """The trials of a journal as those of the study in a database, which has none: as Optuna writes
    them, but thousands at once."""
    storage = optuna.storages.RDBStorage(database)
    study = storage.get_study_id_from_name(name)
    trials = JournalStorage(journal).get_all_trials(0)
    with storage.engine.begin() as connection:
        for start in range(0, len(trials), 500):
            some = trials[start : start + 500]
            heads = insert(TRIALS).returning(TRIALS.c.trial_id, sort_by_parameter_order=True)
            ids = connection.execute(heads, [_head(trial, study) for trial in some]).scalars()
            rows: dict[Any, list[dict[str, Any]]] = defaultdict(list)
            for id_, trial in zip(ids, some, strict=True):
                for table, row in _rows(trial):
                    rows[table].append({"trial_id": id_, **row})
            for table, told in rows.items():
                connection.execute(insert(table), told)
    storage.engine.dispose()


def _head(trial: FrozenTrial, study: int) -> dict[str, Any]:
    return {
        "number": trial.number,
        "study_id": study,
        "state": trial.state,
        "datetime_start": _in_utc(trial.datetime_start),
        "datetime_complete": _in_utc(trial.datetime_complete),
    }


def _rows(trial: FrozenTrial) -> Iterator[tuple[Any, dict[str, Any]]]:
    """What else there is of one trial: rows, each with its table."""
    finite = models.TrialValueModel.TrialValueType.FINITE
    for place, value in enumerate(trial.values or ()):
        row = {"objective": place, "value": value, "value_type": finite}
        yield models.TrialValueModel.__table__, row
    for path, drawn in trial.distributions.items():
        row = {"param_name": path, "param_value": drawn.to_internal_repr(trial.params[path])}
        row["distribution_json"] = distribution_to_json(drawn)
        yield models.TrialParamModel.__table__, row
    for key, value in trial.user_attrs.items():
        row = {"key": key, "value_json": json.dumps(value)}
        yield models.TrialUserAttributeModel.__table__, row
    kind = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    for step, value in trial.intermediate_values.items():
        row = {"step": step, "intermediate_value": value, "intermediate_value_type": kind}
        yield models.TrialIntermediateValueModel.__table__, row


def _in_utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def _trial(
    sweep: Sweep, identity: str, number: int, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """The operations of one trial: asked, started, evaluated, ended."""
    began = 1764000000 + 60 * number
    now = datetime.fromtimestamp(began, UTC).isoformat(timespec="microseconds")
    yield {**_asked(sweep, identity, number, rng), "datetime_start": now}
    yield _attribute(number, "attempts", 1)
    yield _attribute(number, "protocol", PROTOCOL)
    end = EVALUATIONS[int(rng.choice([0, 1, 4], p=[0.6, 0.2, 0.2]))]
    level, fid = float(rng.uniform(5, 50)), 0.0
    for step in (step for step in EVALUATIONS if step <= end):
        fid = level * (1 + 200 / step)
        measured = {"fid": fid, "kid": fid / 900, "precision": 0.6, "recall": 0.4, "d_loss": 1.2}
        told = {
            "metrics": measured,
            "time": began + step / 20,
            "samples": f"samples/{step:06d}.png",
        }
        yield _attribute(number, f"step:{step}", told)
        code = JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE
        yield {"op_code": code, "trial_id": number, "step": step, "intermediate_value": fid}
        yield _attribute(number, "judged", step)
    done = end == EVALUATIONS[-1]
    told = {"state": "completed", "values": [fid]}
    if not done:
        told = {"state": "pruned", "symptom": "scheduler", "reason": "not among the best"}
    yield _attribute(number, "end", told)
    yield {
        "op_code": JournalOperation.SET_TRIAL_STATE_VALUES,
        "trial_id": number,
        "state": TrialState.COMPLETE if done else TrialState.PRUNED,
        "values": [fid],
        "datetime_complete": now,
    }


def _asked(sweep: Sweep, identity: str, number: int, rng: np.random.Generator) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for parameter in sweep.parameters:
        if parameter.applies(values):
            values[parameter.path] = at(parameter, float(rng.random()))
    kinds = {path: distribution(sweep.parameter(path).domain) for path in values}
    return {
        "op_code": JournalOperation.CREATE_TRIAL,
        "study_id": 0,
        "state": TrialState.RUNNING,
        "params": {path: kinds[path].to_internal_repr(value) for path, value in values.items()},
        "distributions": {path: distribution_to_json(kind) for path, kind in kinds.items()},
        "user_attrs": {
            "role": "search",
            "values": values,
            "config": apply(sweep.base, values),
            "mark": mark_of(identity, number),
        },
    }


def _attribute(number: int, key: str, value: Any) -> dict[str, Any]:
    code = JournalOperation.SET_TRIAL_USER_ATTR
    return {"op_code": code, "trial_id": number, "user_attr": {key: value}}


# Asking ----------------------------------------------------------------------------------------


def took(*verb: str, home: Path) -> tuple[float, float]:
    """Seconds by the clock and of processor time."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", RUN, *verb],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SWEEPER_HOME": str(home)},
    )
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return clock, used


def medians(verb: tuple[str, ...], home: Path, rounds: int) -> str:
    """The medians of some rounds, as they are shown."""
    clock, used = zip(*(took(*verb, home=home) for _ in range(rounds)), strict=True)
    return f"{statistics.median(clock):8.2f} s {statistics.median(used):8.2f} s"


def measure(place: Path, trials: int, sweeps: int, rounds: int) -> None:
    """Make what is missing of two homes, and print how long the verbs take in them."""
    long, many = Home.at(place / "long"), Home.at(place / "many")
    if "many" not in long.names():
        make_sweep(long, "many", trials)
    for number in range(sweeps):
        if f"sweep-{number}" not in many.names():
            make_sweep(many, f"sweep-{number}", 20)
    for name in (*long.path.glob("*/study.digest"), *many.path.glob("*/study.digest")):
        name.unlink()
    print(f"one sweep of {trials:,} trials{'clock':>20} {'processor':>10}")
    print(f"  {'status, first':<24}{medians(('status', 'many'), long.path, 1)}")
    for verb in (("status", "many"), ("top", "many"), ("ls",), ("show", "many", f"{trials // 2}")):
        print(f"  {' '.join(verb):<24}{medians(verb, long.path, rounds)}", flush=True)
    if not sweeps:
        return
    file = ROOT / "search_spaces" / "quickstart.yaml"
    print(f"{sweeps} sweeps of 20 trials")
    print(f"  {'ls, first':<24}{medians(('ls',), many.path, 1)}")
    for verb in (("ls",), ("status", "sweep-0"), ("validate", str(file))):
        print(f"  {verb[0]:<24}{medians(verb, many.path, rounds)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--sweeps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="where to make the homes, and keep them")
    given = parser.parse_args()
    if given.home is not None:
        measure(given.home, given.trials, given.sweeps, given.rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), given.trials, given.sweeps, given.rounds)


if __name__ == "__main__":
    main()
