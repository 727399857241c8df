"""One suite over every sampler: an instant training on a known function, killed and resumed."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from sweeper.errors import SpecError
from sweeper.home import Home, SweepFolder
from sweeper.parts import SamplerConfig
from sweeper.search.ledger import Ledger
from sweeper.search.optuna_sampler import OptunaSampler
from sweeper.search.quantiles import at
from sweeper.search.sampler import Sampler, Turn
from sweeper.sweepfile import parse_sweep, sweep_from_dict
from sweeper.sweepfile.domains import Parameter, Range, Toggle, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.schema import sweep_schema
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.sweepfile.space import Draw, walk
from sweeper.trial import Evaluation, Trial
from trials.part import knob, temporary_parts

SAMPLERS = tuple(Sampler.all())
X = Parameter("optimizer.generator.lr", Range(1e-5, 1e-2, log=True))
Y = Parameter("optimizer.generator.beta1", Range(0.0, 1.0))
SIZE = Parameter("batch_size", Values((16, 32, 64)))
SHAPE = Parameter("network", Values(("mlp", "dcgan")))
DEEP = Parameter("network.width", Range(8, 64, step=8, integer=True), when={"network": ("dcgan",)})


def sweep(sampler: str, *parameters: Parameter, seed: int = 3, **fields: object) -> Sweep:
    if Sampler.named(sampler).ends:
        parameters = tuple(
            Parameter(one.path, Range(0.0, 1.0, step=0.25) if one is Y else one.domain, one.when)
            for one in parameters
            if one is not X
        )
    objectives = (Objective(),)
    if sampler == "nsga2":
        objectives = (Objective(metric="fid"), Objective(metric="cost"))
    return Sweep(
        name="probe",
        base={"data": {"name": "digits"}, "steps": 100},
        parameters=parameters,
        objective=objectives,
        search=Sampler.named(sampler).Config(
            seed=seed, start_with_base=False, **fields.pop("search", {})
        ),
        limits=Limits(trials=30),
        **fields,
    )


def bowl(values: dict[str, object]) -> float:
    lr = math.log10(float(values.get("optimizer.generator.lr", 1e-3)))
    beta = float(values.get("optimizer.generator.beta1", 0.0))
    return (lr + 3) ** 2 + 4 * (beta - 0.25) ** 2 + (values.get("network") == "mlp")


def score(asked: Trial) -> dict[str, float]:
    value = bowl(dict(asked.values))
    return {"fid": value, "cost": 1.0 / (0.1 + value)}


def finish(ledger: Ledger, asked: Trial) -> None:
    metrics = score(asked)
    ledger.started(asked.number)
    ledger.report(asked.number, Evaluation(100, 1.0, metrics))
    wanted = [metrics[objective.metric] for objective in ledger.sweep.objective]
    ledger.complete(asked.number, wanted)


def run(spec: Sweep, folder: SweepFolder, trials: int, reopen: bool = False) -> list[dict]:
    ledger = Ledger.open(spec, folder)
    drawn = []
    for _ in range(trials):
        if reopen:
            ledger = Ledger.open(spec, folder)
        asked = ledger.ask()
        if asked is None:
            break
        drawn.append(dict(asked.values))
        finish(ledger, asked)
    return drawn


@pytest.fixture
def folders(tmp_path: Path):
    def make(name: str) -> SweepFolder:
        folder = Home(tmp_path / name).sweep("probe")
        folder.create()
        return folder

    return make


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_proposes_the_same_whether_or_not_it_is_stopped_in_between(sampler, folders):
    spec = sweep(sampler, X, Y, SIZE, SHAPE, DEEP)
    trials = {"gp": 13}.get(sampler, 22)
    straight = run(spec, folders("straight"), trials)
    stopped = run(spec, folders("stopped"), trials, reopen=True)
    assert straight == stopped
    other = run(sweep(sampler, X, Y, SIZE, SHAPE, DEEP, seed=4), folders("other"), 2)
    assert Sampler.named(sampler).ends or other != straight[:2]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_respects_domains_and_conditions(sampler, folders):
    spec = sweep(sampler, X, Y, SIZE, SHAPE, DEEP)
    drawn = run(spec, folders("a"), {"gp": 14}.get(sampler, 30))
    for values in drawn:
        for path, value in values.items():
            assert spec.parameter(path).domain.contains(value), (path, value)
        assert ("network.width" in values) == (values["network"] == "dcgan")
    assert {values["network"] for values in drawn} == {"mlp", "dcgan"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_trial_whose_configuration_was_cut_off_is_drawn_again_under_its_number(sampler, folders):
    spec = sweep(sampler, X, Y, SIZE, SHAPE, DEEP)
    done = {"gp": 11}.get(sampler, 18)
    straight = run(spec, folders("straight"), done + 1)
    folder = folders("cut")
    run(spec, folder, done)
    ledger = Ledger.open(spec, folder)
    before = len(folder.study_journal.read_bytes())
    asked = ledger.ask()
    content = folder.study_journal.read_bytes()
    lines = content[before:].splitlines(keepends=True)
    assert (len(lines) > 1) == issubclass(Sampler.named(sampler), OptunaSampler)
    for keep in range(1, len(lines)):
        folder.study_journal.write_bytes(content[:before] + b"".join(lines[:keep]) + b'{"op')
        again = Ledger.open(spec, folder)
        [waiting] = again.interrupted()
        assert (waiting.number, dict(waiting.values)) == (done, straight[done]), keep
        assert waiting.config == asked.config
        assert waiting.attempts == 0


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_sampler_that_learns_beats_chance(sampler, folders):
    spec = sweep(sampler, X, Y)
    late = [bowl(values) for values in run(spec, folders("learned"), 32)[16:]]
    chance = [bowl(values) for values in run(sweep("random", X, Y), folders("random"), 32)[16:]]
    assert sorted(late)[8] < 0.5 * sorted(chance)[8]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_sampler_moves_away_from_where_trainings_fail(sampler, folders):
    """The better, the nearer to a cliff: half of the space fails.

    Samplers that ignore failures, as Optuna's do, spend 14 to 16 of the last 16 trials beyond it.
    """
    spec = sweep(sampler, Y, X, search={"startup_trials": 8} if sampler != "cmaes" else {})
    ledger = Ledger.open(spec, folders("failing"))
    failed = []
    for _ in range(32):
        asked = ledger.ask()
        beta = asked.values["optimizer.generator.beta1"]
        failed.append(beta > 0.5)
        if beta > 0.5:
            ledger.fail(asked.number, "divergence", "the losses are not finite")
        else:
            ledger.report(asked.number, Evaluation(10, 1.0, {"fid": 2.0 - beta}))
            ledger.complete(asked.number, [2.0 - beta])
    assert sum(failed[16:]) <= 10, failed


def test_the_grid_visits_every_cell_once_and_then_stops(folders):
    spec = sweep("grid", Y, SIZE, SHAPE, DEEP)
    ledger = Ledger.open(spec, folders("grid"))
    seen = []
    while (asked := ledger.ask()) is not None:
        seen.append(tuple(sorted((path, str(value)) for path, value in asked.values.items())))
        if len(seen) % 3 == 0:
            ledger.fail(asked.number, "error", "a failed cell is visited all the same")
        else:
            finish(ledger, asked)
        if len(seen) == 20:
            ledger = Ledger.open(spec, folders("grid"))
    assert len(seen) == len(set(seen)) == 5 * 3 * (1 + 8)


def test_toggles_and_plain_choices_of_every_kind_come_back_as_they_were(folders):
    choice = Parameter("loss", Values(("hinge", {"name": "wgan", "margin": 1}, None, 2.5, True)))
    spec = sweep("tpe", choice, Parameter("tricks.ema", Toggle()))
    drawn = run(spec, folders("kinds"), 25)
    for values in drawn:
        assert any(values["loss"] is own or values["loss"] == own for own in choice.domain.values)
        assert isinstance(values["tricks.ema"], bool)
    assert any(isinstance(values["loss"], dict) for values in drawn)


def test_a_search_whose_budget_is_raised_after_its_confirmation_asks_what_a_longer_one_asks(
    folders,
):
    spec = sweep("tpe", X, Y, SIZE)
    longer = run(spec, folders("longer"), 24)
    ledger = Ledger.open(spec, folders("raised"))
    for place in range(24):
        if place == 14:
            for seed in (1, 2, 3):
                finish(ledger, ledger.ask_replicate(of=2, seed=seed))
        asked = ledger.ask()
        assert dict(asked.values) == longer[place]
        finish(ledger, asked)


def test_a_new_sampler_is_one_class_and_nothing_else(folders):
    text = """
