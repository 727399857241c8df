"""What every trick must satisfy, whoever wrote it: trains, resumes exactly, has no dead knob."""

from __future__ import annotations

import inspect
import itertools
import math
import random
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from tests.conformance.small import (
    SMALL,
    comparable,
    differ,
    losses_of,
    tensors_of,
    trained,
    with_trick,
)
from trials import catalogue
from trials.config import TrialConfig, load_config, problems_of
from trials.game import Game, Trial
from trials.part import temporary_parts
from trials.presets import merge
from trials.trainer import Training
from trials.trick import Trick

TRICKS = catalogue.tricks()
every_trick = pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())


@every_trick
def test_it_says_what_it_is_and_where_it_comes_from(trick: type[Trick]) -> None:
    assert trick.group
    assert trick.summary
    assert trick.formula
    assert trick.paper
    assert all(number in {"000", "001", "002", "003", "004"} for number in trick.source.split())
    assert all(other in TRICKS for other in (*trick.conflicts, *trick.requires))
    for knob, field in trick.Config.model_fields.items():
        assert field.description, f"{knob} has no meaning"


@every_trick
def test_it_trains_with_finite_losses_and_resumes_bit_for_bit(
    trick: type[Trick], tmp_path: Path
) -> None:
    config = load_config(with_trick(trick))
    whole = Training(config, tmp_path / "whole")
    expected = [whole.advance(), whole.advance()]
    for evaluation in expected:
        losses = {k: v for k, v in evaluation.metrics.items() if k.startswith("loss/")}
        assert losses
        assert all(map(math.isfinite, losses.values()))
        assert "fid" in evaluation.metrics

    stopped = Training(config, tmp_path / "stopped")
    stopped.advance()
    stopped.run_to(4)
    stopped.save()
    resumed = Training(config, tmp_path / "stopped")
    assert resumed.restore()
    assert resumed.step == 4
    resumed.advance()

    assert not differ(tensors_of(whole), tensors_of(resumed))
    assert [comparable(e.metrics) for e in resumed.history] == [
        comparable(e.metrics) for e in expected
    ]


