"""Each layer against its paper's formula, written out place by place, in double precision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trials.networks import NetworksConfig, build, plan_networks
from trials.networks.layers.activations import Maxout
from trials.networks.layers.factory import LayerFactory
from trials.networks.layers.gated import Gated
from trials.networks.layers.init import INITIALISERS
from trials.networks.layers.minibatch_discrimination import MinibatchDiscrimination
from trials.networks.layers.minibatch_stddev import MinibatchStddev
from trials.networks.layers.norms import NORMS, ConditionalNorm, PixelNorm
from trials.networks.layers.resampling import downsample, upsample
from trials.networks.layers.self_attention import SelfAttention
from trials.networks.layers.switchable import SwitchableNorm
from trials.networks.layers.virtual_batch import ReferenceBatch, VirtualBatchNorm
from trials.networks.plan import GeneratorPlan


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def maps(count: int = 3, channels: int = 4, size: int = 4) -> Tensor:
    return torch.randn(count, channels, size, size) * 2 + 1


def scatter(module: nn.Module) -> None:
    """Random parameters, so that no gain is 1 and no bias 0."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)


def assert_differentiable_twice(module: nn.Module, x: Tensor) -> None:
    """As gradient penalties need it: the gradient itself has a right gradient."""
    x = x.clone().requires_grad_(True)
    assert torch.autograd.gradcheck(module, (x,))
    assert torch.autograd.gradgradcheck(module, (x,), atol=1e-4)


def test_maxout_takes_the_largest_of_each_unit_s_pieces() -> None:
    x = torch.randn(5, 12)
    expected = [[max(row[3 * unit : 3 * unit + 3]) for unit in range(4)] for row in x.tolist()]
    torch.testing.assert_close(Maxout(3)(x), torch.tensor(expected))


def test_pixel_norm_gives_every_pixel_unit_mean_square() -> None:
    x = maps()
    out = PixelNorm()(x)
    for n in range(3):
        for i in range(4):
            for j in range(4):
                a = x[n, :, i, j]
                torch.testing.assert_close(out[n, :, i, j], a / (a.square().mean() + 1e-8).sqrt())


def test_layer_norm_is_torch_s_over_channels_and_places() -> None:
    x = maps()
    out = NORMS["layer"](4, True, True)(x)
    torch.testing.assert_close(out, functional.layer_norm(x, x.shape[1:]))


def test_conditional_norm_scales_each_sample_by_its_own_code() -> None:
    gain, bias = nn.Linear(3, 4, bias=False), nn.Linear(3, 4, bias=False)
    layer = ConditionalNorm(nn.BatchNorm2d(4, affine=False), gain, bias)
    x, code = maps(), torch.randn(3, 3)
    plain = functional.batch_norm(x, None, None, training=True)
    out = layer(x, code)
    for n in range(3):
        for c in range(4):
            g = 1 + gain.weight[c] @ code[n]
            b = bias.weight[c] @ code[n]
            torch.testing.assert_close(out[n, c], plain[n, c] * g + b)


def test_switchable_norm_mixes_the_three_statistics() -> None:
    layer = SwitchableNorm(4)
    scatter(layer)
    x = maps()
    w, v = layer.mean_logits.softmax(0), layer.variance_logits.softmax(0)
    out = layer(x)
    # Order of the weights: layer, batch, instance.
    bn_var, bn_mean = torch.var_mean(x, (0, 2, 3), correction=0)
    for n in range(3):
        ln_var, ln_mean = torch.var_mean(x[n], correction=0)
        for c in range(4):
            in_var, in_mean = torch.var_mean(x[n, c], correction=0)
            mean = w[0] * ln_mean + w[1] * bn_mean[c] + w[2] * in_mean
            var = v[0] * ln_var + v[1] * bn_var[c] + v[2] * in_var
            expected = (x[n, c] - mean) / (var + 1e-5).sqrt() * layer.weight[c] + layer.bias[c]
            torch.testing.assert_close(out[n, c], expected)
    assert_differentiable_twice(SwitchableNorm(2), maps(2, 2, 2))


