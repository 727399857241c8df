"""What a search learns from a training that was stopped for a symptom: not to go there again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.home import Home
from sweeper.parts import SamplerConfig
from sweeper.search.ledger import Ledger
from sweeper.search.sampler import Sampler
from sweeper.search.samplers.gp import GaussianProcess
from sweeper.search.samplers.random import Random
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.search.storage import load_study, open_storage
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.trial import Evaluation

TRIALS = 28
COLLAPSES = 0.6
"""Above this x a generator collapses onto one mode, where precision is best of all."""


def ledger_of(folder: Path, search: SamplerConfig, **changes: object) -> Ledger:
    spec = Sweep(
        name="probe",
        base={"data": {"name": "digits"}, "steps": 1000},
        parameters=tuple(
            Parameter(f"optimizer.{player}.beta1", Range(0.0, 0.99))
            for player in ("generator", "discriminator")
        ),
        objective=(Objective(metric="precision", goal="maximize"),),
        search=search,
        limits=Limits(trials=TRIALS),
        **changes,
    )
    home = Home(folder).sweep("probe")
    home.create()
    return Ledger.open(spec, home)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "cmaes"])
def test_no_sampler_is_drawn_to_where_generators_collapse(sampler: str, tmp_path: Path) -> None:
    search = Sampler.named(sampler).Config(seed=0, start_with_base=False)
    ledger = ledger_of(tmp_path, search)
    drawn = []
    for _ in range(TRIALS):
        asked = ledger.ask()
        assert asked is not None
        x = asked.values["optimizer.generator.beta1"]
        drawn.append(x)
        ledger.started(asked.number)
        precision = 0.99 if x > COLLAPSES else 0.6 - 0.3 * x
        ledger.report(asked.number, Evaluation(400, 1.0, {"precision": precision}))
        if x > COLLAPSES:
            ledger.prune(asked.number, "mode_collapse", "one mode is left")
        else:
            ledger.complete(asked.number, [precision])
    late = drawn[-10:]
    assert sum(x > COLLAPSES for x in late) <= 4  # as many as by chance, or fewer


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "cmaes"])
def test_what_a_lost_run_had_measured_changes_no_proposal(sampler: str, tmp_path: Path) -> None:
    drawn: dict[float, list[float]] = {0.0: [], 1.0: []}
    for precision, asked_for in drawn.items():
        search = Sampler.named(sampler).Config(seed=0, start_with_base=False)
        ledger = ledger_of(tmp_path / str(precision), search)
        for number in range(TRIALS):
            asked = ledger.ask()
            assert asked is not None
            x = asked.values["optimizer.generator.beta1"]
            asked_for.append(x)
            ledger.started(number)
            if number % 3 == 1:
                ledger.report(number, Evaluation(400, 1.0, {"precision": precision}))
                ledger.fail(number, "worker_died", "the kernel killed it")
            else:
                ledger.report(number, Evaluation(400, 1.0, {"precision": x}))
                ledger.complete(number, [x])
    assert drawn[0.0] == drawn[1.0]


def test_nobody_goes_on_from_the_checkpoint_of_a_collapsed_training(tmp_path: Path) -> None:
    scheduler = PopulationBased.Config(interval_steps=400)
    ledger = ledger_of(tmp_path, Random.Config(seed=0), scheduler=scheduler)
    precisions = (0.99, 0.5, 0.4, 0.3, 0.1)
    for number, precision in enumerate(precisions):
        ledger.ask()
        ledger.started(number)
        ledger.report(number, Evaluation(400, 1.0, {"precision": precision}))
        if number == 0:
            ledger.prune(number, "mode_collapse", "one mode is left")
    taken = ledger.scheduler.take_over(4)
    assert taken is not None
    assert taken.donor == 1


def test_a_collapsed_training_is_no_good_one_while_there_is_none_other(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, GaussianProcess.Config(seed=0, start_with_base=False))
    for number in range(2):
        ledger.ask()
        ledger.started(number)
        ledger.report(number, Evaluation(400, 1.0, {"precision": 0.99}))
        ledger.prune(number, "mode_collapse", "one mode is left")
    study = load_study(ledger.sweep, open_storage(Home(tmp_path).sweep("probe"), None)[0])
    sampler = GaussianProcess(ledger.sweep.search, ledger.sweep)
    assert sampler.view(study).trials == []
