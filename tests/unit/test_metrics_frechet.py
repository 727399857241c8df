"""The Fréchet distance where estimates are hard, and the protocol that travels with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trials.metrics.frechet import Moments, Reference, RunningMoments, TooFewImagesError
from trials.metrics.protocol import Protocol, alike, counted, differing


def normal(count: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=30)
@given(
    real=st.integers(2, 40),
    fake=st.integers(2, 40),
    dim=st.integers(1, 60),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
)
def test_fewer_images_than_features_give_a_real_and_non_negative_distance(
    real: int, fake: int, dim: int, scale: float
) -> None:
    reference = Reference.of(Moments.of(normal(real, dim, 0) * scale))
    distance = reference.distance(Moments.of(normal(fake, dim, 1) * scale))
    assert 0 <= distance < float("inf")


def test_the_distance_to_itself_is_zero_and_a_shift_costs_its_square() -> None:
    x = normal(300, 20, 0)
    reference = Reference.of(Moments.of(x))
    assert reference.distance(Moments.of(x)) == pytest.approx(0, abs=1e-9)
    assert reference.distance(Moments.of(x + 0.5)) == pytest.approx(20 * 0.25, rel=1e-6)


def test_constant_images_are_measured_not_refused() -> None:
    collapsed = Moments.of(torch.ones(10, 5))
    real = Moments.of(normal(100, 5, 0))
    expected = float((1 - real.mean).square().sum() + real.cov.trace())
    assert Reference.of(real).distance(collapsed) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_are_refused(count: int) -> None:
    with pytest.raises(TooFewImagesError, match=f"at least 2 images on each side, got {count}"):
        Moments.of(torch.zeros(count, 4))
    running = RunningMoments()
    if count:
        running.update(torch.zeros(count, 4))
    with pytest.raises(TooFewImagesError, match=f"got {count}"):
        running.moments()


def test_features_of_two_extractors_do_not_mix() -> None:
    with pytest.raises(ValueError, match="8 features cannot be compared with 4"):
        Reference.of(Moments.of(normal(9, 4, 0))).distance(Moments.of(normal(9, 8, 0)))


PROTOCOL = Protocol(
    extractor="digits",
    extractor_hash="ab",
    data="digits",
    data_hash="cd",
    real_count=1797,
    fake_count=1024,
    resize="none",
    quantisation="none",
    weights="averaged",
    batch_statistics="running",
)


def test_values_meet_only_where_all_but_the_configured_fields_are_equal() -> None:
    mine = PROTOCOL.as_dict()
    other = replace(PROTOCOL, fake_count=5000, weights="raw").as_dict()
    assert differing(mine, other) == {"fake_count": ("1024", "5000")}
    assert not alike(mine, other)
    assert alike(mine, replace(PROTOCOL, weights="raw").as_dict())
    assert alike(mine, {})
    assert alike({}, mine)
    without = {name: text for name, text in mine.items() if name != "settings"}
    assert alike(mine, without)
    assert not alike({**mine, "settings": "k 5"}, without)


def test_names_carry_their_sample_count() -> None:
    assert counted("fid", 5000) == "fid_5k"
    assert counted("fid", 1024) == "fid_1024"
    assert counted("class_fid/3", 50_000) == "class_fid_50k/3"
