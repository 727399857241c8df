"""Reading sweep files: what is understood, and one clear answer to everything that is not."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sweeper.errors import Problem, SpecError
from sweeper.sweepfile import Range, Toggle, Values, load_sweep, parse_sweep, sweep_from_dict
from sweeper.sweepfile.model import MAY_CHANGE, flatten
from sweeper.sweepfile.sections import CHOICES
from tests.unit.spec_example import EXAMPLE
from trials.config import problems_of
from trials.metrics.extractors import inception


def problems(text: str, *overrides: str) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        parse_sweep(text, "sweep.yaml", overrides)
    assert caught.value.exit_status == 2
    return caught.value.problems


def only(text: str, *overrides: str) -> Problem:
    found = problems(text, *overrides)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def test_a_secret_is_told_once_in_a_value_and_again_in_a_comment() -> None:
    text = sweep_with(rest="description: http://u:p@h  # was http://u:p@h\n# http://u:p@h\n")
    with pytest.raises(SpecError) as caught:
        parse_sweep(text)
    assert [(problem.path, problem.line) for problem in caught.value.problems] == [
        ("description", 6),
        ("", 7),
    ]


OF_CLASSES = "{data: digits, conditioning: projection, evaluation: {metrics: [fid, class_fid]}}"


def sweep_with(parameters: str = "", *, base: str = "{data: digits}", rest: str = "") -> str:
    given = parameters or "seed: {values: [0, 1]}"
    return f"name: s\nbase: {base}\nlimits: {{trials: 4}}\nparameters:\n  {given}\n{rest}"


def test_the_documented_example_is_understood_as_it_reads() -> None:
    sweep = parse_sweep(EXAMPLE)
    assert sweep.parameter("optimizer.generator.lr").domain == Range(1e-5, 1e-2, log=True)
    assert sweep.parameter("batch_size").domain == Values((16, 32, 64, 128))
    assert sweep.parameter("tricks.ema").domain == Toggle()
    assert sweep.parameter("tricks.ema.decay").when == {"tricks.ema": (True,)}
    assert [item.path for item in sweep.parameters] == [
        "optimizer.generator.lr",
        "batch_size",
        "loss",
        "seed",
        "tricks.ema",
        "tricks.ema.decay",
    ]
    assert sweep.objective[0].metric == "fid"
    assert CHOICES["scheduler"].dump(sweep.scheduler) == {
        "name": "asha",
        "grace_steps": 300,
        "reduction_factor": 3,
    }
    assert sweep.base["health"]["stop_on"][0] == "divergence" == sweep.health["stop_on"][0]
    assert (sweep.limits.trials, sweep.limits.hours) == (20, 1.0)


def test_a_mapping_is_read_as_a_file_of_the_same_content_and_stays_as_it_is() -> None:
    given = yaml.safe_load(EXAMPLE)
    assert load_sweep(given, ["limits.trials=7"]) == parse_sweep(EXAMPLE, "", ["limits.trials=7"])
    assert given == yaml.safe_load(EXAMPLE)
    with pytest.raises(SpecError, match=r"<mapping>: base\.lss: there is no"):
        load_sweep({**given, "base": {"lss": "hinge"}})


@pytest.mark.parametrize(
    ("parameters", "path", "message"),
    [
        ({"steps": {"values": [1, float("nan")]}}, "parameters.steps.values[1]", "nan is too"),
        ({"steps": {"min": 1, "max": float("inf")}}, "parameters.steps.max", "inf is too large"),
        ({"steps": {"min": 1, "max": 2**63}}, "parameters.steps.max", "is too large"),
        ({"steps": {"values": [1, 2]}, 1: {"values": [1]}}, "parameters", "the key 1 is not text"),
        (
            {"steps": {"values": [1, 2], "when": {None: 1}}},
            *("parameters.steps.when", "the key None is not text"),
        ),
        ({"loss": {"values": ["\ud800"]}}, "parameters.loss.values[0]", "character U+D800"),
        ({"\udfff": {"values": [1]}}, "parameters", "the key '\\udfff' is not text"),
    ],
)
def test_what_a_mapping_holds_and_no_file_can_is_a_problem_at_its_place(
    parameters: dict[Any, Any], path: str, message: str
) -> None:
    given = {**yaml.safe_load(EXAMPLE), "parameters": parameters}
    with pytest.raises(SpecError) as caught:
        load_sweep(given)
    first = caught.value.problems[0]
    assert (first.file, first.path) == ("<mapping>", path)
    assert message in first.message


@pytest.mark.parametrize("data", ["\ud800", {"name": "\ud800"}])
def test_a_name_that_is_no_text_is_a_problem_of_a_training_too(data: Any) -> None:
    told = [problem.message for problem in problems_of({"data": data, "steps": 10})]
    assert any("\\ud800" in message for message in told)


def test_a_sweep_of_a_version_that_left_defaults_out_is_the_same_sweep() -> None:
    sweep = parse_sweep(EXAMPLE)
    stored = sweep.to_dict()
    for key in ("startup_trials", "candidates"):
        del stored["search"][key]
    assert not sweep_from_dict(stored).difference(sweep)
    free = (*MAY_CHANGE, "description")
    fixed = {
        key: value
        for key, value in flatten(stored).items()
        if key not in free and key.split(".")[0] not in free
    }
    then = hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()
    assert then != sweep.fingerprint
    assert sweep.answers_to(then)
    assert sweep.answers_to(sweep.fingerprint)
    assert not parse_sweep(EXAMPLE.replace("sampler: tpe", "sampler: gp")).answers_to(then)


def test_the_canonical_form_reads_back_to_an_equal_sweep() -> None:
    sweep = parse_sweep(EXAMPLE)
    canonical = sweep.to_dict()
    assert sweep_from_dict(json.loads(json.dumps(canonical))) == sweep
    assert parse_sweep(yaml.safe_dump(canonical, sort_keys=False)) == sweep


def test_limits_may_be_raised_on_resume_and_the_space_may_not_change() -> None:
    old = parse_sweep(EXAMPLE)
    more = parse_sweep(EXAMPLE, overrides=["limits.trials=50", "description=longer"])
    assert more.fingerprint == old.fingerprint
    assert old.difference(more).allowed == ("description", "limits.trials")
    assert not old.difference(more).refused
    other = parse_sweep(EXAMPLE, overrides=["parameters.batch_size.values=[16]", "base.steps=9"])
    assert other.fingerprint != old.fingerprint
    assert old.difference(other).refused == ("base.steps", "parameters.batch_size.values")


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("{min: 1, max: 8}", Range(1, 8, step=1, integer=True)),
        ("{min: 1.0, max: 8}", Range(1.0, 8.0)),
        ("{min: 0, max: 1, distribution: uniform}", Range(0.0, 1.0)),
        ("{min: 1e-4, max: 1, distribution: log_uniform}", Range(1e-4, 1.0, log=True)),
        ("{min: 1e-4, max: 1.0, distribution: log_uniform_values}", Range(1e-4, 1.0, log=True)),
        ("{min: 0, max: 1, q: 0.3}", Range(0.0, 0.9, step=0.3)),
        ("{min: 16, max: 130, step: 16}", Range(16, 128, step=16, integer=True)),
        ("{min: 2, max: 9, distribution: int_uniform}", Range(2, 9, step=1, integer=True)),
        (
            "{min: 1, max: 64, distribution: int_log_uniform}",
            Range(1, 64, log=True, step=1, integer=True),
        ),
        (
            "{min: 0.1, max: 10, q: 0.5, distribution: q_log_uniform_values}",
            Range(0.1, 10.0, log=True, step=0.5),
        ),
        ("{value: 3}", Values((3,))),
        ("{distribution: constant, value: 3}", Values((3,))),
        ("{distribution: categorical, values: [1, 2.5]}", Values((1, 2.5))),
        (
            "{values: [[1, 2], {a: 1}, null, yes, 'yes', 1]}",
            Values(([1, 2], {"a": 1}, None, True, "yes", 1)),
        ),
    ],
)
def test_every_form_of_a_domain_is_read_and_written_back(domain: str, expected: Any) -> None:
    raw = {
        "name": "s",
        "base": {},
        "limits": {"trials": 1},
        "parameters": {"p": _read(domain)},
    }
    sweep = sweep_from_dict(raw)
    assert sweep.parameter("p").domain == expected
    assert type(sweep.parameter("p").domain.samples()[0]) is type(expected.samples()[0])
    assert sweep_from_dict(sweep.to_dict()) == sweep


def _read(text: str) -> Any:
    from sweeper.sweepfile.document import read_document

    return read_document(text, "domain").root


def test_a_file_of_wandb_gets_a_hint_for_each_thing_that_cannot_stay() -> None:
    text = """\
