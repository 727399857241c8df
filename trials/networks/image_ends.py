"""The two ends that every image generator has: z to 4×4 maps, and maps to an image."""

from __future__ import annotations

from torch import nn

from trials.networks.family import SMALLEST
from trials.networks.layers.factory import LayerFactory, halvings
from trials.networks.plan import GeneratorPlan
from trials.problems import Problem


def projection(make: LayerFactory, latent: int, channels: int, *, bias: bool) -> list[nn.Module]:
    """(N, latent) → (N, channels, 4, 4)."""
    cells = SMALLEST * SMALLEST
    linear = make.linear(latent, channels * cells, resolution=SMALLEST, bias=bias)
    return [linear, nn.Unflatten(1, (channels, SMALLEST, SMALLEST))]


def image_head(make: LayerFactory, plan: GeneratorPlan, inputs: int) -> list[nn.Module]:
    """A convolution and tanh: (N, inputs, H, W) → (N, C, H, W)."""
    channels, size, _ = plan.shape
    bias = make.biased(normalised=False)
    kernel = plan.head_kernel
    return [make.conv(inputs, channels, kernel, resolution=size, bias=bias, last=True), nn.Tanh()]


def split_problems(plan: GeneratorPlan, stages: int) -> list[Problem]:
    """z that cannot give each of several stages a share of its own."""
    if plan.skip_z != "split":
        return []
    if stages < 2:
        path = "networks.generator.skip_z"
        return [Problem(path, "there is only one stage to give z to", "none or whole")]
    if plan.latent < stages:
        return [Problem("latent", f"cannot be split among {stages} stages", f"at least {stages}")]
    return []


def image_problems(plan: GeneratorPlan) -> list[Problem]:
    """What an image generator cannot honour, whatever its blocks."""
    sizes = halvings(plan.shape[1], SMALLEST) + 1
    problems = split_problems(plan, sizes if plan.head_kernel else sizes - 1)
    path = "networks.generator.head_kernel"
    if plan.head_kernel == 0 and plan.condition_channels:
        problems.append(Problem(path, "a generator with a condition image needs a head", "1 or 3"))
    elif plan.head_kernel and plan.head_kernel % 2 == 0:
        problems.append(Problem(path, "an even kernel cannot keep the size", "1 or 3"))
    return problems
