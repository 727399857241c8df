"""Unrolled GAN (Metz et al. 2016, arXiv:1611.02163). Source: 003.

    θ_D⁰ = θ_D,   θ_D^{i+1} = θ_D^i − η ∇ L_D(θ_D^i),   the generator minimises L_G(θ_G, θ_D^k)

The gradient flows through the k imagined discriminator steps. The discriminator and its
optimiser are never touched: the steps are taken on differentiable copies of the weights, by
gradient descent with ``lr``, or by Adam, differentiable too, from zero moments. The imagined
steps judge the generator step's own images against fresh real ones; buffers (batch statistics,
power iterations) go on in copies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from trials.game import Game, Round
from trials.trick import Terms, Trick, TrickConfig, knob

Weights = dict[str, Tensor]


def descended(weights: Weights, gradients: Weights, lr: float) -> Weights:
    """θ − η g, weight by weight."""
    return {name: weight - lr * gradients[name] for name, weight in weights.items()}


class DifferentiableAdam:
    """Adam (arXiv:1412.6980, algorithm 1) whose steps can be differentiated through."""

    def __init__(self, lr: float, beta1: float = 0.5, beta2: float = 0.999) -> None:
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.steps = 0
        self.first: Weights = {}
        self.second: Weights = {}

    def __call__(self, weights: Weights, gradients: Weights) -> Weights:
        """The weights after one more step."""
        self.steps += 1
        moved = {}
        for name, weight in weights.items():
            g = gradients[name]
            m = self.first.get(name, torch.zeros_like(g))
            v = self.second.get(name, torch.zeros_like(g))
            m = self.beta1 * m + (1 - self.beta1) * g
            v = self.beta2 * v + (1 - self.beta2) * g.square()
            self.first[name], self.second[name] = m, v
            m_hat = m / (1 - self.beta1**self.steps)
            v_hat = v / (1 - self.beta2**self.steps)
            # The root's derivative at 0 is infinite; a tiny shift keeps the graph finite.
            moved[name] = weight - self.lr * m_hat / ((v_hat + 1e-16).sqrt() + 1e-8)
        return moved


class Unrolled(Trick):
    """The generator foresees how the discriminator will answer."""

    key = "unrolled"
    group = "dynamics"
    summary = "the generator's gradient flows through k future discriminator steps"
    formula = "min over G of L_G(θ_G, θ_D^k),  θ_D^{i+1} = θ_D^i - η ∇ L_D(θ_D^i)"
    paper = "Metz et al. 2016, arXiv:1611.02163"
    source = "003"
    judges_real = True
    conflicts = {"experience_replay": "imagined steps would fill its buffer with imagined images"}

    class Config(TrickConfig):
        steps: int = knob(
            5, "k, discriminator steps looked ahead", ge=1, le=50, search={"values": [1, 3, 5]}
        )
        optimiser: Literal["adam", "sgd"] = knob("adam", "how the imagined steps are taken")
        lr: float = knob(0.0, "η of the imagined steps; 0: the discriminator's own", ge=0, le=1)

    def around_generator_loss(
        self, game: Game, round: Round, compute: Callable[[], Terms]
    ) -> Terms:
        network = game.discriminator
        lr = self.config.lr or self.trial.optimizer.discriminator.lr
        # Batch statistics and power iterations go on in copies. Giving the originals back instead
        # would change tensors that the graph still needs.
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        remembered = [(trick, copy.deepcopy(trick.state())) for trick in self._touched(game)]
        weights = {
            name: weight.detach().clone().requires_grad_(True)
            for name, weight in network.named_parameters()
        }
        step = DifferentiableAdam(lr)
        for _ in range(self.config.steps):
            with game.judged_with({**weights, **buffers}):
                gradients = self._gradients(game, round, weights)
            if self.config.optimiser == "adam":
                weights = step(weights, gradients)
            else:
                weights = descended(weights, gradients, lr)
        for trick, state in remembered:
            trick.load_state(state)
        with game.judged_with({**weights, **buffers}):
            return compute()

    def _touched(self, game: Game) -> list[Trick]:
        """Tricks whose memory an imagined discriminator step may change."""
        hooks = ("dealt", "judged", "discriminator_terms")
        return [trick for trick in game.tricks if any(trick in game.using(hook) for hook in hooks)]

    def _gradients(self, game: Game, round: Round, weights: Weights) -> Weights:
        """∇ L_D at these weights, with the graph that leads to the generator."""
        imagined = Round(
            "discriminator", round.real, round.labels, round.z, round.fake_labels, round.fake,
            round.condition,
        )  # fmt: skip
        terms = game.discriminator_loss(imagined)
        gradients = torch.autograd.grad(
            sum(terms.values(), torch.zeros((), device=game.device)),
            list(weights.values()),
            create_graph=True,
            allow_unused=True,
        )
        return {
            name: torch.zeros_like(weight) if gradient is None else gradient
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }
