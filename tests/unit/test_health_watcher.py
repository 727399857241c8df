"""The watcher and what it looks at; the signs themselves are tests/conformance/test_signs.py."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import count

from sweeper.testing.watched import failing, healthy, reports
from trials import catalogue
from trials.health import HealthConfig, Sign, Signals, Watcher
from trials.health.signals import METRICS
from trials.health.watcher import POSITIONS


def test_numbers_that_are_not_finite_are_reported_at_once_and_every_time() -> None:
    broken = Signals(step=50, finite=False)
    found = reports([healthy(0), broken, replace(broken, step=100)])
    assert [(symptom.name, symptom.step) for symptom in found] == [
        ("divergence", 50),
        ("divergence", 100),
    ]


def test_a_symptom_that_went_away_is_reported_again() -> None:
    collapse = failing(Sign.named("mode_collapse").examples[0])
    history = [*collapse[:14], healthy(20), *collapse[14:]]
    found = [symptom for symptom in reports(history) if symptom.name == "mode_collapse"]
    assert len(found) == 2


def test_only_recent_positions_are_kept() -> None:
    watcher = Watcher(HealthConfig())
    for index in range(POSITIONS + 5):
        watcher.observe(healthy(index))
    assert [s.position is None for s in watcher.history] == [True] * 5 + [False] * POSITIONS


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
    for sign in Sign.all().values():
        assert sign.source
        assert sign.summary
        assert set(named_tricks(sign.advice)) <= set(catalogue.tricks())
