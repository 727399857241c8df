"""Tricks beside one another; `test_promises` holds each by itself to what a trick promises."""

from __future__ import annotations

import itertools
import math
import random
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
from trials.config import problems_of
from trials.part import temporary_parts
from trials.presets import merge
from trials.trick import Trick

TRICKS = catalogue.tricks()
every_trick = pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())


@every_trick
def test_it_names_the_documents_of_this_project(trick: type[Trick]) -> None:
    assert all(number in {"000", "001", "002", "003", "004"} for number in trick.source.split())


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
