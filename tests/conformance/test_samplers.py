"""One suite over every sampler: an instant training on a known function, killed and resumed."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import optuna
import pytest
import yaml
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sweeper.errors import SpecError
from sweeper.home import Home, SweepFolder
from sweeper.parts import SamplerConfig
from sweeper.search.distributions import distribution
from sweeper.search.draft import Draft
from sweeper.search.ledger import Ledger
from sweeper.search.optuna_sampler import OptunaSampler
from sweeper.search.quantiles import at
from sweeper.search.sampler import Sampler, Turn, at_random_in_words
from sweeper.search.stopping.asha import Asha
from sweeper.standings.confirming import replicates_due
from sweeper.sweepfile import parse_sweep, sweep_from_dict
from sweeper.sweepfile.domains import Parameter, Range, Toggle, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.schema import sweep_schema
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.sweepfile.space import Draw, walk
from sweeper.trial import Evaluation, Trial
from trials.part import knob, temporary_parts

SAMPLERS = tuple(Sampler.all())
OF_OPTUNA = [key for key, part in Sampler.all().items() if issubclass(part, OptunaSampler)]
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
    if Sampler.named(sampler).needs_rungs:
        fields = {"scheduler": Asha.Config(grace_steps=50, reduction_factor=2), **fields}
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


def optunas_own(folder: SweepFolder) -> optuna.Study:
    """The study as other people open it."""
    storage = JournalStorage(JournalFileBackend(str(folder.study_journal)))
    return optuna.load_study(study_name="probe", storage=storage)


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


@pytest.mark.parametrize("sampler", OF_OPTUNA)
def test_a_sampler_learns_of_what_depends_on_others_or_says_that_it_does_not(sampler, folders):
    spec = sweep(sampler, SHAPE, DEEP)
    ledger = Ledger.open(spec, folders("dependent"))
    for _ in range({"nsga2": 40}.get(sampler, 14)):
        finish(ledger, ledger.ask())
    own = Sampler.of(spec)
    view = own.view(ledger._study)
    view.look(own._made(0), Draft(ledger._study._storage, 99), {})
    joint = view.sampler.infer_relative_search_space(view, view.get_trials()[0])
    assert ("network.width" in joint) == (not at_random_in_words(spec))
    assert "network" in joint


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_trial_is_in_the_study_whole_or_not_at_all(sampler, folders):
    spec = sweep(sampler, X, Y, SIZE, SHAPE, DEEP)
    folder = folders("whole")
    ledger = Ledger.open(spec, folder)
    before = len(folder.study_journal.read_bytes())
    asked = ledger.ask()
    assert folder.study_journal.read_bytes()[before:].count(b"\n") == 1
    with folder.study_journal.open("r+b") as file:
        file.truncate(folder.study_journal.stat().st_size - 1)
    (folder.path / "study.count").unlink()
    again = Ledger.open(spec, folder)
    assert again.trials() == []
    assert again.ask().config == asked.config


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_enqueued_point_is_the_next_trial_and_the_search_goes_on_as_without_it(sampler, folders):
    spec = sweep(sampler, X, Y, SIZE, SHAPE, DEEP)
    rate = {} if sampler == "grid" else {X.path: 3.0e-4}
    whole = {**rate, Y.path: 0.25, SIZE.path: 64, SHAPE.path: "dcgan", DEEP.path: 24}
    part = {Y.path: 0.75, SHAPE.path: "mlp"}
    straight = run(spec, folders("straight"), 6)
    folder = folders("enqueued")
    run(spec, folder, 2)
    optunas_own(folder).enqueue_trial(whole)
    optunas_own(folder).enqueue_trial(part)
    drawn = run(spec, folder, 6, reopen=True)
    assert drawn[0] == whole
    assert part.items() <= drawn[1].items()
    assert drawn[1].keys() == {*rate, Y.path, SIZE.path, SHAPE.path}
    assert drawn[1] not in straight
    if sampler in ("random", "qmc", "grid"):  # the others learn from what was enqueued
        assert drawn[2:] == straight[2:]
    ledger = Ledger.open(spec, folder)
    assert ledger.counts()["search"] == 8
    assert [trial.number for trial in ledger.trials()] == list(range(8))
    assert ledger.foreign() == []
    assert optunas_own(folder).trials[2].params == whole


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_a_file_gives_to_try_is_run_first_and_the_search_goes_on_as_without_it(
    sampler, folders
):
    rate = {} if sampler == "grid" else {X.path: 3.0e-4}
    whole = {**rate, Y.path: 0.25, SIZE.path: 64}
    part = {Y.path: 0.75}
    parameters = () if sampler == "grid" else (X,)
    given = {"search": {"tries": (whole, part)}}
    spec = sweep(sampler, *parameters, Y, SIZE, **given)
    straight = run(sweep(sampler, *parameters, Y, SIZE), folders("straight"), 6)
    drawn = run(spec, folders("tried"), 8)
    assert drawn == run(spec, folders("killed"), 8, reopen=True)
    assert drawn[0] == whole
    # What is left open is as in the base: batches of 64, a rate of 0.0002.
    assert drawn[1] == {**part, SIZE.path: 64, **({X.path: 2e-4} if rate else {})}
    if sampler in ("random", "qmc"):  # the others learn from what was tried
        assert drawn[2:] == straight
    if sampler == "grid":
        others = [values for values in straight if values not in drawn[:2]]
        assert drawn[2 : 2 + len(others)] == others
        everything = run(spec, folders("everything"), 100)
        points = [tuple(sorted(values.items())) for values in everything]
        assert len(points) == len(set(points)) == 15


def test_a_grid_runs_an_enqueued_point_in_place_of_a_second_time(folders):
    spec = sweep("grid", Y, SIZE)
    folder = folders("grid")
    first = run(spec, folder, 1)[0]
    study = optunas_own(folder)
    study.enqueue_trial({Y.path: 1.0, SIZE.path: 64})
    study.enqueue_trial(first)
    drawn = run(spec, folder, 100)
    assert drawn[0] == {Y.path: 1.0, SIZE.path: 64}
    points = [tuple(values.items()) for values in (first, *drawn)]
    assert len(points) == len(set(points)) == 15
    [refused] = Ledger.open(spec, folder).foreign()
    assert (refused.number, refused.state) == (2, "refused")
    assert "tried already" in refused.words


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_others_have_put_into_the_study_moves_no_sampler(sampler, folders):
    spec = sweep(sampler, X, Y, SIZE, SHAPE, DEEP)
    trials = {"gp": 13}.get(sampler, 18)
    straight = run(spec, folders("straight"), trials)
    folder = folders("visited")
    drawn = run(spec, folder, trials // 2)
    study = optunas_own(folder)
    study.add_trial(study.trials[1])  # a copy of one of ours
    values = [1e-9] * len(spec.objective)
    other = {Y.path: optuna.distributions.CategoricalDistribution([0.5, 2.5])}
    study.add_trial(
        optuna.trial.create_trial(params={Y.path: 0.5}, distributions=other, values=values)
    )
    study.ask({"x": FloatDistribution(0.0, 1.0)})
    drawn += run(spec, folder, trials - len(drawn), reopen=True)
    assert drawn == straight
    ledger = Ledger.open(spec, folder)
    assert ledger.counts()["search"] == trials
    assert ledger.interrupted() == []
    assert [entry.number - trials // 2 for entry in ledger.foreign()] == [0, 1, 2]


@pytest.mark.parametrize(
    "sampler", [key for key in SAMPLERS if issubclass(Sampler.named(key), OptunaSampler)]
)
def test_a_trial_that_an_earlier_version_half_asked_is_finished_under_its_number(sampler, folders):
    """It asked in several writes where Optuna drew, and put no marks."""
    spec = sweep(sampler, X, Y, SIZE, SHAPE, DEEP)
    done = {"gp": 11}.get(sampler, 18)
    straight = run(spec, folders("straight"), done + 1)
    folder = folders("old")
    run(spec, folder, done)
    folder.identity.unlink()
    (folder.path / "study.count").unlink()
    operations = [json.loads(line) for line in folder.study_journal.read_bytes().splitlines()]
    kept = [
        one for one in operations if not one.get("user_attr", {}).keys() & {"owner", "unmarked"}
    ]
    for one in kept:
        one.get("user_attrs", {}).pop("mark", None)
        one.pop("by", None)
    old = "".join(json.dumps(one) + "\n" for one in kept)
    for parts in range(len(straight[-1]) + 1):
        folder.study_journal.write_text(old)
        folder.identity.unlink(missing_ok=True)
        (folder.path / "study.count").unlink(missing_ok=True)
        study = optunas_own(folder)
        half = study._storage.create_new_trial(study._study_id)
        for path, value in list(straight[-1].items())[:parts]:
            choices = distribution(spec.parameter(path).domain)
            study._storage.set_trial_param(half, path, choices.to_internal_repr(value), choices)
        [waiting] = Ledger.open(spec, folder).interrupted()
        assert (waiting.number, dict(waiting.values)) == (done, straight[done]), parts
        assert optunas_own(folder).trials[done].params == straight[done]


@pytest.mark.parametrize("sampler", ["tpe", "bohb", "gp", "cmaes"])
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
            **{
                name: info.default
                for name, info in part.Config.model_fields.items()
                if info.default is not None
            },
        }


@pytest.mark.parametrize("sampler", ["grid", "qmc", "random"])
def test_what_learns_of_no_objective_serves_two_of_them(sampler: str, tmp_path: Path) -> None:
    spec = parse_sweep(
        "name: both\nbase: {data: digits, steps: 100}\n"
        "parameters: {batch_size: {values: [16, 32]}, loss: {values: [hinge, wgan]}}\n"
        "objective: [{metric: fid}, {metric: recall, goal: maximize}]\n"
        f"search: {{sampler: {sampler}, start_with_base: false}}\nlimits: {{trials: 4}}\n"
        "seeds: {confirm_top: 2, replicates: 2}\n"
    )
    folder = Home(tmp_path).sweep(spec.name)
    folder.create()
    ledger = Ledger.open(spec, folder)
    while (trial := ledger.ask()) is not None and trial.number < 4:
        ledger.started(trial.number)
        ledger.report(
            trial.number, Evaluation(100, 1.0, {"fid": 1.0 + trial.number, "recall": 0.5})
        )
        ledger.complete(trial.number, [1.0 + trial.number, 0.5])
    standings = ledger.standings()
    assert standings.best is not None
    assert standings.best.trial.number == 0
    assert len(replicates_due(standings)) == 4
