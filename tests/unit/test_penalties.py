"""The mathematics of penalties and averages, against direct loops in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sweeper.testing.small import small_config
from trials.config import load_config, problems_of, warnings_of
from trials.losses import energy
from trials.networks.layers.minibatch_discrimination import similarities
from trials.networks.plan import Judgement
from trials.toolkit import zero_centred
from trials.toolkit.gradients import sample_norms, score_gradients
from trials.toolkit.weights import weight_matrices
from trials.trainer import Training
from trials.tricks import (
    consistency_regularisation,
    dragan,
    ema,
    experience_replay,
    feature_matching,
    gradient_penalty,
    historical_averaging,
    l1,
    lecam,
    orthogonal_regularisation,
    perceptual,
    spectral_regularisation,
    style,
    top_k,
    total_variation,
    weight_clipping,
)
from trials.tricks.spectral_norm import normalised

F64 = torch.float64


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)).to(F64)


def _rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@torch.no_grad()
def _norm_by_loop(network: nn.Module, row: Tensor) -> float:
    """‖∇D(x)‖ of one sample by central differences."""
    gradient = []
    for i in range(len(row)):
        step = torch.zeros_like(row)
        step[i] = 1e-6
        up, down = network((row + step)[None]), network((row - step)[None])
        gradient.append(float(up - down) / 2e-6)
    return float(np.linalg.norm(gradient))


def test_the_gradient_penalty_takes_one_norm_and_one_epsilon_a_sample(network: nn.Module) -> None:
    real, fake, epsilon = _rows(4, 6), _rows(4, 6, seed=1), torch.rand(4, dtype=F64)
    mixed = gradient_penalty.interpolate(real, fake, epsilon)
    for i in range(4):
        assert torch.equal(mixed[i], epsilon[i] * real[i] + (1 - epsilon[i]) * fake[i])
    mixed.requires_grad_(True)
    norms = sample_norms(score_gradients(network(mixed), mixed))
    expected = [_norm_by_loop(network, row.detach()) for row in mixed]
    norms = norms.detach()
    assert norms.tolist() == pytest.approx(expected, rel=1e-6)
    value = gradient_penalty.penalty(norms, 0.3)
    two_sided = np.mean([(n - 0.3) ** 2 for n in expected])
    assert float(value.detach()) == pytest.approx(two_sided, rel=1e-6)
    one_sided = gradient_penalty.penalty(norms, 0.3, one_sided=True)
    assert float(one_sided) == pytest.approx(
        np.mean([max(0, n - 0.3) ** 2 for n in expected]), rel=1e-6
    )


def test_the_gradient_penalty_is_differentiated_twice(network: nn.Module) -> None:
    x = _rows(3, 6)

    def penalty_of(weight: Tensor) -> Tensor:
        inputs = x.clone().requires_grad_(True)
        scores = torch.func.functional_call(network, {"0.weight": weight}, (inputs,))
        return gradient_penalty.penalty(sample_norms(score_gradients(scores, inputs)))

    weight = network[0].weight.detach().clone().requires_grad_(True)  # type: ignore[index, union-attr]
    assert torch.autograd.gradcheck(penalty_of, (weight,))


def test_zero_gradients_leave_the_penalty_differentiable() -> None:
    flat = nn.Linear(3, 1, dtype=F64)
    nn.init.zeros_(flat.weight)
    x = _rows(2, 3).requires_grad_(True)
    value = gradient_penalty.penalty(sample_norms(score_gradients(flat(x).squeeze(1), x)))
    value.backward()  # type: ignore[no-untyped-call]
    assert float(value.detach()) == pytest.approx(1.0)
    assert torch.isfinite(flat.weight.grad).all()  # type: ignore[arg-type]


def test_dragan_moves_real_images_by_uniform_noise_of_their_spread() -> None:
    real, uniform = _rows(5, 2, 3), torch.rand(5, 2, 3, dtype=F64)
    moved = dragan.perturbed(real, uniform, 0.5)
    assert torch.allclose(moved - real, 0.5 * np.std(real.numpy(), ddof=1) * uniform, rtol=1e-12)


def test_zero_centred_penalties_are_half_the_mean_square(network: nn.Module) -> None:
    x = _rows(4, 6).requires_grad_(True)
    value = zero_centred.penalty(score_gradients(network(x), x))
    expected = np.mean([_norm_by_loop(network, row.detach()) ** 2 for row in x]) / 2
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6)


def test_spectral_norm_converges_to_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    for layer in (nn.Linear(7, 5), nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 4)):
        wrapped = normalised(layer.to(F64), 1)
        wrapped.train()
        for _ in range(300):
            weight = wrapped.weight
        rows = next(weight_matrices(nn.Sequential(wrapped))).detach()
        assert float(torch.linalg.matrix_norm(rows, 2)) == pytest.approx(1.0, rel=1e-6)
        original = wrapped.parametrizations.weight.original  # type: ignore[union-attr]
        assert torch.allclose(weight / weight.norm(), original / original.norm())


def test_spectral_regularisation_is_half_the_square_of_sigma() -> None:
    weight = _rows(5, 7)
    u, v = spectral_regularisation.iterated(weight, _rows(7, seed=3), 500)
    sigma = np.linalg.svd(weight.numpy(), compute_uv=False)[0]
    assert float(spectral_regularisation.penalty(weight, u, v)) == pytest.approx(sigma**2 / 2)


@pytest.mark.parametrize("key", ["gradient_penalty", "dragan", "r1", "r2"])
def test_whatever_penalises_gradients_of_samples_warns_of_batch_norm(key: str) -> None:
    def warned(norm: str) -> list[str]:
        networks = {"discriminator": {"norm": norm}}
        return warnings_of(
            load_config({"data": "digits", "networks": networks, "tricks": {key: True}})
        )

    (warning,) = warned("batch")
    assert warning.startswith(f"tricks.{key} penalises each sample's gradient, and batch norm")
    assert not warned("layer")


def test_a_history_of_the_present_weights_alone_is_refused() -> None:
    def problems(window: int) -> list[str]:
        tricks = {"historical_averaging": {"window": window}}
        return [str(problem) for problem in problems_of({"data": "digits", "tricks": tricks})]

    (problem,) = problems(1)
    assert problem == (
        "tricks.historical_averaging.window: the mean of the present weights alone is these "
        "weights, so the term is 0 (expected 0, or 2 and more)"
    )
    assert not problems(0)
    assert not problems(2)


@pytest.mark.parametrize("key", ["minibatch_stddev", "minibatch_discrimination"])
def test_nothing_is_compared_with_itself_alone(key: str) -> None:
    def problems(**changes: Any) -> list[str]:
        tricks = {key: True, **changes.pop("tricks", {})}
        mapping = {"data": "digits", "batch_size": 4, "tricks": tricks, **changes}
        return [problem.path for problem in problems_of(mapping)]

    assert problems(accumulate=4) == ["accumulate"]
    assert problems(tricks={"packing": {"samples": 4}}) == ["tricks.packing.samples"]
    assert not problems(accumulate=2)


def test_orthogonal_regularisation_against_a_loop() -> None:
    weight = _rows(4, 9)
    full = off = 0.0
    for i in range(4):
        for j in range(4):
            product = float(sum(weight[i, k] * weight[j, k] for k in range(9)))
            full += (product - (i == j)) ** 2
            off += product**2 if i != j else 0.0
    penalty = orthogonal_regularisation.penalty
    assert float(penalty(weight, "full")) == pytest.approx(full)
    assert float(penalty(weight, "off_diagonal")) == pytest.approx(off)
    orthogonal = torch.linalg.qr(_rows(9, 4)).Q.T
    assert float(penalty(orthogonal, "full")) == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("window", [0, 3])
def test_historical_averaging_keeps_the_mean_of_past_weights(window: int) -> None:
    layer = nn.Linear(3, 2, dtype=F64)
    history, past = historical_averaging.History(layer, window), []
    for step in range(6):
        with torch.no_grad():
            layer.weight.copy_(_rows(2, 3, seed=step))
            layer.bias.copy_(_rows(2, seed=step))
        past.append([p.detach().clone() for p in layer.parameters()])
        history.add(layer)
    chosen = past[-window:] if window else past
    for index, mean in enumerate(history.means):
        direct = sum(weights[index] for weights in chosen) / len(chosen)
        assert torch.allclose(mean, direct, rtol=1e-12)
    weights = [parameter.detach() for parameter in layer.parameters()]
    value = historical_averaging.distance(weights, history.means)
    direct_value = sum(
        float((w - m) ** 2)
        for weight, mean in zip(weights, history.means, strict=True)
        for w, m in zip(weight.flatten(), mean.flatten(), strict=True)
    )
    assert float(value.detach()) == pytest.approx(direct_value)


def test_the_moving_average_has_its_closed_form() -> None:
    beta, values = 0.9, [_rows(3, seed=i) for i in range(8)]
    average = values[0].clone()
    for value in values[1:]:
        ema.average_into([average], [value], 1 - beta)
    closed = beta**7 * values[0]
    for i, value in enumerate(values[1:], 1):
        closed = closed + (1 - beta) * beta ** (7 - i) * value
    assert torch.allclose(average, closed, rtol=1e-12)
    assert [ema.decay_at(t, 0.999, True) for t in (0, 90)] == [1 / 10, 91 / 100]
    assert ema.decay_at(10**6, 0.999, True) == 0.999

    counter = torch.tensor(3)
    ema.average_into([counter], [torch.tensor(9)], 1 - beta)
    assert int(counter) == 9


@pytest.mark.parametrize("steps", [100, 200, 800, 4000, 20_000, 100_000])
@pytest.mark.parametrize("start", [0.0, 0.3])
def test_every_decay_that_is_said_to_matter_does_and_none_beyond(steps: int, start: float) -> None:
    """At the lengths of the sweeps in search_spaces/, and at the length of the report of it."""
    mapping = {"data": "digits", "steps": steps, "tricks": {"ema": {"start": start}}}
    config = load_config(mapping)
    _, top = ema.ExponentialMovingAverage.alive(config.tricks["ema"], config)["decay"]
    averagings = sum(step / steps >= start for step in range(steps))

    def decays(decay: float) -> list[float]:
        return [ema.decay_at(update, decay, True) for update in range(averagings)]

    assert decays(top) == decays(min(0.99999, top + 1e-4)) == decays(0.999_999)
    assert decays(top) != decays(top - 1e-6)


def test_weight_clipping_bounds_every_weight() -> None:
    layer = nn.Linear(30, 30)
    weight_clipping.clip(layer.parameters(), 0.01)
    assert max(float(p.abs().max()) for p in layer.parameters()) <= 0.01


def test_feature_matching_compares_batch_means() -> None:
    real, fake = _rows(6, 4), _rows(5, 4, seed=1)
    direct = sum((float(real[:, k].sum()) / 6 - float(fake[:, k].sum()) / 5) ** 2 for k in range(4))
    assert float(feature_matching.distance(real, fake)) == pytest.approx(direct)


def test_replay_replaces_the_last_images_by_old_ones() -> None:
    fresh, old = torch.arange(8), torch.tensor([100, 101, 102])
    assert experience_replay.mixed(fresh, old).tolist() == [0, 1, 2, 3, 4, 100, 101, 102]


def test_top_k_keeps_the_highest_scores_and_all_that_belongs_to_them() -> None:
    score = torch.tensor([0.1, 3.0, -2.0, 1.0])
    judgement = Judgement(score, torch.arange(4.0)[:, None], {"class": torch.eye(4)})
    best = top_k.best(judgement, score.topk(2).indices)
    assert best.score.tolist() == [3.0, 1.0]
    assert best.features.flatten().tolist() == [1.0, 3.0]
    assert best.heads["class"].argmax(1).tolist() == [1, 3]


def test_top_k_falls_when_an_interval_is_over_not_one_step_later() -> None:
    for steps in (10, 20, 100, 300, 800, 3000):
        for parts in (5, 10, 20, 100):
            if steps % parts == 0:
                each = steps // parts
                found = [top_k.falls(step / steps, 1 / parts) for step in range(steps)]
                assert found == [step // each for step in range(steps)], (steps, parts)
    assert top_k.falls(0.3, 0.1) == 3


def test_lecam_holds_each_side_to_the_others_anchor() -> None:
    r, f = _rows(5), _rows(5, seed=1)
    a, b = torch.tensor(0.7, dtype=F64), torch.tensor(-0.2, dtype=F64)
    direct = sum((float(x) + 0.2) ** 2 for x in r) / 5 + sum((float(x) - 0.7) ** 2 for x in f) / 5
    assert float(lecam.penalty(r, f, a, b)) == pytest.approx(direct)


def _slope_penalty(kind: str, first: Tensor, last: Tensor) -> Tensor:
    """A penalty on the input gradients of D(x) = last · tanh(first x), seen from the weights."""
    x = _rows(5, 6, seed=4)
    if kind == "gradient_penalty":
        x = gradient_penalty.interpolate(x, _rows(5, 6, seed=5), torch.linspace(0, 1, 5, dtype=F64))
    elif kind == "dragan":
        x = dragan.perturbed(x, torch.linspace(0, 1, 30, dtype=F64).view(5, 6), 0.5)
    x.requires_grad_(True)
    gradients = score_gradients((x @ first.T).tanh() @ last, x)
    if kind in ("r1", "r2"):
        return zero_centred.penalty(gradients)
    return gradient_penalty.penalty(sample_norms(gradients))


@pytest.mark.parametrize("kind", ["gradient_penalty", "dragan", "r1", "r2"])
def test_penalties_on_slopes_have_the_gradients_of_finite_differences(kind: str) -> None:
    weights = (_rows(4, 6).requires_grad_(True), _rows(4, seed=1).requires_grad_(True))
    assert torch.autograd.gradcheck(lambda a, b: _slope_penalty(kind, a, b), weights)


@pytest.mark.parametrize(
    ("term", "shapes"),
    [
        (lambda w: orthogonal_regularisation.penalty(w, "full"), [(3, 5)]),
        (lambda w: orthogonal_regularisation.penalty(w, "off_diagonal"), [(3, 5)]),
        (lambda w: spectral_regularisation.penalty(w, _rows(3), _rows(5)), [(3, 5)]),
        (lambda w: historical_averaging.distance([w], [_rows(3, 2)]), [(3, 2)]),
        (lambda r, f: lecam.penalty(r, f, torch.tensor(0.3), torch.tensor(-0.2)), [(5,), (5,)]),
        (feature_matching.distance, [(4, 3), (5, 3)]),
        (consistency_regularisation.inconsistency, [(5,), (5,)]),
        (l1.distance, [(2, 1, 3, 3), (2, 1, 3, 3)]),
        (total_variation.variation, [(2, 1, 3, 3)]),
        (lambda a, b: perceptual.distance([a], [b]), [(2, 3, 2, 2), (2, 3, 2, 2)]),
        (
            lambda a, b: style.distance([style.gram(a)], [style.gram(b)]),
            [(2, 3, 2, 2), (2, 3, 2, 2)],
        ),
        (energy.pulling_away, [(4, 3)]),
        (lambda a, b: energy.energy(a, b, 2), [(3, 4), (3, 4)]),
        (similarities, [(4, 3, 2)]),
    ],
    ids=[
        "orthogonal_full", "orthogonal_off_diagonal", "spectral_regularisation",
        "historical_averaging", "lecam", "feature_matching", "consistency", "l1",
        "total_variation", "perceptual", "style", "pulling_away", "energy",
        "minibatch_discrimination",
    ],
)  # fmt: skip
def test_terms_have_the_gradients_of_finite_differences(
    term: Callable[..., Tensor], shapes: list[tuple[int, ...]]
) -> None:
    values = tuple(_rows(*shape, seed=9 + i).requires_grad_(True) for i, shape in enumerate(shapes))
    assert torch.autograd.gradcheck(term, values)
    assert torch.autograd.gradgradcheck(term, values)


@pytest.mark.parametrize("buffers", ["average", "copy"])
def test_averaged_weights_are_normalised_by_unit_vectors(buffers: str, tmp_path: Path) -> None:
    tricks = {"spectral_norm": {"generator": True}, "ema": {"buffers": buffers}}
    rule = {"generator": {"name": "sgd", "lr": 1.0}}
    training = Training(small_config(tricks=tricks, optimizer=rule), tmp_path)
    training.run_to(6)
    vectors = {
        name: buffer
        for name, buffer in training.game.sampling_network().named_buffers()
        if name.endswith(("._u", "._v"))
    }
    own = dict(training.game.generator.named_buffers())
    assert vectors
    for name, vector in vectors.items():
        assert float(vector.norm()) == pytest.approx(1, abs=1e-5)
        assert torch.equal(vector, own[name])
