"""Unrolled GAN (Metz et al. 2016, arXiv:1611.02163).

    θ_D⁰ = θ_D,   θ_D^{i+1} = θ_D^i − η ∇ L_D(θ_D^i),   the generator minimises L_G(θ_G, θ_D^k)

The gradient flows through the k imagined discriminator steps. The discriminator and its
optimiser are never touched: the steps are taken on differentiable copies of the weights, by
gradient descent, or by Adam, differentiable too, which goes on from the discriminator's own
moments where that is trained by Adam, as in the paper's code, and from zero where not. Penalties
on the discriminator's weights see the imagined ones; weight decay, and what tricks do after a
step (clipping), are not imagined. All imagined steps judge the generator step's own images
against the real ones of the discriminator's last step; buffers (batch statistics, power
iterations) go on in copies. What a loss or a trick remembers of scores (lecam's moving averages,
began's k) is a constant to the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from trials.game import Game, Round, Terms
from trials.optimization.optimizers.adam import Adam
from trials.part import PartConfig, knob
from trials.trick import Trick


class Moments(NamedTuple):
    """What Adam remembers of gradients (P,): m, v, and how many steps they come from, a float64
    scalar where they are."""

    first: Tensor
    second: Tensor
    steps: Tensor


def descended(theta: Tensor, gradient: Tensor, lr: float) -> Tensor:
    """θ − η g of weights (P,)."""
    return theta - lr * gradient


def adam(
    theta: Tensor, gradient: Tensor, past: Moments, lr: float, rule: Adam.Config
) -> tuple[Tensor, Moments]:
    """One step of Adam (arXiv:1412.6980, algorithm 1) that can be differentiated through."""
    t = past.steps + 1
    m = rule.beta1 * past.first + (1 - rule.beta1) * gradient
    v = rule.beta2 * past.second + (1 - rule.beta2) * gradient.square()
    m_hat = m / (1 - rule.beta1**t)
    v_hat = v / (1 - rule.beta2**t)
    # The root's derivative at 0 is infinite; a tiny shift keeps the graph finite.
    moved = theta - lr * m_hat / ((v_hat + 1e-24).sqrt() + rule.eps)
    return moved, Moments(m, v, t)


def moments_of(optimizer: torch.optim.Optimizer, network: nn.Module) -> Moments:
    """Adam's moments of all weights, joined in the network's order; zero where there are none."""
    weights = list(network.parameters())
    states = [optimizer.state.get(weight, {}) for weight in weights]

    def joined(name: str) -> Tensor:
        values = [
            state.get(name, torch.zeros_like(weight))
            for state, weight in zip(states, weights, strict=True)
        ]
        return flat(values).clone()

    none = torch.zeros((), device=weights[0].device)
    steps: Tensor = next((state["step"] for state in states if "exp_avg" in state), none)
    return Moments(joined("exp_avg"), joined("exp_avg_sq"), steps.double())


def flat(values: list[Tensor]) -> Tensor:
    """All numbers of several tensors in a row, (P,)."""
    return torch.cat([value.detach().flatten() for value in values])


def shaped(theta: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A row of numbers (P,) as tensors of the shapes, and by the names, of `like`."""
    parts = torch.split(theta, [value.numel() for value in like.values()])
    return {name: part.view_as(like[name]) for name, part in zip(like, parts, strict=True)}


class Unrolled(Trick):
    """The generator foresees how the discriminator will answer."""

    key = "unrolled"
    group = "dynamics"
    summary = "the generator's gradient flows through k future discriminator steps"
    formula = "min over G of L_G(θ_G, θ_D^k),  θ_D^{i+1} = θ_D^i - η ∇ L_D(θ_D^i)"
    paper = "Metz et al. 2016, arXiv:1611.02163"
    differences = ("Weight decay, and what tricks do after a step, is not imagined.",)
    judges_real = True
    conflicts = {"experience_replay": "imagined steps would fill its buffer with imagined images"}

    class Config(PartConfig):
        steps: int = knob(
            5, "k, discriminator steps looked ahead", ge=1, le=50, search={"values": [1, 3, 5]}
        )
        optimiser: Literal["adam", "sgd"] = knob("adam", "how the imagined steps are taken")
        lr: float = knob(0.0, "η of the imagined steps; 0: the discriminator's own", ge=0, le=1)

    def around_generator_loss(
        self, game: Game, round: Round, compute: Callable[[], Terms]
    ) -> Terms:
        own = dict(game.discriminator.named_parameters())
        # Batch statistics and power iterations go on in copies. Giving the originals back instead
        # would change tensors that the graph still needs.
        buffers = {name: buffer.clone() for name, buffer in game.discriminator.named_buffers()}
        step = self._stepper(game)
        theta = flat(list(own.values())).requires_grad_(True)
        with game.exact():  # the graph of each step is differentiated again
            with game.memories_kept():
                for _ in range(self.config.steps):
                    loss = game.judged_with(
                        {**shaped(theta, own), **buffers},
                        lambda: self._discriminator_loss(game, round),
                    )
                    (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
                    theta = step(theta, gradient)
            return game.judged_with({**shaped(theta, own), **buffers}, compute)

    def _stepper(self, game: Game) -> Callable[[Tensor, Tensor], Tensor]:
        """(weights, gradient) → the weights after one more imagined step."""
        optimizer = game.optimizers["discriminator"]
        lr: float = self.config.lr or optimizer.param_groups[0]["lr"]
        if self.config.optimiser == "sgd":
            return lambda theta, gradient: descended(theta, gradient, lr)
        own = self.trial.optimizer.discriminator
        rule = own if isinstance(own, Adam.Config) else Adam.Config()
        past = moments_of(optimizer, game.discriminator)

        def step(theta: Tensor, gradient: Tensor) -> Tensor:
            nonlocal past
            theta, past = adam(theta, gradient, past, lr, rule)
            return theta

        return step

    def _discriminator_loss(self, game: Game, round: Round) -> Tensor:
        """L_D of the round's images, as the discriminator's own step takes it."""
        imagined = Round(
            "discriminator", round.real, round.labels, round.z, round.fake_labels, round.fake,
            round.condition,
        )  # fmt: skip
        terms = game.discriminator_loss(imagined)
        return torch.stack(list(terms.values())).sum()