name: theirs
base: {data: digits}
limits: {trials: 4}
program: train.py
run_cap: 50
parameters:
  batch_size: {values: [16, 32], probabilities: [0.2, 0.8], foo: 3}
  optimizer.generator.lr: {distribution: normal, mu: 0.001, sigma: 0.1}
  optimizer: {parameters: {discriminator.lr: {min: 0.001, max: 0.01}}}
  critic_steps: {distribution: inv_log_uniform_values, min: 1, max: 10}
"""
    found = [(one.path.removeprefix("parameters."), one.expected) for one in problems(text)]
    hints = (
        ("program", "`base` says what is trained"),
        ("run_cap", "limits: {trials: 50}"),
        ("batch_size.probabilities", "the sampler learns"),
        ("batch_size.foo", "one of values"),
        ("optimizer.generator.lr.distribution", "mu - 2 sigma to mu + 2 sigma"),
        ("optimizer.parameters", "dotted paths"),
        ("critic_steps.distribution", "log_uniform"),
    )
    assert [path for path, _ in found] == [path for path, _ in hints]
    assert all(hint in expected for (_, expected), (_, hint) in zip(found, hints, strict=True))


@pytest.mark.parametrize(
    ("domain", "path", "message", "nearest"),
    [
        ("{min: 2, max: 1}", ".min", "min 2 is not below max 1", ""),
        ("{min: 1, max: 1}", ".min", "min 1 is not below max 1", ""),
        ("{min: 0, max: 1, distribution: log_uniform}", ".min", "cannot include 0", ""),
        ("{min: -9.2, max: -2.3, distribution: log_uniform}", ".min", "cannot include -9.2", ""),
        ("{min: low, max: 1}", ".min", "'low' is not a number", ""),
        ("{min: '1e-4', max: 1}", ".min", "'1e-4' is not a number", ""),
        ("{min: 1}", "", "`max` is missing", ""),
        ("{min: 0, max: 1, q: 2}", ".q", "step 2 is wrong", ""),
        ("{min: 0, max: 1, q: .nan}", ".q", "too large or NaN", ""),
        ("{min: -1.0e+308, max: 1.0e+308}", "", "difference of the bounds, from -1e+308 to", ""),
        (
            "{min: 1e-9, max: 1.0e+300, distribution: log_uniform}",
            "",
            "the ratio of the bounds",
            "",
        ),
        (
            "{min: 9007199254740992, max: 9007199254740993, distribution: int_log_uniform}",
            "",
            "both are the same floating-point number",
            "",
        ),
        ("{min: 0, max: 1, q: 5.0e-324}", "", "step 5e-324 from 0 to 1 is too small", ""),
        ("{value: 1, values: [1]}", ".value", "does not go with a categorical", ""),
        ("{min: 1.5, max: 3, distribution: int_uniform}", "", "needs integer bounds", ""),
        ("{min: 1, max: 2, distribution: log_unifrom}", ".distribution", "", "log_uniform"),
        ("{minn: 1, max: 2}", ".minn", "no such setting", "min"),
        ("{values: []}", ".values", "is wrong", ""),
        ("{values: 3}", ".values", "is wrong", ""),
        ("{values: [1, 2, 1.0]}", ".values[2]", "is given twice", ""),
        ("{values: [1, 2], probabilities: [1, 2]}", ".probabilities", "setting of W&B sweeps", ""),
        ("{toggle: true}", "", "only a trick is toggled", ""),
        ("{}", "", "has no domain", ""),
        ("[1, 2]", "", "is not a domain", ""),
        ("{values: [1, 2], when: true}", ".when", "is not a condition", ""),
        ("{values: [1, 2], when: {steps: []}}", ".when.steps", "can never be met", ""),
    ],
)
def test_a_bad_domain_is_answered_at_its_place(
    domain: str, path: str, message: str, nearest: str
) -> None:
    problem = only(sweep_with(f"seed: {domain}"))
    assert (problem.file, problem.line) == ("sweep.yaml", 5)
    assert problem.path == f"parameters.seed{path}"
    assert message in problem.message
    assert problem.nearest == nearest
    assert problem.expected


@pytest.mark.parametrize(
    ("text", "line", "path", "message", "nearest"),
    [
        # Keys and types
        (sweep_with(rest="limit: {trials: 3}"), 6, "limit", "no such section", "limits"),
        (sweep_with(rest="method: bayes"), 6, "method", "section of W&B sweeps", ""),
        (sweep_with(rest="search: {sampler: tpee}"), 6, "search.sampler", "no sampler", "tpe"),
        (sweep_with(rest="search: {seeed: 3}"), 6, "search.seeed", "no such setting", "seed"),
        (sweep_with(rest="scheduler: {asha: 3}"), 6, "scheduler.asha", "no such setting", ""),
        (sweep_with(rest="resources: {cpu: yes}"), 6, "resources.cpu", "True is wrong", ""),
        (sweep_with(rest="resources: {cpu: -1}"), 6, "resources.cpu", "-1 is wrong", ""),
        (sweep_with(rest="resources: {cpu: 0}"), 6, "resources.cpu", "nothing to compute on", ""),
        (sweep_with(rest="resources: {gpu: atuo}"), 6, "resources.gpu", "'atuo' is wrong", "auto"),
        (sweep_with(rest="resources: {mps: true}"), 6, "resources.mps", "use no GPU", ""),
        (
            *(sweep_with(rest="resources: {gpu: 1, mps: true}"), 6),
            *("resources.mps", "have a GPU each", ""),
        ),
        (sweep_with(rest="resources: {gpu: 1.5}"), 6, "resources.gpu", "1.5 is too many", ""),
        (sweep_with(rest="resources: {gpu: 2}"), 6, "resources.gpu", "the others would idle", ""),
        (
            *(sweep_with(base="{data: digits, device: cuda}"), 2),
            *("base.device", "`resources.gpu` gives the trials of this sweep none", ""),
        ),
        (
            sweep_with(base="{data: digits, device: 'cuda:1'}", rest="resources: {gpu: 0.5}"),
            *(2, "base.device", "cuda:1 is not visible to a trial", ""),
        ),
        (sweep_with(rest="seeds: [1]"), 6, "seeds", "is wrong", ""),
        (sweep_with(rest="name: t"), 6, "name", "is given twice, first on line 1", ""),
        (sweep_with().replace("name: s", "name: ../s"), 1, "name", "cannot name a sweep", ""),
        (sweep_with().replace("name: s", ""), 2, "name", "is missing", ""),
        (sweep_with().replace("trials: 4", "trials: 0"), 3, "limits.trials", "0 is wrong", ""),
        (sweep_with().replace("trials: 4", "hours: 1"), 3, "limits.trials", "is missing", ""),
        (
            sweep_with().replace("trials: 4", "trials: 4, trial_silence: fast"),
            *(3, "limits.trial_silence", "'fast' is wrong", ""),
        ),
        (sweep_with(rest="tracking: {uri: 'http://u:p@h'}"), 6, "tracking.uri", "password", ""),
        (sweep_with(rest="tracking: {uri: 'http://h/?sig=p'}"), 6, "tracking.uri", "`sig`", ""),
        (sweep_with(rest="description: see http://u:p@h"), 6, "description", "password", ""),
        (sweep_with(rest="# not http://u:p@h"), 6, "", "the text here holds a password", ""),
        # The base and what a path leads to
        (sweep_with(base="[1]"), 2, "base", "is wrong", ""),
        (sweep_with(base="{data: digits, stps: 3}"), 2, "base.stps", "no such setting", "steps"),
        (sweep_with(base="{data: digits, steps: x}"), 2, "base.steps", "'x' is wrong", ""),
        (sweep_with(base="{data: digits, preset: sngann}"), 2, "base.preset", "sngann", None),
        (
            sweep_with(base="{data: digits, tricks: {emma: true}}"),
            2,
            "base.tricks.emma",
            "no trick 'emma'",
            "ema",
        ),
        (sweep_with("sead: {values: [1]}"), 5, "parameters.sead", "no such setting", "seed"),
        (
            sweep_with("batch_size: {values: [8, x]}"),
            5,
            "parameters.batch_size.values[1]",
            "'x'",
            "",
        ),
        (sweep_with("steps: {min: 1.0, max: 9.0}"), 5, "parameters.steps", "is wrong", ""),
        (
            sweep_with("seed.x: {values: [1]}", base="{data: digits, seed: 1}"),
            5,
            "parameters.seed.x",
            "seed is 1",
            "",
        ),
        # Conditions
        (
            sweep_with("seed: {values: [1, 2], when: {tricks.emma: true}}"),
            5,
            "parameters.seed.when.tricks.emma",
            "is not a parameter",
            "",
        ),
        (
            sweep_with("seed: {values: [1, 2], when: {seed: 1}}"),
            5,
            "parameters.seed.when",
            "form a cycle: seed",
            "",
        ),
        (
            sweep_with(
                "seed: {values: [1], when: {steps: 1}}\n  steps: {values: [1], when: {seed: 1}}"
            ),
            5,
            "parameters.seed.when",
            "form a cycle: seed, steps",
            "",
        ),
        (
            sweep_with(
                "loss: {values: [hinge, wgan]}\n  seed: {values: [1, 2], when: {loss: hing}}"
            ),
            6,
            "parameters.seed.when.loss",
            "is never 'hing'",
            "hinge",
        ),
        (
            sweep_with("steps: {min: 1, max: 9}\n  seed: {values: [1, 2], when: {steps: 3}}"),
            6,
            "parameters.seed.when.steps",
            "cannot depend on a range",
            "",
        ),
        # Tricks
        (
            sweep_with("tricks.emma: {toggle: true}"),
            5,
            "parameters.tricks.emma",
            "no trick 'emma'",
            "ema",
        ),
        (
            sweep_with("tricks.ema: {toggle: false}"),
            5,
            "parameters.tricks.ema.toggle",
            "False is wrong",
            "",
        ),
        (
            sweep_with("tricks.hinge: {toggle: true}"),
            5,
            "parameters.tricks.hinge",
            "hinge is a loss",
            "",
        ),
        (
            sweep_with("tricks.ema.decya: {min: 0.1, max: 0.2}"),
            5,
            "parameters.tricks.ema.decya",
            "no such setting",
            "decay",
        ),
        # Search, scheduler, objective
        (
            sweep_with(rest="objective: {metric: precision, goal: minimize}"),
            6,
            "objective.goal",
            "make it worse",
            "",
        ),
        (
            sweep_with(rest="objective: [{metric: fid}, {metric: modes}]"),
            6,
            "objective[1].metric",
            "is not measured in this sweep",
            "",
        ),
        (
            sweep_with("tricks.l1: {toggle: true, knobs: default}"),
            5,
            "parameters.tricks.l1",
            "can never be on",
            "",
        ),
        (
            sweep_with(rest="objective: {metric: fdi}"),
            6,
            "objective.metric",
            "is not a measure",
            "fid",
        ),
        (
            sweep_with(base=OF_CLASSES, rest="objective: {metric: class_fid}"),
            6,
            "objective.metric",
            "class_fid is a number for each of several parts, and none for all of them",
            "",
        ),
        (
            sweep_with(rest="objective: {metric: fid/3}"),
            6,
            "objective.metric",
            "fid is one number, and has no parts",
            "fid",
        ),
        (
            sweep_with(base="{data: digits, evaluation: {keep_by: fid/3}}"),
            2,
            "base.evaluation.keep_by",
            "fid is one number, and has no parts",
            "fid",
        ),
        (sweep_with(rest="objective: {metric: fid, goal: min}"), 6, "objective.goal", "", None),
        (sweep_with(rest="objective: []"), 6, "objective", "0 objectives", ""),
        (
            sweep_with(rest="scheduler: {name: median, quantile: 0.5}"),
            6,
            "scheduler.quantile",
            "option of pbt, not of median",
            "",
        ),
        (
            sweep_with(rest="search: {sampler: random, sigma: 0.5}"),
            6,
            "search.sigma",
            "option of cmaes, not of random",
            "",
        ),
        (
            sweep_with(
                "optimizer.generator.lr: {min: 0.1, max: 0.2}", rest="search: {sampler: grid}"
            ),
            5,
            "parameters.optimizer.generator.lr",
            "without steps",
            "",
        ),
        (
            sweep_with(rest="objective: [{metric: fid}, {metric: kid}]\nsearch: {sampler: gp}"),
            7,
            "search.sampler",
            "here are two",
            "",
        ),
        (
            sweep_with(rest="objective: [{metric: fid}, {metric: kid}]\nscheduler: {name: asha}"),
            7,
            "scheduler.name",
            "here are two",
            "",
        ),
        # YAML itself
        ("name: [", 1, "", "not YAML", ""),
        ("", None, "", "the file is empty", ""),
        ("- 1", 1, "", "is not a sweep", ""),
        (sweep_with(rest="description: !!python/name:os.system x"), 6, "description", "tag", ""),
        (sweep_with(rest="description: 1e999"), 6, "description", "too large", ""),
    ],
)
def test_a_bad_file_is_answered_with_line_path_and_nearest_name(
    text: str, line: int | None, path: str, message: str, nearest: str | None
) -> None:
    problem = only(text)
    assert (problem.line, problem.path) == (line, path)
    assert message in problem.message
    assert problem.nearest == nearest or nearest is None


def test_all_problems_are_reported_together_and_in_the_order_of_the_file() -> None:
    text = EXAMPLE.replace("min: 0.9,", "min: 1.9,").replace("hinge,", "hing,")
    text = text.replace("steps: 1500", "stepz: 1500").replace("trials: 20", "trials: many")
    assert [(p.line, p.path) for p in problems(text, "search.sampler=tpu")] == [
        (4, "base.stepz"),
        (8, "parameters.loss.values[1]"),
        (10, "parameters.tricks.ema.decay.min"),
        (17, "limits.trials"),
        (None, "search.sampler"),
    ]


@pytest.mark.parametrize(
    ("ablation", "said"),
    [
        ("{design: leave_one_in}", "there is no ablation design 'leave_one_in'"),
        ("{design: fractional_factorial}", "one of `resolution`, `runs` and `generators`"),
        ("{design: fractional_factorial, runs: 4, resolution: 3}", "and here are 2"),
    ],
)
def test_a_design_that_cannot_be_read_is_the_only_problem(ablation: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_sweep(
            "name: a\nbase: {data: digits}\n"
            "parameters: {tricks.ema: {toggle: true}, tricks.self_attention: {toggle: true}, "
            "tricks.spectral_norm: {toggle: true}}\n"
            f"ablation: {ablation}\n"
        )
    (problem,) = caught.value.problems
    assert said in str(problem)


def test_health_that_is_given_twice_hides_no_other_problem() -> None:
    base = "{data: digits, health: {stop_on: []}}"
    text = sweep_with("lr: {values: [1]}", base=base, rest="health: {stop_on: []}")
    assert [problem.path for problem in problems(text)] == ["parameters.lr", "health.stop_on"]


def test_conflicting_tricks_of_a_base_are_named() -> None:
    conflict = only(
        sweep_with(base="{data: digits, tricks: {spectral_norm: true, weight_clipping: true}}")
    )
    assert conflict.line == 2
    assert "conflicts with" in conflict.message


def test_missing_data_are_found(tmp_path: Path) -> None:
    gone = tmp_path / "gone.npz"
    base = only(sweep_with(base=f"{{data: {{name: npz, path: {gone}}}}}"))
    assert base.path == "base.data.path"
    assert str(gone) in base.message


def test_an_impossible_image_size_is_refused() -> None:
    problem = only(sweep_with(base="{data: {name: digits, size: 12}}"))
    assert problem.path == "base.data.size"
    assert "12" in problem.message


@pytest.mark.parametrize(
    "parameter",
    [
        "evaluation.samples: {values: [32, 512]}",
        "evaluation.batch_statistics: {values: [running]}",
        "evaluation.batch: {values: [64, 128]}",
        "data: {values: [digits, ring]}",
        "data.holdout: {min: 0.0, max: 0.2}",
    ],
)
def test_no_trial_can_win_by_the_way_it_is_measured(parameter: str) -> None:
    problem = only(sweep_with(parameter))
    assert problem.path == "parameters." + parameter.partition(":")[0]
    assert "values of two protocols cannot be compared" in problem.message
    assert problem.expected == "a setting of base, and one sweep for each value"


def test_what_only_the_discriminator_sees_may_be_searched() -> None:
    assert parse_sweep(sweep_with("data.flip: {values: [false, true]}")).parameters


@pytest.mark.parametrize(
    ("base", "rest", "kept"),
    [
        ("{data: digits}", "objective: {metric: kid}", "kid"),
        ("{data: ring, evaluation: {every: 9}}", "objective: {metric: modes}", "modes"),
        ("{data: digits, evaluation: {keep_by: recall}}", "objective: {metric: kid}", "recall"),
        ("{data: digits}", "", None),
    ],
)
def test_trainings_keep_the_generator_that_is_best_by_the_objective(
    base: str, rest: str, kept: str | None
) -> None:
    sweep = parse_sweep(sweep_with(base=base, rest=rest))
    assert sweep.base.get("evaluation", {}).get("keep_by") == kept
    assert problems_of(sweep.base) == []


@pytest.mark.parametrize("wrong", ["[1]", "often", "3"])
def test_an_evaluation_that_is_no_mapping_is_told_with_any_objective(wrong: str) -> None:
    base = f"{{data: digits, evaluation: {wrong}}}"
    problem = only(sweep_with(base=base, rest="objective: {metric: kid}"))
    assert problem.path == "base.evaluation"


def test_values_that_cannot_stand_together_are_named_alone() -> None:
    text = sweep_with(
        "accumulate: {values: [1, 3]}\n  batch_size: {values: [12, 16]}\n  steps: {min: 1, max: 9}"
    )
    problem = only(text)
    assert "accumulate = 3, batch_size = 16" in problem.message
    assert "steps" not in problem.message


def test_knobs_default_searches_a_tricks_own_ranges_while_it_is_on() -> None:
    sweep = parse_sweep(
        sweep_with(
            "tricks.ema: {toggle: true, knobs: default}\n"
            "  tricks.instance_noise: {toggle: true, knobs: default}\n"
            "  tricks.ema.decay: {values: [0.5, 0.6]}"
        )
    )
    sigma = sweep.parameter("tricks.instance_noise.sigma")
    assert sigma.when == {"tricks.instance_noise": (True,)}
    assert sigma.domain == Range(0.01, 0.5, log=True)
    assert sweep.parameter("tricks.ema.decay").domain == Values((0.5, 0.6))


def test_a_condition_may_stand_on_a_parameter_that_is_written_later() -> None:
    sweep = parse_sweep(
        sweep_with(
            "tricks.ema.decay: {min: 0.9, max: 0.99}\n  steps: {values: [5], when: {loss: hinge}}\n"
            "  tricks.ema: {toggle: true}\n  loss: {values: [hinge, wgan]}"
        )
    )
    assert [item.path for item in sweep.parameters] == [
        "loss",
        "tricks.ema",
        "tricks.ema.decay",
        "steps",
    ]


def test_an_override_is_named_in_place_of_a_line() -> None:
    sweep = parse_sweep(
        EXAMPLE,
        overrides=[
            "limits.trials=7",
            "base.loss.name=hinge",
            "parameters.optimizer.generator.lr.min=1e-4",
            "parameters.critic_steps={values: [1, 5]}",
        ],
    )
    assert sweep.limits.trials == 7
    assert sweep.base["loss"] == {"name": "hinge"}
    assert sweep.parameter("optimizer.generator.lr").domain == Range(1e-4, 1e-2, log=True)
    assert sweep.parameter("critic_steps").domain == Values((1, 5))
    wrong = only(EXAMPLE, "limits.trials=none")
    assert (wrong.file, wrong.line) == ("--set limits.trials=none", None)
    assert wrong.path == "limits.trials"
    assert only(EXAMPLE, "steps=5").nearest == "base.steps"
    assert only(EXAMPLE, "limts.trials=5").nearest == "limits"
    assert "not an override" in only(EXAMPLE, "limits.trials").message
    assert "name is 'quickstart'" in only(EXAMPLE, "name.x=5").message


def test_an_objective_is_optimised_in_the_direction_that_is_better() -> None:
    sweep = parse_sweep(sweep_with(rest="objective: [{metric: kid}, {metric: class_coverage}]"))
    assert [item.goal for item in sweep.objective] == ["minimize", "maximize"]
    filled = parse_sweep(
        sweep_with(
            base="{data: digits, task: inpaint}",
            rest="objective: {metric: inpaint/psnr, goal: maximize}",
        )
    )
    assert filled.objective[0].goal == "maximize"
    of_a_class = sweep_with(base=OF_CLASSES, rest="objective: {metric: class_fid/3}")
    assert parse_sweep(of_a_class).base["evaluation"]["keep_by"] == "class_fid/3"


def test_numbers_are_read_as_people_write_them() -> None:
    sweep = parse_sweep(
        sweep_with(base="{data: digits, steps: 1_000, optimizer: {generator: {lr: 1e-5}}}")
    )
    assert sweep.base["steps"] == 1000
    assert sweep.base["optimizer"]["generator"]["lr"] == 1e-5


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"name: \x00", b"", None])
def test_a_file_that_cannot_be_read_is_a_problem_with_its_name(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "sweep.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError, match=r"sweep\.yaml"):
        load_sweep(path)


def test_a_huge_file_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(2**26)
    tracemalloc.start()
    try:
        with pytest.raises(SpecError) as caught:
            load_sweep(huge)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    assert "longer than" in str(caught.value)


def test_a_character_that_cannot_stand_in_yaml_is_told_by_its_code_point() -> None:
    assert "the character U+0001 cannot stand" in only("name: a\x01").message
    assert "the character U+DCFF cannot stand" in only("name: a\udcff").message


def test_an_override_that_cannot_be_read_is_one_problem_and_a_long_one_is_cut() -> None:
    text = "name: s\nbase: {data: digits}\n"
    for value in ("{", "!!python/name:os.system 2", "9" * 5000):
        problem = only(text, f"limits.trials={value}")
        assert "is missing" not in problem.message
        assert len(problem.file) < 100


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("123", "123 is not text"),
        ("1e5", "is not text"),
        ("yes", "is not text"),
        ("cache", "uses this name itself"),
        ("mlflow.db", "uses this name itself"),
        ("a b", "cannot name a sweep"),
    ],
)
def test_a_name_that_cannot_be_is_told_why(name: str, said: str) -> None:
    assert said in only(f"name: {name}\nbase: {{data: digits}}\nlimits: {{trials: 4}}\n").message


@pytest.mark.parametrize("value", ["two", "1.5", "1e30", "[]", "nan"])
def test_what_a_number_should_be_is_said_without_the_parsers_words(value: str) -> None:
    problem = only(sweep_with(), f"limits.parallel={value}")
    assert not {"parse", "input", "fractional"} & set(problem.expected.split())


def test_a_value_of_the_wrong_kind_is_answered_in_the_words_of_the_file() -> None:
    found = problems(
        "name: s\nbase: {data: 5, networks: x, device: 4, evaluation: {metrics: 3}}\n"
        "limits: 3\ntracking: {uri: 3}\n"
        "ablation: {design: fractional_factorial, seeds: x, generators: y}\n"
    )
    assert [(problem.path, problem.expected) for problem in found] == [
        ("base.data", "a name, or a mapping with `name` and knobs"),
        ("base.networks", "a mapping"),
        ("base.evaluation.metrics", "auto or a list"),
        ("base.device", "a text"),
        ("limits", "a mapping"),
        ("tracking.uri", "a text"),
        ("ablation.seeds", "a whole number or a list"),
        ("ablation.generators", "a list"),
    ]


def test_a_bomb_of_anchors_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than" in only("\n".join(lines)).message
    assert "contains itself" in only("a: &a [*a]").message
    assert "nested" in only("[" * 600).message


def test_a_conflict_is_told_beside_a_misspelt_trick() -> None:
    base = {
        "data": {"name": "digits"},
        "tricks": {"spectral_nrm": True, "weight_clipping": True, "gradient_penalty": True},
    }
    told = [str(problem) for problem in problems_of(base)]
    assert any("did you mean 'spectral_norm'" in line for line in told)
    assert any("conflicts with 'weight_clipping'" in line for line in told)


def test_a_section_may_name_its_part_alone_and_be_given_knobs_beside() -> None:
    text = sweep_with(rest="search: random\nscheduler: median")
    sweep = parse_sweep(text, "sweep.yaml", ["search.seed=3", "scheduler.startup_trials=4"])
    assert (sweep.search.name, sweep.search.seed) == ("random", 3)
    assert sweep.to_dict()["scheduler"] == {
        "name": "median",
        "grace_steps": 250,
        "startup_trials": 4,
    }


def test_a_wrong_path_is_told_beside_the_other_settings_that_are_wrong(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for settings, others in (
        (f"{{name: image_folder, path: {nowhere}}}", {"data.size": "is missing"}),
        (
            f"{{name: parquet, path: {nowhere}, size: 12, chanels: 1}}",
            {"data.size": "12 is not possible", "data.chanels": "no such"},
        ),
        (f"{{name: npz, path: {nowhere}, size: 12}}", {"data.size": "12 is not possible"}),
    ):
        found = problems(sweep_with(base=f"{{data: {settings}}}"))
        told = {problem.path.removeprefix("base."): problem.message for problem in found}
        assert told.keys() == {"data.path", *others}
        assert "nowhere does not exist" in told["data.path"]
        for path, message in others.items():
            assert message in told[path]


def test_inception_weights_that_are_nowhere_are_told_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8))
    base = f"{{data: {{name: npz, path: {tmp_path}/a.npz, labels_key: null}}}}"
    parse_sweep(sweep_with(base=base))  # they seem to have been fetched, see conftest.py
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(inception, "why_not_fetched", lambda url: "no route to host")
    problem = only(sweep_with(base=base))
    assert problem.path == "base.evaluation.extractor.weights"
    assert f"are not at {tmp_path}/torch/hub/checkpoints/weights-inception" in problem.message
    assert "cannot be fetched from https://" in problem.message
    assert "(no route to host)" in problem.message
    assert "evaluation.extractor.weights; or an extractor that" in problem.expected
    monkeypatch.setattr(inception, "why_not_fetched", lambda url: "")
    parse_sweep(sweep_with(base=base))
    parse_sweep(sweep_with(base="{data: digits}"))


def test_whether_weights_can_be_fetched_is_the_answer_of_their_server(tmp_path: Path) -> None:
    assert inception.why_not_fetched(f"file://{tmp_path}/nowhere")
    (tmp_path / "there").touch()
    assert inception.why_not_fetched(f"file://{tmp_path}/there") == ""


def test_a_range_of_a_whole_number_names_the_distribution_that_draws_them():
    with pytest.raises(SpecError) as refused:
        parse_sweep(
            "name: a\nbase: {data: digits}\nlimits: {trials: 2}\n"
            "parameters: {batch_size: {distribution: log_uniform, min: 32, max: 128}}\n"
        )
    assert "`distribution: int_log_uniform`" in str(refused.value)
