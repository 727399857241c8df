"""The tricks of one training as one: every hook is a fold over the tricks that implement it.

Which tricks implement a hook is found once. The methods are named after the hooks of
`trials.trick.Trick`, which says what each is for and what shapes it takes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trials.game import Game, Round, Sample, Steps, Terms, Trial
from trials.networks.build import plan_networks
from trials.networks.plan import NetworkPlan
from trials.trick import Trick


class Hooks:
    """Tricks composed in their order, in which a configuration gives them."""

    def __init__(self, tricks: Iterable[Trick]) -> None:
        self.tricks = tuple(tricks)
        self.uses_labels = any(trick.uses_labels for trick in self.tricks)
        self.judges_real = any(trick.judges_real for trick in self.tricks)
        self._plan = self._with(Trick.plan)
        self._prepare = self._with(Trick.prepare)
        self._steps = self._with(Trick.steps)
        self._drawn = self._with(Trick.drawn)
        self._latent = self._with(Trick.latent)
        self._classes = self._with(Trick.classes)
        self._condition = self._with(Trick.condition)
        self._finish = self._with(Trick.finish)
        self._dealt = self._with(Trick.dealt)
        self._see = self._with(Trick.see)
        self._judged = self._with(Trick.judged)
        self._discriminator_terms = self._with(Trick.discriminator_terms)
        self._generator_terms = self._with(Trick.generator_terms)
        self._around_generator_loss = self._with(Trick.around_generator_loss)
        self._border = self._with(Trick.border)
        self._after_discriminator_step = self._with(Trick.after_discriminator_step)
        self._after_generator_step = self._with(Trick.after_generator_step)
        self._sampling_network = self._with(Trick.sampling_network)
        self._sampler = self._with(Trick.sampler)
        self._signals = self._with(Trick.signals)
        self._state = self._with(Trick.state)

    def _with(self, hook: Callable[..., Any]) -> tuple[Trick, ...]:
        """The tricks that have a hook of their own, in order."""
        name = hook.__name__
        return tuple(trick for trick in self.tricks if getattr(type(trick), name) is not hook)

    # Before the training ---------------------------------------------------------------------

    def plan(self, trial: Trial, shape: tuple[int, ...], classes: int) -> NetworkPlan:
        """The networks' plan for data of that shape, with every trick's changes.

        Raises:
            ConfigError: a family of networks cannot make what the trial asks for.
        """
        plan = plan_networks(trial.networks, shape, trial.latent.dim, classes)
        for trick in self._plan:
            plan = trick.plan(plan)
        return plan

    def prepare(self, game: Game) -> None:
        """Let every trick begin its memory."""
        for trick in self._prepare:
            trick.prepare(game)

    def forget(self, game: Game, keep: str) -> None:
        """Prepare again every trick that has memory, except the one called `keep`."""
        for trick in self._state:
            if trick.key != keep:
                trick.prepare(game)

    # One round -------------------------------------------------------------------------------

    def steps(self, game: Game, steps: Steps) -> Steps:
        """How many steps either player takes in the coming round."""
        for trick in self._steps:
            steps = trick.steps(game, steps)
        return steps

    def drawn(
        self, game: Game, real: Tensor, labels: Tensor | None, stream: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Real images (N, …) and their labels, exchanged with randomness from `stream`."""
        for trick in self._drawn:
            real, labels = trick.drawn(game, real, labels, stream)
        return real, labels

    def latent(self, game: Game, z: Tensor, stream: torch.Generator) -> Tensor:
        """z (N, latent), changed or extended with randomness from `stream`."""
        for trick in self._latent:
            z = trick.latent(game, z, stream)
        return z

    def classes(self, game: Game, labels: Tensor) -> Tensor:
        """The classes (N,) that the generated images of a training batch are to have."""
        for trick in self._classes:
            labels = trick.classes(game, labels)
        return labels

    @property
    def conditional(self) -> bool:
        """Whether the generator works on an image."""
        return bool(self._condition)

    def condition(self, game: Game, real: Tensor, stream: torch.Generator) -> Tensor | None:
        """What the generator is given of `real` (N, C, H, W) beside z, if anything."""
        for trick in self._condition:  # a task, of which there is one
            return trick.condition(game, real, stream)
        return None

    def finish(self, images: Tensor, condition: Tensor | None) -> Tensor:
        """The generator's output (N, …) as the images that count."""
        for trick in self._finish:
            images = trick.finish(images, condition)
        return images

    def dealt(self, game: Game, round: Round) -> None:
        """Change what lies on the table before it is judged."""
        for trick in self._dealt:
            trick.dealt(game, round)

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        """What the discriminator sees of `images` (N, …); differentiable in them."""
        for trick in self._see:
            images = trick.see(game, images, real)
        return images

    def judged(self, game: Game, round: Round) -> None:
        """Change targets or judgements before the loss is taken."""
        for trick in self._judged:
            trick.judged(game, round)

    def discriminator_terms(self, game: Game, round: Round) -> Terms:
        """The discriminator's loss terms, scalars by name."""
        terms: Terms = {}
        for trick in self._discriminator_terms:
            terms = trick.discriminator_terms(game, round, terms)
        return terms

    def generator_terms(self, game: Game, round: Round) -> Terms:
        """The generator's loss terms, scalars by name."""
        terms: Terms = {}
        for trick in self._generator_terms:
            terms = trick.generator_terms(game, round, terms)
        return terms

    def around_generator_loss(
        self, game: Game, round: Round, compute: Callable[[], Terms]
    ) -> Terms:
        """The generator's terms as `compute` gives them, with whatever tricks do around it."""
        for trick in self._around_generator_loss:
            compute = _bind(trick, game, round, compute)
        return compute()

    def border(self, round: Round) -> Tensor | float:
        """The score above which an image passes for real: 0 unless the loss says otherwise."""
        for trick in self._border:  # the loss, of which there is one
            return trick.border(round)
        return 0.0

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        """Tell every trick that the discriminator's optimiser has stepped."""
        for trick in self._after_discriminator_step:
            trick.after_discriminator_step(game, round)

    def after_generator_step(self, game: Game, round: Round) -> None:
        """Tell every trick that the generator's optimiser has stepped."""
        for trick in self._after_generator_step:
            trick.after_generator_step(game, round)

    @contextmanager
    def memories_kept(self) -> Iterator[None]:
        """Inside, a discriminator's loss may be computed: after it every trick that this may
        teach anything remembers what it did before."""
        taught = {*self._dealt, *self._judged, *self._discriminator_terms}
        kept = [(t, copy.deepcopy(t.state())) for t in self.tricks if t in taught]
        try:
            yield
        finally:
            for trick, state in kept:
                trick.load_state(state)

    # Evaluation and checkpoints --------------------------------------------------------------

    def sampling_network(
        self, game: Game, network: nn.Module, before: str | None = None
    ) -> nn.Module:
        """The network that samples come from, `network` being the generator's own. `before`
        leaves out the trick of that name and those after it."""
        for trick in self._sampling_network:
            if trick.key == before:
                break
            network = trick.sampling_network(game, network)
        return network

    @property
    def samples_from(self) -> str:
        """What the protocol calls those weights: `raw`, or a trick's word."""
        return self._sampling_network[-1].samples_from if self._sampling_network else "raw"

    def sampler(self, sample: Sample) -> Sample:
        """How samples are drawn, `sample` being how the network alone makes them."""
        for trick in self._sampler:
            sample = trick.sampler(sample)
        return sample

    def signals(self, game: Game) -> dict[str, float]:
        """Numbers to log, as `trick/name`."""
        return {
            f"{trick.key}/{name}": value
            for trick in self._signals
            for name, value in trick.signals(game).items()
        }

    def state(self) -> dict[str, dict[str, Any]]:
        """What every trick remembers, by its key."""
        return {trick.key: trick.state() for trick in self.tricks}

    def load_state(self, state: Mapping[str, dict[str, Any]]) -> None:
        """Take back what `state` gave.

        Raises:
            KeyError: a trick that is on has saved nothing there.
        """
        for trick in self.tricks:
            trick.load_state(state[trick.key])


def _bind(
    trick: Trick, game: Game, round: Round, inner: Callable[[], Terms]
) -> Callable[[], Terms]:
    return lambda: trick.around_generator_loss(game, round, inner)