class _Shown:
    """A game or a trial that refuses whatever its interface does not show."""

    def __init__(self, whole: Any, interface: type) -> None:
        self.__dict__.update(_whole=whole, _interface=interface)

    def __getattr__(self, name: str) -> Any:
        shown = {key for key in vars(self._interface) if not key.startswith("_")}
        assert name in shown, f"a trick may not touch {self._interface.__name__}.{name}"
        return getattr(self._whole, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError(f"a trick may not set {self._interface.__name__}.{name}")


def _narrowed(trick: Trick, trial: TrialConfig) -> Trick:
    """The trick, given no more of game and trial than their interfaces."""
    trick.trial = _Shown(trial, Trial)
    for name, hook in vars(Trick).items():
        if inspect.isfunction(hook) and "game" in inspect.signature(hook).parameters:
            own = getattr(trick, name)
            narrow = lambda game, *rest, own=own: own(_Shown(game, Game), *rest)  # noqa: E731
            setattr(trick, name, narrow)
    return trick


@every_trick
def test_it_touches_no_more_than_game_and_trial_show(
    trick: type[Trick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, build = load_config(with_trick(trick)), TrialConfig.build_tricks
    for kind, knobs in config.active():
        assert not list(kind.check(knobs, _Shown(config, Trial)))
        assert all(isinstance(advice, str) for advice in kind.advise(knobs, _Shown(config, Trial)))
    monkeypatch.setattr(
        TrialConfig, "build_tricks", lambda trial: [_narrowed(t, trial) for t in build(trial)]
    )
    training = Training(config, tmp_path)
    training.run_to(2)
    training.evaluate()


@every_trick
def test_every_knob_changes_something(trick: type[Trick], tmp_path: Path) -> None:
    for knob in trick.Config.model_fields:
        assert any(
            _outcome(trick, before, tmp_path) != _outcome(trick, after, tmp_path)
            for before, after in _turns(trick, knob)
        ), f"{trick.key}.{knob} changes nothing"


_outcomes: dict[str, tuple[Any, ...]] = {}


def _outcome(trick: type[Trick], knobs: dict[str, Any], folder: Path) -> tuple[Any, ...]:
    """Bytes of weights and samples, and the loss terms, after a few steps; each run made once."""
    key = repr((trick.key, sorted(knobs.items())))
    if key not in _outcomes:
        name = f"run{len(_outcomes)}"
        training = trained(with_trick(trick, knobs), folder / name, 5)
        tensors = {k: v.numpy().tobytes() for k, v in tensors_of(training).items()}
        signals = training.game.hooks.signals(training.game)
        _outcomes[key] = (tensors, losses_of(training), signals)
    return _outcomes[key]


def _turns(trick: type[Trick], knob: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of knob settings that differ in ``knob`` alone, in each mode the trick has."""
    fields = trick.Config.model_fields
    modes: list[dict[str, Any]] = [{}]
    for other, field in fields.items():
        if other != knob:
            modes += [{other: value} for value in _modes(field)]
    modes += [a | b for a, b in itertools.combinations(modes[1:], 2)]
    for mode in modes:
        for value in _alternatives(fields[knob]):
            after = {**mode, knob: value}
            if _valid(trick, mode) and _valid(trick, after):
                yield mode, after


def _valid(trick: type[Trick], knobs: dict[str, Any]) -> bool:
    try:
        trick.Config.model_validate(knobs)
    except ValidationError:
        return False
    return not problems_of(with_trick(trick, knobs))


def _modes(field: FieldInfo) -> list[Any]:
    """Other values of a knob that chooses a way of working."""
    if field.annotation is bool:
        return [not field.default]
    if typing.get_origin(field.annotation) is Literal:
        return [v for v in typing.get_args(field.annotation) if v != field.default]
    return []


def _alternatives(field: FieldInfo) -> list[Any]:
    """Other values to try for a knob; those that break its limits are skipped later."""
    if modes := _modes(field):
        return modes
    extra = field.json_schema_extra
    found: list[Any] = []
    if isinstance(extra, dict) and isinstance(extra.get("search"), dict):
        search = typing.cast("dict[str, Any]", extra["search"])
        found += search.get("values", [search.get("min"), search.get("max")])
    default = field.default
    if isinstance(default, int) and not isinstance(default, bool):
        found += [default + 1, default - 1, default * 2, 2, 4, 8]
    elif isinstance(default, float):
        found += [default * 2, default / 2, default * 1.1, default + 0.5, 0.5, 0.25, 2.0]
    else:
        found += [1, 2, 0.5, 4]
    return [value for value in found if value != default and value is not None]


VIRTUAL = {
    "networks": {player: {"norm": "virtual_batch"} for player in ("generator", "discriminator")}
}


@every_trick
def test_it_takes_two_steps_over_a_reference_batch(trick: type[Trick], tmp_path: Path) -> None:
    mapping = merge(with_trick(trick), VIRTUAL)
    if problems_of(mapping):
        pytest.skip("does not go with virtual batch normalisation")
    terms = losses_of(trained(mapping, tmp_path, 2))
    assert terms
    assert all(map(math.isfinite, terms.values()))


def _pairs() -> list[tuple[str, str]]:
    """Every pair of tricks that a trial may have on together."""
    keys = list(TRICKS)
    return [
        (a, b) for a, b in itertools.combinations(keys, 2) if not problems_of(_pair_mapping(a, b))
    ]


def _pair_mapping(a: str, b: str) -> dict[str, Any]:
    mapping = merge(with_trick(TRICKS[a]), TRICKS[b].example)
    for key in (a, b):
        path = catalogue.path_of(key)
        given = {path: key} if path in catalogue.SELECTORS else {"tricks": {key: True}}
        mapping = merge(mapping, given)
    return mapping


def _takes_two_steps(a: str, b: str, folder: Path) -> None:
    training = trained(_pair_mapping(a, b), folder / f"{a}-{b}", 2)
    terms = losses_of(training)
    assert terms
    assert all(map(math.isfinite, terms.values())), f"{a} with {b}: {terms}"


def test_a_sample_of_compatible_pairs_takes_two_steps(tmp_path: Path) -> None:
    pairs = _pairs()
    for a, b in random.Random(0).sample(pairs, min(60, len(pairs))):
        _takes_two_steps(a, b, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_compatible_pair_takes_two_steps(tmp_path: Path) -> None:
    for a, b in _pairs():
        _takes_two_steps(a, b, tmp_path)


def test_a_trick_needs_one_class_and_nothing_else(tmp_path: Path) -> None:
    with temporary_parts():

        class Whitening(Trick):
            """Defined here, and known everywhere."""

            key = "test_only_scaling"
            group = "judgement"
            summary = "shows the discriminator half the contrast"
            formula = "x / 2"
            paper = "none"

            def see(self, game: Any, images: Any, real: bool) -> Any:
                return images / 2

        plain = trained(SMALL, tmp_path / "plain", 2)
        with_it = trained(with_trick(Whitening), tmp_path / "scaled", 2)
        assert "test_only_scaling" in catalogue.toggles()
        assert differ(tensors_of(plain), tensors_of(with_it))
    assert "test_only_scaling" not in catalogue.toggles()
