"""What every sign of failure promises: it sees what lasts, once, and says it with numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from sweeper.testing.promises import promise, require
from sweeper.testing.watched import EVALUATIONS, HEALTHY, ONSET, failing, reports
from trials.health import HealthConfig, Sign, Signals, Symptom, Watcher


@promise("sign of failure")
def shows_itself_in_an_example(sign: type[Sign], folder: Path) -> None:
    """Advice in sentences, and a training that shows it."""
    require(sign.advice.endswith("."), "its `advice` is no sentence")
    require(sign.source, f"{sign.__qualname__} has no `source`")
    require(sign.examples, "has no example of a training that shows it")
    signals = {field.name for field in fields(Signals)}
    for example in sign.examples:
        foreign = ", ".join(sorted(set(example) - signals))
        require(not foreign, f"its example has {foreign}, which nothing measures")


@promise("sign of failure")
def raises_no_alarm_in_a_healthy_training(sign: type[Sign], folder: Path) -> None:
    """A GAN that learns is no symptom."""
    require(sign.key not in _names(reports(HEALTHY)), "is seen in a healthy training")


@promise("sign of failure")
def reports_a_failure_once_when_it_sets_in(sign: type[Sign], folder: Path) -> None:
    """After the onset, with finite numbers, in a sentence that says them."""
    for example in sign.examples:
        seen = [symptom for symptom in reports(failing(example)) if symptom.name == sign.key]
        require(len(seen) == 1, f"reports {example} {len(seen)} times")
        (symptom,) = seen
        require(symptom.step > HEALTHY[ONSET - 1].step, "reports it before it sets in")
        require(symptom.evidence, "has no number that speaks for it")
        numbers = all(type(value) is float for value in symptom.evidence.values())
        require(numbers, f"its evidence is no floats: {symptom.evidence}")
        said = any(letter.isdigit() for letter in symptom.note) or "NaN" in symptom.note
        require(said, f"its note says no number: {symptom.note!r}")
        require(symptom.advice == sign.advice, "its advice is another's")


@promise("sign of failure")
def takes_what_passes_for_no_symptom(sign: type[Sign], folder: Path) -> None:
    """One evaluation short of `persistence`, it says nothing."""
    for example in sign.examples:
        history = failing(example)
        steps = [signals.step for signals in history]
        reported = next(
            (symptom.step for symptom in reports(history) if symptom.name == sign.key), None
        )
        require(reported is not None, f"does not see {example}")
        assert reported is not None
        persistence = sign.Config().persistence
        first = steps.index(reported) - persistence + 1
        passing = [
            history[i] if first <= i < first + persistence - 1 else HEALTHY[i]
            for i in range(EVALUATIONS)
        ]
        require(sign.key not in _names(reports(passing)), "reports what has passed")


@promise("sign of failure")
def says_the_same_after_every_stop(sign: type[Sign], folder: Path) -> None:
    """A watcher resumed after each evaluation equals one that never stopped."""
    for example in sign.examples:
        whole, again = Watcher(HealthConfig()), Watcher(HealthConfig())
        for signals in failing(example):
            expected = whole.observe(signals)
            require(again.observe(signals) == expected, "reports otherwise after a stop")
            saved = json.loads(json.dumps(again.state_dict()))
            again = Watcher(HealthConfig())
            again.load_state_dict(saved)
        require(again.state_dict() == whole.state_dict(), "its watcher's state differs at the end")


def _names(symptoms: Iterable[Symptom]) -> list[str]:
    return [symptom.name for symptom in symptoms]
