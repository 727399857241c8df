"""Networks in half the bits: what stays in float32, how near the rest is, and what goes on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sweeper.testing.small import SMALL, differ, losses_of, small_config, tensors_of, trained
from trials.config import load_config
from trials.devices import pick_device, require_dtype
from trials.errors import TrialError
from trials.metrics.extractors.random import RandomExtractor
from trials.metrics.seeing import ExtractorPrecision, Lens
from trials.networks.family import Family
from trials.networks.layers.exact import made_exact
from trials.networks.layers.minibatch_discrimination import MinibatchDiscrimination
from trials.networks.layers.minibatch_stddev import MinibatchStddev
from trials.networks.layers.norms import NORMS
from trials.networks.layers.self_attention import SelfAttention
from trials.precision import Arithmetic, PrecisionConfig, multiply
from trials.presets import merge
from trials.tricks.spectral_norm import normalised

HALF = torch.bfloat16
NEAR = 0.05
"""How far the outputs of a network of a few layers in bfloat16, which has 8 bits, are at most from
those in float32, as a share of the largest."""


def halved(call: Any, *args: Any) -> Any:
    with torch.autocast("cpu", dtype=HALF):
        return call(*args)


def far(value: Tensor, truth: Tensor) -> float:
    return float((value.float() - truth).abs().max() / truth.abs().max())


def in_precision(dtype: str, **changes: Any) -> dict[str, Any]:
    return merge(merge(SMALL, changes), {"precision": {"dtype": dtype}})


@pytest.mark.parametrize("name", ["pixel", "switchable", "layer", "instance", "batch"])
def test_a_norm_takes_its_statistics_in_float32(name: str) -> None:
    torch.manual_seed(0)
    x = (100 + torch.randn(4, 6, 5, 5)).to(HALF)  # of 8 bits six go into the mean
    norm = NORMS[name](6, True, True)
    result = halved(norm, x)
    assert result.dtype == HALF
    torch.testing.assert_close(result, norm(x.float()).to(HALF), rtol=0.01, atol=0.01)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (MinibatchStddev(), (8, 3, 4, 4)),
        (MinibatchDiscrimination(6, 4, 3), (8, 6)),
        (made_exact(nn.Linear(6, 3)), (8, 6)),
        (made_exact(nn.Conv2d(3, 2, 3)), (8, 3, 4, 4)),
        (made_exact(nn.ConvTranspose2d(3, 2, 4, 2)), (8, 3, 4, 4)),
    ],
)
def test_what_needs_all_bits_computes_with_all_of_them(
    module: nn.Module, shape: tuple[int, ...]
) -> None:
    x = torch.randn(shape).to(HALF)
    expected, result = module(x.float()), halved(module, x)
    assert torch.equal(result, expected.to(result.dtype))


def test_the_softmax_of_attention_sums_to_one() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(16)
    nn.init.ones_(attention.gamma)
    with torch.no_grad():
        attention.query.weight.mul_(10)
    x = torch.ones(2, 16, 16, 16) + torch.randn(2, 16, 16, 16)
    assert far(halved(attention, x), attention(x)) < NEAR


def test_the_logits_of_attention_have_the_range_of_float32() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(256)
    nn.init.ones_(attention.gamma)
    x = 100 * torch.randn(2, 256, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
        assert bool(attention(x).isfinite().all())


def test_power_iterations_go_on_in_float32() -> None:
    torch.manual_seed(0)
    plain, other = (normalised(nn.Conv2d(3, 8, 3), 1) for _ in range(2))
    other.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 6, 6)
    expected, result = plain(x), halved(other, x)
    assert result.dtype == HALF
    assert far(result, expected) < NEAR
    for name, vector in plain.named_buffers():
        assert torch.equal(vector, other.get_buffer(name))


def test_a_normalised_layer_needs_no_memory_where_only_its_shape_is_asked_for() -> None:
    with torch.device("meta"):
        assert normalised(nn.Linear(5, 3), 1).weight.shape == (3, 5)


def test_a_normalised_layer_is_that_of_torch() -> None:
    for layer in (nn.Linear(5, 3), nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 4)):
        torch.manual_seed(3)
        theirs = nn.utils.parametrizations.spectral_norm(copy.deepcopy(layer))
        torch.manual_seed(3)
        ours = normalised(layer, 1)
        assert not differ(ours.state_dict(), theirs.state_dict())
        assert torch.equal(ours.weight, theirs.weight)


FAMILIES = {
    "dcgan": {"networks": {"family": "dcgan", "generator": {"norm": "pixel"}}},
    "dcgan_headless": {"networks": {"generator": {"head_kernel": 0}}},
    "resnet": {"networks": {"family": "resnet"}},
    "biggan": {
        "networks": {"family": "biggan"},
        "conditioning": {"name": "projection", "generator": "norm"},
    },
    "r3gan": {"networks": {"family": "r3gan"}, "conditioning": "acgan"},
    "wgan_gp": {"networks": {"family": "wgan_gp"}},
    "mlp": {"networks": {"family": "mlp"}, "data": "ring"},
    "autoencoder": {"loss": "began"},
    "growing": {"tricks": {"progressive_growing": True}},
}


def test_every_family_is_among_these() -> None:
    assert set(Family.all()) <= set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_players_give_float32_near_that_of_float32(family: str, tmp_path: Path) -> None:
    mapping = in_precision("bfloat16", **FAMILIES[family])
    game = trained(mapping, tmp_path, 0).game
    real, labels = game.real_batch()
    z, drawn = game.noise(8, game.streams.noise)
    results = []
    for precise in (False, True):
        game.arithmetic._exact = precise
        images = game.generate(z, drawn)
        judged = game.score(game.show(real, real=True), labels)
        made = {"images": images, "score": judged.score, "features": judged.features}
        made |= dict(judged.heads)
        results.append(made)
    for name, value in results[0].items():
        assert value.dtype == torch.float32, name
        assert far(value, results[1][name]) < NEAR, name
    assert differ(*results), "nothing was computed in bfloat16"


@pytest.mark.parametrize("trick", ["r1", "dragan"])
def test_what_is_differentiated_twice_is_computed_in_float32(trick: str, tmp_path: Path) -> None:
    tricks = {"tricks": {trick: {}}, "loss": "wgan"}  # whose terms show how small scores differ
    half = losses_of(trained(in_precision("bfloat16", **tricks), tmp_path / "half", 1))
    whole = losses_of(trained(in_precision("float32", **tricks), tmp_path / "whole", 1))
    name = f"loss/discriminator/{trick}"
    assert half[name] == whole[name]  # both are of real images, and of the first weights
    assert half != whole


def test_a_generator_is_measured_in_float32_however_it_trains(tmp_path: Path) -> None:
    trainings = [
        trained(in_precision(dtype), tmp_path / dtype, 0) for dtype in ("float32", "bfloat16")
    ]
    first, other = (training.evaluate() for training in trainings)
    assert first.metrics["fid"] == other.metrics["fid"]
    assert first.protocol == other.protocol


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_scaled_losses_go_on_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    players = {player: {"name": optimizer} for player in ("generator", "discriminator")}
    mapping = in_precision("float16", optimizer=players)
    whole = trained(mapping, tmp_path, 2)
    assert all(map(torch.isfinite, map(torch.tensor, losses_of(whole).values())))
    whole.game.arithmetic.scalers["generator"].update(512.0)
    whole.save()
    resumed = trained(mapping, tmp_path, 0)
    assert resumed.restore()
    assert resumed.game.arithmetic.scalers["generator"].get_scale() == 512.0
    for training in (whole, resumed):
        training.run_to(4)
    assert not differ(tensors_of(whole), tensors_of(resumed))


def test_a_step_that_overflows_is_left_out_and_is_no_divergence(tmp_path: Path) -> None:
    training = trained(in_precision("float16"), tmp_path, 1)
    before = tensors_of(training)
    for scaler in training.game.arithmetic.scalers.values():
        scaler.update(2.0**127)
    training.run_to(3)
    weights = [name for name, _ in training.game.discriminator.named_parameters()]
    after = tensors_of(training)
    assert all(torch.equal(before[f"d.{name}"], after[f"d.{name}"]) for name in weights)
    assert training.game.arithmetic.scalers["discriminator"].get_scale() == 2.0**125
    assert training.loop.probe.healthy


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_player_whose_gradients_are_finite_at_no_scale_has_diverged(
    player: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = in_precision("float16", steps=80, evaluation={"every": 80})
    training = trained(mapping, tmp_path, 0)
    descend = training.game.arithmetic.descend

    def spoilt(whose: str, loss: Tensor) -> None:
        descend(whose, loss * torch.inf if whose == player else loss)

    monkeypatch.setattr(training.game.arithmetic, "descend", spoilt)
    metrics = training.advance().metrics
    assert training.stopped_by is not None
    assert training.stopped_by.name == "divergence"
    assert training.step < 80
    other = {"generator": "discriminator", "discriminator": "generator"}[player]
    assert metrics[f"skipped/{player}"] == 1
    assert metrics[f"skipped/{other}"] < 0.1


def test_scaled_gradients_are_looked_at_as_they_are(tmp_path: Path) -> None:
    norms = [
        trained(in_precision(dtype, steps=1), tmp_path / dtype, 1).loop.probe.take()
        for dtype in ("float32", "float16")
    ]
    for name, norm in norms[0].items():
        if name.startswith("gradient_norm/"):
            assert norms[1][name] == pytest.approx(norm, rel=0.05, abs=1e-5), name


def test_channels_lie_beside_each_other_where_they_are_asked_to(tmp_path: Path) -> None:
    changes = {"networks": {"family": "resnet"}, "tricks": {"ema": True}}
    mapping = merge(in_precision("float32", **changes), {"precision": {"channels_last": True}})
    training = trained(mapping, tmp_path / "last", 2)
    plain = trained(in_precision("float32", **changes), tmp_path / "first", 2)
    kernels = [p for p in training.game.generator.parameters() if p.dim() == 4 and p.shape[1] > 1]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    for name, value in tensors_of(plain).items():
        torch.testing.assert_close(tensors_of(training)[name], value, rtol=1e-3, atol=1e-4)
    training.save()
    resumed = trained(mapping, tmp_path / "last", 0)
    assert resumed.restore()
    for one in (training, resumed):
        one.run_to(4)
    assert not differ(tensors_of(training), tensors_of(resumed))


def multiplication() -> tuple[bool, ...]:
    """Whether a GPU may round what it multiplies, by torch's older switches and by its newer."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    newer = [part.fp32_precision == "tf32" for part in (matmul, cudnn.conv, cudnn.rnn)]
    return (matmul.allow_tf32, cudnn.allow_tf32, *newer)


