"""Each adversarial loss equals its formula, written out with logarithms and loops in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sweeper.testing.small import small_config
from trials import catalogue
from trials.game import Round
from trials.losses.base import AdversarialLoss
from trials.networks.plan import Judgement


def _round(r: Tensor, f: Tensor, **targets: Any) -> Round:
    nothing = torch.zeros(len(r), 1)

    def judged(score: Tensor) -> Judgement:
        return Judgement(score, nothing, {})

    return Round(
        "discriminator", nothing, None, nothing, None, nothing,
        real_judgement=judged(r), fake_judgement=judged(f), **targets,
    )  # fmt: skip


def _loss(key: str, **knobs: Any) -> AdversarialLoss:
    kind = catalogue.in_slot("loss")[key]
    loss = kind(kind.Config(**knobs), small_config(loss={"name": key, **knobs}))
    assert isinstance(loss, AdversarialLoss)
    return loss


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _standard(r: list[float], f: list[float]) -> float:
    return -_mean([math.log(_sigmoid(a)) for a in r]) - _mean(
        [math.log(1 - _sigmoid(a)) for a in f]
    )


def _relu(a: float) -> float:
    return max(0.0, a)


def _average(w: list[float], lo: list[float], base: str) -> float:
    up, down = [a - _mean(lo) for a in w], [a - _mean(w) for a in lo]
    if base == "standard":
        return _standard(up, down)
    if base == "lsgan":
        return _mean([(a - 1) ** 2 for a in up]) + _mean([(a + 1) ** 2 for a in down])
    return _mean([_relu(1 - a) for a in up]) + _mean([_relu(1 + a) for a in down])


FORMULAS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "minimax": ({}, _standard, lambda r, f: _mean([math.log(1 - _sigmoid(a)) for a in f])),
    "non_saturating": ({}, _standard, lambda r, f: -_mean([math.log(_sigmoid(a)) for a in f])),
    "lsgan": (
        {"a": -1.0, "b": 1.0, "c": 0.5},
        lambda r, f: _mean([(s - 1) ** 2 for s in r]) + _mean([(s + 1) ** 2 for s in f]),
        lambda r, f: _mean([(s - 0.5) ** 2 for s in f]),
    ),
    "wgan": ({}, lambda r, f: _mean(f) - _mean(r), lambda r, f: -_mean(f)),
    "hinge": (
        {"margin": 0.5},
        lambda r, f: _mean([_relu(0.5 - s) for s in r]) + _mean([_relu(0.5 + s) for s in f]),
        lambda r, f: -_mean(f),
    ),
    "relativistic": (
        {},
        lambda r, f: -_mean([math.log(_sigmoid(a - b)) for a, b in zip(r, f, strict=True)]),
        lambda r, f: -_mean([math.log(_sigmoid(b - a)) for a, b in zip(r, f, strict=True)]),
    ),
    **{
        f"relativistic_average:{base}": (
            {"base": base},
            lambda r, f, base=base: _average(r, f, base),
            lambda r, f, base=base: _average(f, r, base),
        )
        for base in ("standard", "lsgan", "hinge")
    },
}


@pytest.mark.parametrize("name", FORMULAS)
def test_it_equals_its_formula_with_gradients(name: str) -> None:
    knobs, discriminator, generator = FORMULAS[name]
    loss = _loss(name.split(":")[0], **knobs)
    stream = torch.Generator().manual_seed(1)
    r, f = (torch.randn(7, generator=stream, dtype=torch.float64) * 2 for _ in range(2))
    for ours, formula in ((loss.discriminator, discriminator), (loss.generator, generator)):
        value = ours(_round(r, f))
        assert value.shape == ()
        assert float(value.detach()) == pytest.approx(formula(r.tolist(), f.tolist()), rel=1e-12)
        inputs = (r.clone().requires_grad_(True), f.clone().requires_grad_(True))
        assert torch.autograd.gradcheck(
            lambda a, b, ours=ours: ours(_round(a, b)), inputs, eps=1e-7, atol=1e-6
        )


@pytest.mark.parametrize("key", ["minimax", "non_saturating"])
def test_targets_make_it_a_cross_entropy(key: str) -> None:
    stream = torch.Generator().manual_seed(2)
    r, f, t = (torch.rand(5, generator=stream, dtype=torch.float64) for _ in range(3))
    value = _loss(key).discriminator(_round(r, f, real_target=t, fake_target=0.1))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        r, t
    ) + torch.nn.functional.binary_cross_entropy_with_logits(f, torch.full_like(f, 0.1))
    assert float(value.detach()) == pytest.approx(float(expected), rel=1e-12)


def test_every_loss_is_proven_here() -> None:
    from_autoencoders = {"ebgan", "began"}  # their scores are reconstruction errors
    proven = {name.split(":")[0] for name in FORMULAS} | from_autoencoders
    assert set(catalogue.in_slot("loss")) <= proven


def test_the_wasserstein_estimate_is_the_difference_of_mean_scores() -> None:
    loss = _loss("wgan")
    loss.discriminator(_round(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 0.0])))
    assert loss.signals(None)["wasserstein"] == pytest.approx(3.5)  # type: ignore[arg-type]
