"""Drawing samples that count: which weights, which batch statistics, which noise.

Brock et al. 2018 (arXiv:1809.11096) and BigGAN-PyTorch show that averaged weights with stale
batch statistics change FID by a factor of two; so the rule is explicit and goes into the protocol.

``running``   the statistics gathered in training (averaged weights have averaged ones)
``standing``  the statistics of seeded batches drawn from the sampling network itself
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trials.game import Game
from trials.metrics.standing import standing_statistics
from trials.state.streams import stream
from trials.trick import Sample


@contextmanager
def sampling_network(game: Game) -> Iterator[nn.Module]:
    """Inside, the sampling network in evaluation mode, its batch statistics by the rule."""
    with prepared(game, game.sampling_network()) as network:
        yield network


@contextmanager
def prepared(game: Game, network: nn.Module) -> Iterator[nn.Module]:
    """Inside, a generator of this game in evaluation mode, its batch statistics by the rule."""
    rules = game.config.evaluation
    if rules.batch_statistics == "standing":
        draw = drawer(game, network, stream(game.device, game.config.seed, "standing"))
        with standing_statistics(
            network, lambda index: draw(rules.batch, None), rules.standing_batches
        ):
            yield network
        return
    training = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(training)


def drawer(
    game: Game, network: nn.Module, noise: torch.Generator
) -> Callable[[int, Tensor | None], Tensor]:
    """(count, labels or None) → images, fresh from ``noise``."""

    @torch.no_grad()
    def draw(count: int, labels: Tensor | None) -> Tensor:
        z, drawn = game.noise(count, noise)
        wanted = labels.to(game.device) if labels is not None and game.labelled else drawn
        return shown(game, network, z, wanted, noise)

    return draw


@torch.no_grad()
def shown(
    game: Game, network: nn.Module, z: Tensor, labels: Tensor | None, noise: torch.Generator
) -> Tensor:
    """Images for given z and labels, with every trick's say in how samples are drawn."""
    condition = None
    if game.using("condition"):
        chosen = torch.randint(len(game.dataset), (len(z),), generator=noise, device=noise.device)
        real, _ = game.dataset.batch(chosen, device=game.device)
        condition = game.condition(real, noise)

    def base(z: Tensor, labels: Tensor | None) -> Tensor:
        return game.generate(z, labels, condition, network)

    sample: Sample = base
    for trick in game.using("sampler"):
        sample = trick.sampler(game, sample)
    return sample(z, labels)
