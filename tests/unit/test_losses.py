"""Each adversarial loss equals its formula, written out with logarithms and loops in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sweeper.testing.small import small_config
from trials import catalogue
from trials.config import warnings_of
from trials.game import Round
from trials.losses import f_divergence
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
    elsewhere = from_autoencoders | {"f_divergence"}  # proven below
    proven = {name.split(":")[0] for name in FORMULAS} | elsewhere
    assert set(catalogue.in_slot("loss")) <= proven


def test_the_wasserstein_estimate_is_the_difference_of_mean_scores() -> None:
    loss = _loss("wgan")
    loss.discriminator(_round(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 0.0])))
    assert loss.signals(None)["wasserstein"] == pytest.approx(3.5)  # type: ignore[arg-type]


F_DIVERGENCES: dict[str, tuple[Any, Any]] = {
    # f and the domain of f*, from table 2 of arXiv:1606.00709 (and table 6 for Neyman's).
    "kl": (lambda u: u * torch.log(u), 1.0),
    "reverse_kl": (lambda u: -torch.log(u), -1.0),
    "pearson": (lambda u: (u - 1) ** 2, 0.0),
    "neyman": (lambda u: (1 - u) ** 2 / u, 0.0),
    "squared_hellinger": (lambda u: (u.sqrt() - 1) ** 2, 0.0),
    "jensen_shannon": (lambda u: -(u + 1) * torch.log((1 + u) / 2) + u * torch.log(u), 0.0),
}


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_an_f_divergence_is_bounded_by_its_conjugate_and_reached_at_the_density_ratio(
    name: str,
) -> None:
    f, slope_at_one = F_DIVERGENCES[name]
    activation, conjugate = f_divergence.DIVERGENCES[name]
    v = torch.linspace(-2, 0.9, 30, dtype=torch.float64)
    u = torch.logspace(-4, 4, 400_001, dtype=torch.float64)
    for score in v:
        # f*(t) = sup_u (u t − f(u)), by brute force
        brute = (u * activation(score) - f(u)).max()
        assert float(conjugate(score)) == pytest.approx(float(brute), abs=2e-4)
    border = torch.tensor(f_divergence.BORDERS.get(name, 0.0), dtype=torch.float64)
    assert float(activation(border)) == pytest.approx(slope_at_one)
    # Two distributions on three points: at T = f′(p/q) the bound is the divergence.
    p, q = torch.tensor([0.2, 0.3, 0.5]).double(), torch.tensor([0.5, 0.25, 0.25]).double()
    ratio = (p / q).requires_grad_()
    (best,) = torch.autograd.grad(f(ratio).sum(), ratio)
    wanted = torch.linspace(-12, 12, 2_400_001, dtype=torch.float64)
    scores = torch.stack([wanted[(activation(wanted) - t).abs().argmin()] for t in best])
    value = (p * activation(scores)).sum() - (q * conjugate(scores)).sum()
    assert float(value) == pytest.approx(float((q * f(p / q)).sum()), abs=1e-4)


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_f_gans_losses_are_the_bound_and_what_the_generator_makes_of_it(name: str) -> None:
    r, f = (torch.tensor(s, dtype=torch.float64) for s in ([0.3, -1.2, 0.8], [-0.4, 0.6, 0.1]))
    activation, conjugate = f_divergence.DIVERGENCES[name]
    by_hand = -_mean([float(activation(s)) for s in r]) + _mean([float(conjugate(s)) for s in f])
    assert float(_loss("f_divergence", divergence=name).discriminator(_round(r, f))) == (
        pytest.approx(by_hand)
    )
    for kind, function in (("alternative", activation), ("original", conjugate)):
        loss = _loss("f_divergence", divergence=name, generator=kind)
        expected = -_mean([float(function(s)) for s in f])
        assert float(loss.generator(_round(r, f))) == pytest.approx(expected)


def test_momentum_in_a_critic_is_warned_of_where_no_gradient_penalty_holds_it() -> None:
    def warned(optimizer: dict[str, Any], held_by: str = "weight_clipping") -> int:
        players = {"discriminator": optimizer}
        config = small_config(loss="wgan", optimizer=players, tricks={held_by: True})
        return sum("momentum" in text for text in warnings_of(config))

    assert warned({"name": "adam", "beta1": 0.5}) == warned({"name": "sgd", "momentum": 0.9}) == 1
    assert warned({"name": "rmsprop"}) == warned({"name": "adam", "beta1": 0.0}) == 0
    assert warned({"name": "adam", "beta1": 0.5}, "gradient_penalty") == 0
