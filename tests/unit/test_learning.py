"""`search.learn_from`: earlier sweeps of the home teach the sampler, and decide nothing else."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeper.errors import ProtocolChanged, SpecError
from sweeper.home import Home
from sweeper.preview import first_points, overview_of
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.search import learning
from sweeper.search.ledger import Ledger
from sweeper.sweepfile import parse_sweep
from sweeper.sweepfile.absolute import with_absolute_paths
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation

PROTOCOL = {"extractor": "digits", "data_hash": "a" * 40}

FILE = """
name: NAME
base: {data: digits, steps: STEPS}
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: LOW, max: 1.0e-2}
  batch_size: {values: [16, 32, 64]}
objective: {metric: METRIC}
limits: {trials: 12}
search: SEARCH
"""
FIRST = "{sampler: random}"
SECOND = "{sampler: tpe, startup_trials: 5, learn_from: [first]}"


def sweep(name: str, search: str = SECOND, **given: Any) -> Sweep:
    made = FILE.replace("NAME", name).replace("SEARCH", search)
    for word, default in {"STEPS": 100, "LOW": 1.0e-5, "METRIC": "fid"}.items():
        made = made.replace(word, str(given.get(word.lower(), default)))
    return parse_sweep(made)


def opened(home: Home, spec: Sweep, **given: Any) -> Ledger:
    folder = home.sweep(spec.name)
    folder.create()
    ledger = Ledger.open(spec, folder, **given)
    if not folder.exists():
        keep_spec(spec, folder, None)
    return ledger


def asked(ledger: Ledger, count: int, protocol: dict[str, str] | None = None) -> list[Any]:
    """Have so many trials asked for and completed. What was asked for."""
    found = []
    for _ in range(count):
        trial = ledger.ask()
        assert trial is not None
        found.append(dict(trial.values))
        loss = abs(trial.values.get("optimizer.generator.lr", 1e-3) - 3e-3)
        ledger.started(trial.number)
        evaluation = Evaluation(100, 1.0, {"fid": loss, "kid": loss}, protocol or PROTOCOL)
        ledger.report(trial.number, evaluation)
        if trial.number == 3:
            ledger.fail(trial.number, "divergence", "fell apart")
        else:
            ledger.complete(trial.number, [loss])
    return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """With a finished sweep of eight trials, one of which has failed."""
    made = Home(tmp_path / "home")
    asked(opened(made, sweep("first", FIRST)), 8)
    return made


def test_the_sampler_knows_them_and_nobody_else_does(home: Home) -> None:
    ledger = opened(home, sweep("second"))
    assert ledger.learned == "8 of 8 trials of first"
    assert ledger.trials() == []
    assert ledger.standings().best is None
    assert ledger.budget == 12
    assert ledger.counts()["search"] == 0
    found = asked(ledger, 3)
    alone = asked(opened(home, sweep("third", "{sampler: tpe, startup_trials: 5}")), 3)
    assert found[0] == alone[0], "the base"
    # Without them the first trials are random; with them they are near the best of those.
    assert found[1:] != alone[1:]
    assert ledger.importances() == {} or len(ledger.trials()) == 3
    assert first_points(sweep("fourth"), 2, home)[0][0] == found[0]


def test_importances_are_of_the_sweeps_own_trials(home: Home) -> None:
    asked(opened(home, sweep("many", FIRST.replace("}", ", seed: 1}"))), 12)
    taught = opened(home, sweep("taught", SECOND.replace("first", "first, many")))
    asked(taught, 2)
    assert taught.importances() == {}


def test_a_driver_that_goes_on_knows_the_same_whatever_has_become_of_them(home: Home) -> None:
    straight = asked(opened(home, sweep("straight")), 6)
    spec = sweep("killed")
    found = asked(opened(home, spec), 2)
    shutil.rmtree(home.sweep("first").path)
    for _ in range(4):
        found += asked(opened(home, spec), 1)
    assert found == straight


def test_settings_that_an_earlier_sweep_trained_with_otherwise_are_named(home: Home) -> None:
    told = "base: {data: digits, loss: wgan, networks: {generator: {width: 24}}, steps: 100}"
    other = parse_sweep(
        FILE.replace("NAME", "other")
        .replace("SEARCH", SECOND)
        .replace("METRIC", "fid")
        .replace("LOW", "1.0e-5")
        .replace("base: {data: digits, steps: STEPS}", told)
        .replace("  batch_size: {values: [16, 32, 64]}\n", "")
    )
    named = "loss, networks.generator.width and batch_size"
    assert opened(home, other).learned == f"8 of 8 trials of first (with another {named})"
    (warning,) = (one for one in overview_of(other, home)["warnings"] if "learn_from" in one)
    assert f"first trained with a different {named} than this sweep" in warning
    assert not any("learn_from" in one for one in overview_of(sweep("second"), home)["warnings"])


LR = "{distribution: log_uniform, min: 1.0e-4, max: 1.0e-2}"
GENERATOR, DISCRIMINATOR = "optimizer.generator.lr", "optimizer.discriminator.lr"
ALONE, TOGGLED = f"{GENERATOR}: {LR}", "tricks.ema: {toggle: true}"
TIED = f"{ALONE}, {DISCRIMINATOR}: {{tie: {GENERATOR}}}"
WITH_EMA = "tricks: {ema: {decay: 0.5}}"


@pytest.mark.parametrize(
    ("mine", "theirs", "named"),
    [
        (("", ALONE), ("", TIED), [DISCRIMINATOR]),
        (("", TIED), ("", ALONE), [DISCRIMINATOR]),
        (("", TIED), ("", TIED), []),
        (("", f"{ALONE}, {TOGGLED}"), (WITH_EMA, ALONE), ["tricks.ema.decay"]),
        (("", f"{ALONE}, {TOGGLED}"), ("tricks: {ema: {}}", ALONE), []),
        (("", f"{ALONE}, {TOGGLED}"), ("", ALONE), []),
        ((WITH_EMA, TOGGLED), ("", TOGGLED), ["tricks.ema.decay"]),
        ((WITH_EMA, TOGGLED), ("tricks: {ema: {decay: 0.9}}", TOGGLED), ["tricks.ema.decay"]),
        (("", TOGGLED), ("", f"{TOGGLED}, tricks.ema.decay: {{min: 0.9, max: 0.99}}"),
         ["tricks.ema.decay"]),
        (("", ALONE), (WITH_EMA, ALONE), ["tricks.ema"]),
    ],
)  # fmt: skip
def test_what_hangs_on_a_trick_or_is_tied_is_named_where_it_was_otherwise(
    mine: tuple[str, str], theirs: tuple[str, str], named: list[str]
) -> None:
    spec, other = (
        parse_sweep(
            f"name: s\nbase: {{data: digits, {base}}}\nparameters: {{{parameters}}}\n"
            "limits: {trials: 3}\n"
        )
        for base, parameters in (mine, theirs)
    )
    assert learning._otherwise(spec, other) == named


def test_a_file_of_the_same_path_is_the_same_as_the_one_that_an_earlier_sweep_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("faces.npz", images=np.zeros((64, 3, 8, 8), np.uint8))
    written = FILE.replace("data: digits", "data: {name: npz, path: faces.npz, labels_key: null}")
    for word, text in {"NAME": "s", "STEPS": "9", "LOW": "1.0e-5", "METRIC": "fid"}.items():
        written = written.replace(word, text)
    spec = parse_sweep(written.replace("SEARCH", FIRST))
    stored = replace(spec, base=with_absolute_paths(spec.base))
    assert learning._otherwise(spec, stored) == []
    assert learning._otherwise(stored, spec) == []


def test_what_lies_outside_a_range_that_has_moved_is_left(home: Home) -> None:
    ledger = opened(home, sweep("second", low=2.5e-4))
    words = ledger.learned
    taken = int(words.split()[0])
    inside = [
        trial
        for trial in opened(home, sweep("first", FIRST)).trials()
        if trial.values["optimizer.generator.lr"] >= 2.5e-4
    ]
    assert 0 < taken == len(inside) < 8


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"steps": 200}, "trains for 100 steps, but this sweep for 200"),
        ({"metric": "kid"}, "has another objective: minimize fid"),
        ({"low": 9.9e-3}, "has 8 trials, but none lies in this search space"),
        ({"search": SECOND.replace("first", "furst")}, "did you mean 'first'"),
        ({"search": SECOND.replace("first", "second")}, "is this sweep itself"),
        ({"search": SECOND.replace("first", "../x")}, "cannot name a sweep"),
    ],
)
def test_a_sweep_that_cannot_teach_is_refused_with_the_reason(
    home: Home, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError, match=r"search.learn_from\[0\]") as refused:
        opened(home, sweep("second", **given))
    assert reason in str(refused.value)
    # Nothing has begun: the file can be mended and run under its name.
    opened(home, sweep("second", FIRST))


def test_a_sweep_with_parts_that_are_not_here_is_refused_beside_all_other_reasons(
    home: Home,
) -> None:
    file = home.sweep("first").spec_json
    stored = json.loads(file.read_text())
    stored["base"]["tricks"] = {"of_a_notebook": {}}
    file.write_text(json.dumps(stored))
    with pytest.raises(SpecError) as refused:
        opened(home, sweep("second", SECOND.replace("[first]", "[first, none]")))
    assert "search.learn_from[0]: first: has a base that cannot be trained" in str(refused.value)
    assert "of_a_notebook" in str(refused.value)
    assert "no sweep named 'none'" in str(refused.value)


def test_sweeps_of_two_protocols_are_refused_and_all_reasons_are_told(home: Home) -> None:
    other = {**PROTOCOL, "data_hash": "b" * 40}
    asked(opened(home, sweep("other", FIRST)), 2, other)
    three = SECOND.replace("[first]", "[first, other, none, first]")
    with pytest.raises(SpecError) as refused:
        opened(home, sweep("second", three))
    assert "measured by another protocol than the sweeps before it" in str(refused.value)
    assert "no sweep named 'none'" in str(refused.value)
    assert "search.learn_from[3]: first: is named twice" in str(refused.value)


def test_a_trial_that_would_be_measured_otherwise_is_none(home: Home) -> None:
    other = {**PROTOCOL, "data_hash": "b" * 40}
    ledger = opened(home, sweep("second"))
    with pytest.raises(ProtocolChanged, match=r"than those that search.learn_from names"):
        asked(ledger, 1, other)
    accepting = opened(home, sweep("second"), accept_protocol=True)
    trial = accepting.interrupted()[0]
    accepting.report(trial.number, Evaluation(100, 1.0, {"fid": 1.0}, other))
    accepting.complete(trial.number, [1.0])
    without = opened(home, sweep("alone", "{sampler: tpe, startup_trials: 5}"))
    assert asked(accepting, 2, other) == asked(without, 3, other)[1:], "they teach nothing then"


def test_gp_learns_too_and_a_sampler_that_does_not_says_so(home: Home) -> None:
    search = "{sampler: gp, startup_trials: 5, learn_from: [first]}"
    ledger = opened(home, sweep("second", search))
    best = asked(ledger, 2)[1]["optimizer.generator.lr"]
    assert best == pytest.approx(3e-3, rel=2)
    with pytest.raises(SpecError, match="is an option of bohb, gp, tpe, not of random"):
        sweep("third", "{sampler: random, learn_from: [first]}")