@pytest.mark.parametrize("tf32", [True, False])
def test_a_gpu_multiplies_as_the_trial_says_while_it_trains(tf32: bool) -> None:
    arithmetic = Arithmetic(PrecisionConfig(tf32=tf32), torch.device("cuda"))
    before = multiplication()
    with arithmetic.steps():
        assert multiplication() == (tf32,) * 5
        with torch.backends.cudnn.flags(enabled=True):  # as a part of other people may have it
            torch.get_float32_matmul_precision()  # as torch's compiler asks
        RandomExtractor((1, 8, 8))(torch.zeros(2, 1, 8, 8))
        assert multiplication() == (tf32,) * 5
    assert multiplication() == before


def test_whoever_measures_on_a_gpu_has_it_multiply_as_exactly_as_a_cpu() -> None:
    try:
        multiply(tf32=True)
        pick_device("cuda")
        assert multiplication() == (False,) * 5
        multiply(tf32=True)
        pick_device("cpu")
        assert multiplication() == (True,) * 5
    finally:
        multiply(tf32=False)


def test_a_gpu_that_does_not_compute_in_bfloat16_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (7, 5))
    with pytest.raises(TrialError, match=r"^precision\.dtype: Tesla T4.* 7\.5.* 8\.0 or higher"):
        require_dtype(gpu, "bfloat16", "precision.dtype")
    with pytest.raises(TrialError, match="extractor_precision"):
        Lens(RandomExtractor((1, 8, 8)), ExtractorPrecision(dtype="bfloat16"), gpu)
    require_dtype(gpu, "float16", "precision.dtype")
    require_dtype(torch.device("cpu"), "bfloat16", "precision.dtype")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (8, 0))
    require_dtype(gpu, "bfloat16", "precision.dtype")


def test_a_step_that_was_begun_and_not_taken_leaves_its_scaler_ready_for_another() -> None:
    arithmetic = Arithmetic(PrecisionConfig(dtype="float16"), torch.device("cpu"))
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    arithmetic.descend("generator", weight.sum())
    scale = arithmetic.scalers["generator"].get_scale()
    arithmetic.scalers["generator"].unscale_(optimizer)
    arithmetic.abandon("generator")
    assert arithmetic.scalers["generator"].get_scale() == scale
    optimizer.zero_grad()
    arithmetic.descend("generator", weight.sum())
    arithmetic.step("generator", optimizer)
    assert weight.item() == 0.0


def test_a_checkpoint_from_before_there_was_a_precision_goes_on(tmp_path: Path) -> None:
    config = small_config()
    record = config.as_dict()
    del record["precision"]
    assert load_config(record).fingerprint() == config.fingerprint()
    assert len(config.fingerprints(record)) == 2
    state = trained(SMALL, tmp_path, 1).game.state()
    assert "scalers" not in state
