"""Tricks beside one another; `test_promises` holds each by itself to what a trick promises."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.testing.small import (
    SMALL,
    differ,
    losses_of,
    tensors_of,
    trained,
    with_trick,
)
from trials import catalogue
from trials.config import load_config, problems_of
from trials.part import temporary_parts
from trials.presets import merge
from trials.trick import Trick

TRICKS = catalogue.tricks()
every_trick = pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())


@every_trick
def test_it_names_the_paper_or_post_that_it_comes_from(trick: type[Trick]) -> None:
    assert re.fullmatch(r"[^\W\d].* (19|20)\d\d, .+", trick.paper)


BEYOND_A_SMALL_TRIAL = {
    "dynamic_balance.low": "compared with an accuracy, which few small batches give few values of",
    "dynamic_balance.high": "as low",
    "adaptive_augment.target": "compared with a mean of signs, of few values too",
    "inpaint.size": "in whole pixels, of which these images have eight",
    "weight_clipping.bound": "reached by weights that have learnt for hundreds of steps",
}
"""Knobs whose ends take more than a few steps on 8×8 pixels to show, and why."""

SEARCHED = [
    pytest.param(trick, knob, id=f"{trick.key}.{knob}")
    for trick in TRICKS.values()
    for knob, domain in trick.search_ranges().items()
    if "min" in domain and f"{trick.key}.{knob}" not in BEYOND_A_SMALL_TRIAL
]
STEPS = 800
"""As many as the shortest search in search_spaces/ has."""


@pytest.mark.slow
@pytest.mark.parametrize(("trick", "knob"), SEARCHED)
def test_neither_end_of_a_default_range_does_what_a_tenth_before_it_does(
    trick: type[Trick], knob: str, tmp_path: Path
) -> None:
    config = load_config(_long(trick, {}))
    knobs = config.tricks.get(trick.key, config.loss)
    domain = trick.search_ranges()[knob]
    low, high = trick.alive(knobs, config).get(knob, (-math.inf, math.inf))
    low, high = max(low, domain["min"]), min(high, domain["max"])

    def at(share: float) -> Iterator[Any]:
        log = domain.get("distribution") == "log_uniform"
        value = low * (high / low) ** share if log else low + share * (high - low)
        return _over_its_length(_long(trick, {knob: value}), tmp_path / str(share))

    # Side by side, since most of them part in their first steps.
    assert any(one != other for one, other in zip(at(0.0), at(0.1), strict=True))
    assert any(one != other for one, other in zip(at(0.9), at(1.0), strict=True))


def _long(trick: type[Trick], knobs: dict[str, Any]) -> dict[str, Any]:
    whole = {"steps": STEPS, "batch_size": 32, "evaluation": {"every": STEPS}}
    return merge(with_trick(trick, knobs), whole)


def _over_its_length(mapping: dict[str, Any], folder: Path) -> Iterator[Any]:
    """What each of forty steps makes of a training, spread over its whole length: in between
    nothing is learnt, but the tricks are told of as many steps, and are as far as they would be."""
    training = trained(mapping, folder, 2)
    game, told = training.game, training.game.hooks.after_generator_step
    rounds: list[Any] = []
    game.hooks.after_generator_step = lambda game, round: (rounds.append(round), told(game, round))
    while game.step < STEPS:
        training.run_to(game.step + 1)
        for _ in range(min(STEPS // 40 - 1, STEPS - 1 - game.step)):
            told(game, rounds[-1])
            game.step += 1
        tensors = {name: tensor.numpy().tobytes() for name, tensor in tensors_of(training).items()}
        yield tensors, losses_of(training), game.hooks.signals(game)


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