name: probe
base: {data: digits, steps: 100}
parameters: {optimizer.generator.beta1: {min: 0.0, max: 0.9}}
search: {sampler: golden, start_with_base: false, offset: 0.5}
limits: {trials: 3}
"""
    with temporary_parts():

        class Golden(Sampler):
            """Steps of the golden ratio."""

            key = "golden"
            summary = "each point as far as can be from the last ones"

            class Config(SamplerConfig):
                offset: float = knob(0.0, "where it begins", ge=0, lt=1)

            def propose(self, turn: Turn) -> Draw:
                u = (self.config.offset + 0.618 * turn.index) % 1
                return walk(self.sweep, lambda parameter: at(parameter, u))

        spec = parse_sweep(text)
        assert spec.search == Golden.Config(start_with_base=False, offset=0.5)
        assert sweep_from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        drawn = [values["optimizer.generator.beta1"] for values in run(spec, folders("a"), 3)]
        assert drawn == pytest.approx([0.45, 0.1062, 0.6624])
        validator = jsonschema.Draft202012Validator(sweep_schema())
        assert validator.is_valid(yaml.safe_load(text))
        assert not validator.is_valid(yaml.safe_load(text.replace("0.5", "1.5")))
        with pytest.raises(SpecError) as caught:
            parse_sweep(text.replace("golden", "goldn"))
        assert [problem.nearest for problem in caught.value.problems] == ["golden"]
        with pytest.raises(SpecError, match=r"is an option of golden, not of random"):
            parse_sweep(text.replace("golden", "random"))
    with pytest.raises(SpecError, match="there is no sampler 'golden'"):
        parse_sweep(text)


def test_every_setting_of_a_sampler_is_written_down():
    for key, part in Sampler.all().items():
        spec = sweep("random", X, search={})
        spec = replace(spec, search=part.Config())
        assert spec.to_dict()["search"] == {
            "sampler": key,
            **{name: info.default for name, info in part.Config.model_fields.items()},
        }
