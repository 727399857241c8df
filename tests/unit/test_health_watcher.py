"""The six symptoms on made-up trainings: caught when they last, silent when they pass."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from trials import catalogue
from trials.health import SYMPTOMS, HealthConfig, Signals, Symptom, Watcher
from trials.health.documentation import page
from trials.health.signals import METRICS
from trials.health.watcher import POSITIONS

Change = Callable[[int], dict[str, Any]]
EVALUATIONS = 24


def healthy(index: int) -> Signals:
    """A GAN that learns: FID falls from 60 towards 3, everything else wobbles."""
    wobble = math.sin(2.3 * index)
    fid = 3 + 57 * math.exp(-index / 4) * (1 + 0.2 * wobble)
    return Signals(
        step=100 * (index + 1),
        finite=True,
        score_real=0.5 + wobble,
        score_fake=-0.5 + wobble,
        score_largest=4 + wobble,
        accuracy_real=0.75 + 0.2 * wobble,
        accuracy_fake=0.75 - 0.2 * wobble,
        gradient_generator=1.5 + wobble,
        gradient_discriminator=2.0 + wobble,
        fid=fid,
        fid_scale=45.0,
        diversity=0.9 - 0.6 * math.exp(-index / 2),
        duplicates=0.05,
        class_coverage=0.9 - 0.6 * math.exp(-index / 2),
        position=(0.1 * wobble, fid / 100, 0.0),
    )


def training(change: Change, start: int = 6) -> list[Signals]:
    """A healthy beginning, after which ``change(index)`` replaces some signals."""
    return [
        replace(healthy(i), **change(i)) if i >= start else healthy(i) for i in range(EVALUATIONS)
    ]


def stuck(index: int, fid: float = 50.0) -> dict[str, Any]:
    return {"fid": fid + 0.1 * (index % 3)}


FAILING: dict[str, list[Signals]] = {
    "divergence": training(lambda i: {"score_largest": 5e4}, start=3),
    "convergence_failure": training(
        lambda i: stuck(i) | {"accuracy_real": 1.0, "accuracy_fake": 0.99}, start=1
    ),
    "mode_collapse": training(
        lambda i: stuck(i) | {"diversity": 0.2, "duplicates": 0.9, "class_coverage": 0.1}
    ),
    "oscillation": training(lambda i: stuck(i) | {"position": (0.5 * (i % 2), 0.0, 0.0)}, start=2),
    "diminished_gradient": training(
        lambda i: (
            stuck(i) | {"gradient_generator": 1e-3, "accuracy_real": 1.0, "accuracy_fake": 0.99}
        ),
        start=2,
    ),
    "past_best": training(lambda i: {"fid": 30.0}, start=16),
}


def reports(history: list[Signals], **health: Any) -> list[Symptom]:
    watcher = Watcher(HealthConfig.model_validate(health))
    return [symptom for signals in history for symptom in watcher.observe(signals)]


def test_a_healthy_training_raises_no_alarm() -> None:
    assert reports([healthy(i) for i in range(EVALUATIONS)]) == []


@pytest.mark.parametrize("name", SYMPTOMS)
def test_a_failure_is_reported_once_when_it_sets_in(name: str) -> None:
    found = [symptom for symptom in reports(FAILING[name]) if symptom.name == name]
    assert len(found) == 1
    [symptom] = found
    assert symptom.evidence
    assert all(type(value) is float for value in symptom.evidence.values())
    assert symptom.advice == SYMPTOMS[name].advice
    assert re.search(r"\d|NaN", symptom.note), "a note says the numbers"
    json.dumps([symptom.name, symptom.step, dict(symptom.evidence), symptom.note])


@pytest.mark.parametrize("name", SYMPTOMS)
def test_a_sign_that_passes_is_no_symptom(name: str) -> None:
    persistence = getattr(HealthConfig(), name).persistence
    first = next(s.step for s in reports(FAILING[name]) if s.name == name) // 100 - 1
    onset = first - persistence + 1
    passing = [
        FAILING[name][i] if onset <= i < onset + persistence - 1 else healthy(i)
        for i in range(EVALUATIONS)
    ]
    assert name not in [symptom.name for symptom in reports(passing)]


def test_numbers_that_are_not_finite_are_reported_at_once_and_every_time() -> None:
    broken = Signals(step=50, finite=False)
    found = reports([healthy(0), broken, replace(broken, step=100)])
    assert [(symptom.name, symptom.step) for symptom in found] == [
        ("divergence", 50),
        ("divergence", 100),
    ]


def test_a_symptom_that_went_away_is_reported_again() -> None:
    history = [*FAILING["mode_collapse"][:12], healthy(20), *FAILING["mode_collapse"][12:]]
    found = [symptom for symptom in reports(history) if symptom.name == "mode_collapse"]
    assert len(found) == 2


@pytest.mark.parametrize("name", SYMPTOMS)
def test_a_watcher_taken_up_again_equals_one_never_stopped(name: str) -> None:
    history = FAILING[name]
    whole = Watcher(HealthConfig())
    expected = [whole.observe(signals) for signals in history]
    again, found = Watcher(HealthConfig()), []
    for signals in history:
        found.append(again.observe(signals))
        saved = json.loads(json.dumps(again.state_dict()))
        again = Watcher(HealthConfig())
        again.load_state_dict(saved)
    assert found == expected
    assert again.state_dict() == whole.state_dict()


def test_only_recent_positions_are_kept() -> None:
    watcher = Watcher(HealthConfig())
    for index in range(POSITIONS + 5):
        watcher.observe(healthy(index))
    assert [s.position is None for s in watcher.history] == [True] * 5 + [False] * POSITIONS


# Every knob, with a value under which the failure above is no failure, or a later one.
KNOBS = {
    ("divergence", "persistence"): 20,
    ("divergence", "score"): 1e6,
    ("divergence", "gradient"): 1e6,
    ("convergence_failure", "persistence"): 20,
    ("convergence_failure", "certain"): 0.995,
    ("convergence_failure", "poor"): 2.0,
    ("convergence_failure", "progress"): 0.0,
    ("mode_collapse", "persistence"): 20,
    ("mode_collapse", "diversity"): 0.1,
    ("mode_collapse", "duplicates"): 0.95,
    ("mode_collapse", "coverage"): 0.05,
    ("mode_collapse", "progress"): 0.0,
    ("oscillation", "persistence"): 10,
    ("oscillation", "jump"): 0.9,
    ("oscillation", "progress"): 0.0,
    ("diminished_gradient", "persistence"): 20,
    ("diminished_gradient", "fall"): 1e-6,
    ("diminished_gradient", "certain"): 0.995,
    ("diminished_gradient", "poor"): 2.0,
    ("diminished_gradient", "progress"): 0.0,
    ("past_best", "persistence"): 8,
    ("past_best", "margin"): 20.0,
    ("past_best", "least"): 1.0,
}


ONE_SIGN = {"diversity": "diversity", "duplicates": "duplicates", "coverage": "class_coverage"}


def test_every_threshold_has_a_test() -> None:
    declared = {
        (name, knob) for name, sign in SYMPTOMS.items() for knob in sign.Config.model_fields
    }
    assert declared == set(KNOBS)
    assert set(HealthConfig.model_fields) == {"stop_on", *SYMPTOMS}


@pytest.mark.parametrize(("name", "knob"), KNOBS)
def test_no_threshold_is_dead(name: str, knob: str) -> None:
    history = FAILING[name]
    if knob == "progress":  # improves a little, but less than asked for
        history = [replace(s, fid=50.0 - 0.01 * s.step / 100) for s in history]
    if knob == "gradient":
        history = [replace(s, score_largest=1.0, gradient_generator=5e4) for s in history]
    if knob in ONE_SIGN:  # the other signs of collapse are out of sight
        unseen = {field: None for field in ONE_SIGN.values() if field != ONE_SIGN[knob]}
        history = [replace(s, **unseen) for s in history]
    before = [s.step for s in reports(history) if s.name == name]
    after = [
        s.step for s in reports(history, **{name: {knob: KNOBS[name, knob]}}) if s.name == name
    ]
    assert before
    assert before != after


def test_signals_are_collected_from_the_trainers_metrics() -> None:
    metrics = dict(zip(METRICS.values(), count(1.0), strict=False))
    signals = Signals.collect(7, True, metrics | {"fid": math.nan}, None)
    assert signals.step == 7
    assert signals.score_real == 1.0
    assert signals.fid is None
    assert signals.position is None
    assert Signals.from_dict(json.loads(json.dumps(signals.as_dict()))) == signals
    assert {field.name for field in fields(Signals)} >= set(METRICS)


def named_tricks(advice: str) -> Iterator[str]:
    yield from re.findall(r"\b[a-z]+_[a-z_]+\b", advice)


def test_advice_names_tricks_that_exist() -> None:
    for sign in SYMPTOMS.values():
        assert sign.source
        assert sign.description
        assert set(named_tricks(sign.advice)) <= set(catalogue.tricks())


def test_the_page_on_health_says_what_the_symptoms_say() -> None:
    shipped = Path(__file__).parents[2] / "docs/health.md"
    assert page() in shipped.read_text(encoding="utf-8"), (
        "put what `python -m trials.health.documentation` prints into docs/health.md"
    )