def test_switchable_norm_of_points_mixes_layer_and_batch_statistics() -> None:
    layer = SwitchableNorm(5, spatial=False)
    scatter(layer)
    x = torch.randn(6, 5)
    w, v = layer.mean_logits.softmax(0), layer.variance_logits.softmax(0)
    mean = w[0] * x.mean(1, keepdim=True) + w[1] * x.mean(0)
    var = v[0] * x.var(1, correction=0, keepdim=True) + v[1] * x.var(0, correction=0)
    expected = (x - mean) / (var + 1e-5).sqrt() * layer.weight + layer.bias
    torch.testing.assert_close(layer(x), expected)


def test_switchable_norm_uses_running_batch_statistics_in_evaluation() -> None:
    layer = SwitchableNorm(4)
    x = maps(8)
    for _ in range(200):
        layer(x)
    torch.testing.assert_close(layer.eval()(x), layer.train()(x), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(layer.eval()(x)[:2], layer(x[:2]))


def test_virtual_batch_norm_is_batch_norm_over_the_references_and_one_sample() -> None:
    layer = VirtualBatchNorm(4)
    scatter(layer)
    references, x = maps(6), maps(3) * 3
    batch = ReferenceBatch()
    batch.record((references,))
    with batch.statistics(layer, layer, (x,)):
        out = layer(x)
    for n in range(3):
        both = torch.cat([references, x[n : n + 1]])
        var, mean = torch.var_mean(both, (0, 2, 3), correction=0, keepdim=True)
        expected = ((x[n] - mean) / (var + 1e-5).sqrt())[0]
        expected = expected * layer.weight[:, None, None] + layer.bias[:, None, None]
        torch.testing.assert_close(out[n], expected)


def test_self_attention_attends_from_every_place_to_the_pooled_places() -> None:
    layer = SelfAttention(8)
    scatter(layer)
    x = maps(2, 8, 4)
    out = layer(x)
    for n in range(2):
        f = layer.query(x)[n].flatten(1)
        g = functional.max_pool2d(layer.key(x), 2)[n].flatten(1)
        h = functional.max_pool2d(layer.value(x), 2)[n].flatten(1)
        for place in range(16):
            energies = torch.stack([f[:, place] @ g[:, i] for i in range(4)])
            attention = energies.exp() / energies.exp().sum()
            o = layer.out.weight[:, :, 0, 0] @ sum(attention[i] * h[:, i] for i in range(4))
            expected = x[n].flatten(1)[:, place] + layer.gamma * o
            torch.testing.assert_close(out[n].flatten(1)[:, place], expected)
    layer = SelfAttention(4)
    scatter(layer)
    assert_differentiable_twice(layer, maps(1, 4, 2) / 4)


def test_self_attention_starts_as_the_identity() -> None:
    x = maps(2, 8, 4)
    assert torch.equal(SelfAttention(8)(x), x)


def test_minibatch_discrimination_sums_similarities_over_the_batch() -> None:
    layer = MinibatchDiscrimination(6, kernels=3, dimensions=2)
    x = torch.randn(4, 6)
    out = layer(x)
    tensor = layer.project.weight.T.reshape(6, 3, 2)
    assert torch.equal(out[:, :6], x)
    for i in range(4):
        for b in range(3):
            total = 0.0
            for j in range(4):
                difference = x[i] @ tensor[:, b] - x[j] @ tensor[:, b]
                total += math.exp(-difference.abs().sum().item())
            assert out[i, 6 + b].item() == pytest.approx(total, rel=1e-12)
    assert_differentiable_twice(MinibatchDiscrimination(3, 2, 2), x[:3, :3])


@pytest.mark.parametrize(
    ("count", "asked", "sizes"),
    [
        (8, 4, {4}),
        (6, 3, {3}),
        (6, 4, {6}),
        (9, 4, {4, 5}),
        (5, 2, {2, 3}),
        (3, 4, {3}),
        (2, 2, {2}),
    ],
)
def test_minibatch_stddev_appends_each_group_s_mean_deviation(
    count: int, asked: int, sizes: set[int]
) -> None:
    x = maps(count)
    out = MinibatchStddev(asked)(x)
    assert torch.equal(out[:, :4], x)
    groups = max(1, count // asked)
    for n in range(count):
        members = [x[m] for m in range(count) if m % groups == n % groups]
        assert len(members) in sizes
        deviation = (torch.stack(members).var(0, correction=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(out[n, 4], deviation.expand(4, 4))


def test_a_gate_multiplies_the_features() -> None:
    x = torch.randn(2, 6, 3, 3)
    out = Gated(nn.ELU())(x)
    torch.testing.assert_close(out, functional.elu(x[:, :3]) * torch.sigmoid(x[:, 3:]))


def test_initial_weights_follow_their_rules() -> None:
    weight = torch.empty(64, 32, 3, 3)
    fan_in, fan_out = 32 * 9, 64 * 9
    INITIALISERS["normal"](weight)
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    INITIALISERS["he"](weight)
    assert weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)
    INITIALISERS["xavier"](weight)
    assert weight.abs().max().item() == pytest.approx(math.sqrt(6 / (fan_in + fan_out)), rel=0.01)
    INITIALISERS["residual"](weight)
    widest = math.sqrt(12 / (fan_in + fan_out))
    assert weight.abs().max().item() == pytest.approx(widest, rel=0.01)
    INITIALISERS["residual"](shortcut := torch.empty(64, 32, 1, 1))
    assert shortcut.abs().max().item() == pytest.approx(math.sqrt(6 / 96), rel=0.01)
    INITIALISERS["orthogonal"](weight)
    rows = weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(64))


def factory() -> LayerFactory:
    plan = GeneratorPlan("resnet", (3, 8, 8), 4, 1, "batch", "relu", "he")
    return LayerFactory(plan)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_shortcut_may_convolve_before_it_resizes(mode: str) -> None:
    conv, resize = upsample(factory(), f"{mode}_conv", 4, 5, 8, shortcut=True)
    scatter(conv)
    x = maps()
    torch.testing.assert_close(resize(conv(x)), conv(resize(x)))


@pytest.mark.parametrize("kind", ["transposed", "nearest_conv", "bilinear_conv", "pixel_shuffle"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_upsampling_doubles_and_every_input_pixel_counts(kind: str, shortcut: bool) -> None:
    layer = nn.Sequential(*upsample(factory(), kind, 4, 5, 8, shortcut=shortcut))
    x = maps().requires_grad_(True)
    out = layer(x)
    assert out.shape == (3, 5, 8, 8)
    (gradient,) = torch.autograd.grad(out.mul(torch.randn_like(out)).sum(), x)
    assert (gradient != 0).all()


@pytest.mark.parametrize("kind", ["strided", "average_pool", "max_pool"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_downsampling_halves(kind: str, shortcut: bool) -> None:
    layer = nn.Sequential(*downsample(factory(), kind, 4, 5, 2, shortcut=shortcut))
    x = maps().requires_grad_(True)
    out = layer(x)
    assert out.shape == (3, 5, 2, 2)
    (gradient,) = torch.autograd.grad(out.mul(torch.randn_like(out)).sum(), x)
    if kind != "max_pool":
        assert (gradient != 0).all()


# Whole networks against the same written out by hand ----------------------------------------------


def same_weights(network: nn.Module, reference: nn.Module) -> None:
    """Copy parameters in order; both list them from the input on."""
    pairs = list(zip(network.parameters(), reference.parameters(), strict=True))
    with torch.no_grad():
        for own, other in pairs:
            other.copy_(own.view_as(other))


def test_the_dcgan_of_64_pixels_is_the_one_written_by_hand() -> None:
    config = NetworksConfig.model_validate(
        {
            "generator": {"width": 4, "head_kernel": 0, "bias": "none"},
            "discriminator": {"width": 4, "depth": 1, "norm": "batch", "bias": "none"},
        }
    )
    generator, discriminator = build(plan_networks(config, (3, 64, 64), 10, 0))
    up: list[nn.Module] = []
    for inputs, outputs in ((32, 16), (16, 8), (8, 4)):
        up += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        up += [nn.BatchNorm2d(outputs), nn.ReLU()]
    by_hand = nn.Sequential(
        nn.Linear(10, 32 * 16, bias=False),
        nn.Unflatten(1, (32, 4, 4)),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        *up,
        nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    same_weights(generator, by_hand)
    z = torch.randn(5, 10)
    images = generator(z)
    torch.testing.assert_close(images, by_hand(z))

    down: list[nn.Module] = [nn.Conv2d(3, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for inputs, outputs in ((4, 8), (8, 16), (16, 32)):
        down += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
        down += [nn.LeakyReLU(0.2)]
    judge = nn.Sequential(*down, nn.Conv2d(32, 1, 4, bias=False), nn.Flatten(0))
    same_weights(discriminator, judge)
    torch.testing.assert_close(discriminator(images).score, judge(images))


class SngBlock(nn.Module):
    """A block of arXiv:1802.05957, figure 8, as the authors' code orders its operations."""

    def __init__(self, inputs: int, outputs: int, up: bool) -> None:
        super().__init__()
        self.b1 = nn.BatchNorm2d(inputs) if up else nn.Identity()
        self.c1 = nn.Conv2d(inputs, outputs if up else inputs, 3, padding=1)
        self.b2 = nn.BatchNorm2d(outputs) if up else nn.Identity()
        self.c2 = nn.Conv2d(outputs if up else inputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.b1(x))
        if self.up:
            h, x = (
                functional.interpolate(h, scale_factor=2),
                functional.interpolate(x, scale_factor=2),
            )
        h = self.c2(functional.relu(self.b2(self.c1(h))))
        total: Tensor = h + self.shortcut(x)
        return total if self.up else functional.avg_pool2d(total, 2)


def test_the_residual_generator_of_32_pixels_is_the_one_written_by_hand() -> None:
    config = NetworksConfig.model_validate(
        {
            "family": "resnet",
            "generator": {"width": 4, "bias": "all"},
            "discriminator": {"width": 8},
        }
    )
    generator, discriminator = build(plan_networks(config, (3, 32, 32), 10, 0))
    by_hand = nn.Sequential(
        nn.Linear(10, 4 * 16),
        nn.Unflatten(1, (4, 4, 4)),
        *(SngBlock(4, 4, up=True) for _ in range(3)),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3, padding=1),
        nn.Tanh(),
    )
    same_weights(generator, by_hand)
    z = torch.randn(5, 10)
    torch.testing.assert_close(generator(z), by_hand(z))

    # The second block of the discriminator is the first that halves after an activation.
    block = SngBlock(8, 8, up=False)
    second = discriminator.trunk[1]
    same_weights(second, block)
    x = torch.randn(5, 8, 16, 16)
    torch.testing.assert_close(second(x), block(x))


def test_projection_adds_the_inner_product_of_label_and_features() -> None:
    plan = plan_networks(NetworksConfig(), (1, 8, 8), 10, 3)
    plan = replace(plan, discriminator=replace(plan.discriminator, conditioning="projection"))
    _, discriminator = build(plan)
    labels = torch.tensor([2, 0, 1])
    judgement = discriminator(torch.randn(3, 1, 8, 8), labels)
    for n in range(3):
        h = judgement.features[n]
        psi = discriminator.score.weight[0] @ h + discriminator.score.bias[0]
        expected = psi + discriminator.projection.weight[labels[n]] @ h
        torch.testing.assert_close(judgement.score[n], expected)


def test_the_networks_of_pacgan_are_those_written_by_hand() -> None:
    config = NetworksConfig.model_validate(
        {
            "family": "mlp",
            "generator": {"depth": 4, "width": 400, "norm": "batch", "init": "normal"},
            "discriminator": {
                "depth": 3,
                "width": 200,
                "activation": "maxout",
                "pieces": 5,
                "init": "normal",
            },
        }
    )
    generator, discriminator = build(plan_networks(config, (2,), 2, 0))
    hidden: list[nn.Module] = []
    for inputs in (2, 400, 400, 400):
        hidden += [nn.Linear(inputs, 400, bias=False), nn.BatchNorm1d(400), nn.ReLU()]
    by_hand = nn.Sequential(*hidden, nn.Linear(400, 2))
    same_weights(generator, by_hand)
    z = torch.randn(6, 2)
    points = generator(z)
    torch.testing.assert_close(points, by_hand(z))

    layers = [nn.Linear(2, 1000), nn.Linear(200, 1000), nn.Linear(200, 1000), nn.Linear(200, 1)]
    same_weights(discriminator, nn.Sequential(*layers))
    h = points
    for layer in layers[:3]:
        h = layer(h).view(6, 200, 5).max(2).values
    torch.testing.assert_close(discriminator(points).score, layers[3](h)[:, 0])
    deviations = [p.std().item() for p in generator.parameters() if p.dim() == 2]
    assert deviations == pytest.approx([0.02] * len(deviations), rel=0.1)
