"""What every stopping rule promises: it judges by the curves alone, and remembers nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweeper.parts import SamplerConfig
from sweeper.search.samplers.random import Random
from sweeper.search.stopping_rule import Curve, StoppingRule
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.testing.every_part import settings
from sweeper.testing.promises import promise, require

TRIALS = 12
STEPS = 12
FAR = 1000
PARAMETER = Parameter("optimizer.generator.beta1", Range(0.0, 0.9))

Curves = dict[int, Curve]


@promise("stopping rule")
def answers_the_same_when_asked_again(rule: type[StoppingRule], folder: Path) -> None:
    """At once, or after a kill: a new object says the same of the same curves."""
    for sweep in _sweeps(rule, folder):
        lasting = rule.of(sweep)
        for number, curves in _race():
            told = _answer(lasting, number, curves)
            where = f"of trial {number} at step {max(curves[number])}"
            require(_answer(lasting, number, curves) == told, f"says otherwise again {where}")
            require(_answer(rule.of(sweep), number, curves) == told, f"remembers more {where}")
            reason = told[0]
            require(reason is None or (isinstance(reason, str) and reason), "gives no reason")


@promise("stopping rule")
def says_nothing_of_an_empty_curve(rule: type[StoppingRule], folder: Path) -> None:
    """A trial that has not been evaluated goes on as it is, whatever the others did."""
    others: Curves = {number: _curve(number, STEPS) for number in range(1, TRIALS)}
    for sweep in _sweeps(rule, folder):
        alone: Curves = {0: {}}
        for curves in (alone, alone | others):
            answer = _answer(rule.of(sweep), 0, curves)
            require(answer == (None, None), f"says of a trial without evaluations: {answer}")


@promise("stopping rule")
def gives_no_verdict_from_the_future(rule: type[StoppingRule], folder: Path) -> None:
    """What others did at steps that a trial has not reached counts neither for it nor against."""
    for sweep in _sweeps(rule, folder):
        for number, curves in _race():
            last = max(curves[number], default=0)
            known = {
                other: {step: value for step, value in curve.items() if step <= last}
                for other, curve in curves.items()
            }
            told = _answer(rule.of(sweep), number, curves)
            same = _answer(rule.of(sweep), number, known) == told
            require(same, f"judges trial {number} at step {last} by what others did later")


@promise("stopping rule")
def names_its_rungs_in_order(rule: type[StoppingRule], folder: Path) -> None:
    """Each once, none beyond the step that it is asked for, and none where it says it has none."""
    for sweep in _sweeps(rule, folder):
        asked = rule.of(sweep)
        rungs = [*asked.rungs(FAR)]
        require(bool(rungs) == rule.has_rungs, f"has_rungs is {rule.has_rungs}: {rungs}")
        require(rungs == sorted({*rungs}), f"its rungs are in no order: {rungs}")
        for last in (0, STEPS, FAR):
            within = [rung for rung in rungs if 0 < rung <= last]
            require([*asked.rungs(last)] == within, f"has other rungs up to step {last}")


@promise("stopping rule")
def takes_over_what_is_there(rule: type[StoppingRule], folder: Path) -> None:
    """A donor's checkpoint of a step that it was evaluated at and that is kept, and a new draw."""
    for sweep in _sweeps(rule, folder):
        asked = rule.of(sweep)
        for number, curves in _race():
            values = _values(curves)
            gone = {other for other in values if other % 3 == 0 and other != number}
            some = {other: values[other] for other in values.keys() - gone}
            taken = asked.take_over(number, curves, some)
            require(taken is None or taken.donor in some, "copies a trial that is there no longer")
            taken = asked.take_over(number, curves, values)
            if taken is None:
                continue
            require(asked.milestones is not None, "takes over, and has no milestones to keep")
            there = taken.donor != number and taken.donor_step in curves.get(taken.donor, {})
            require(there, f"takes over trial {taken.donor} at step {taken.donor_step}")
            value = taken.draw.values[PARAMETER.path]
            require(PARAMETER.domain.contains(value), f"draws {value!r}, outside the space")


def _sweeps(rule: type[StoppingRule], folder: Path) -> Iterator[Sweep]:
    """A sweep under the rule for each goal, evaluated at every step."""
    base: dict[str, Any] = {
        "data": {"name": "digits"}, "steps": STEPS, "evaluation": {"every": 1}
    }  # fmt: skip
    search: SamplerConfig = Random.Config(start_with_base=False)
    for goal in ("minimize", "maximize"):
        yield Sweep(
            name="race",
            base=base,
            parameters=(PARAMETER,),
            objective=(Objective(metric="fid", goal=goal),),
            search=search,
            scheduler=rule.Config.model_validate(settings(rule, folder)).settled(base),
            limits=Limits(trials=TRIALS),
        )


def _race() -> Iterator[tuple[int, Curves]]:
    """Every trial at every step of its, beside others that are behind or ahead of it.

    Trial n gets as far as step n + 1; the curves cross, so that a rule has something to judge.
    """
    for number in range(TRIALS):
        for last in range(1, number + 2):
            curves: Curves = {other: _curve(other, other + 1) for other in range(TRIALS)}
            yield number, curves | {number: _curve(number, last)}


def _curve(number: int, last: int) -> Curve:
    """Falls from step to step, to a level that is other for each trial: 5 n mod 12."""
    level = 1.0 + 5 * number % TRIALS
    return {step: level + (2.0 + number % 3) / step for step in range(1, last + 1)}


def _values(curves: Mapping[int, Curve]) -> dict[int, dict[str, float]]:
    return {number: {PARAMETER.path: 0.05 * number} for number in curves}


def _answer(rule: StoppingRule, number: int, curves: Mapping[int, Curve]) -> tuple[Any, Any]:
    """(why it is stopped, what it takes over)."""
    return rule.verdict(number, curves), rule.take_over(number, curves, _values(curves))
