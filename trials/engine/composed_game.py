"""The game with its tricks: the moves of both players on the table, as the hooks have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trials.data.dataset import Dataset
from trials.engine.hooks import Hooks
from trials.engine.host import PlainHost
from trials.engine.table import GameState
from trials.game import Draw, Round, Steps, Terms, Trial
from trials.metrics.standing import standing_statistics
from trials.networks.layers.virtual_batch import needs_reference, prepare_reference
from trials.networks.plan import label_a_pack
from trials.state.streams import stream
from trials.trick import Trick


class ComposedGame(GameState):
    """A table and the tricks that are on: what `trials.game.Game` shows of it to a trick,
    and what the trainer asks beside."""

    def __init__(
        self,
        trial: Trial,
        tricks: Iterable[Trick],
        dataset: Dataset,
        device: torch.device,
        part: float = 1.0,
    ) -> None:
        self.host = PlainHost()
        self.hooks = Hooks(tricks)
        plan = self.hooks.plan(trial, dataset.shape, dataset.classes)
        labelled = self.hooks.uses_labels
        super().__init__(trial, plan, dataset, device, labelled=labelled, part=part)
        self._set_references()
        self.hooks.prepare(self)

    def _set_references(self) -> None:
        """Fix the reference batches of virtual batch normalisation, where a network has it."""
        count, reference = self.trial.batch_size, stream(self.device, self.trial.seed, "reference")
        if needs_reference(self.generator):
            z, labels = self.noise(count, reference)
            real, _ = self.random_batch(len(z), reference)
            prepare_reference(self.generator, z, labels, self.condition(real, reference))
        if needs_reference(self.discriminator):
            real, labels = self.hooks.drawn(self, *self.random_batch(count, reference), reference)
            seen = self.show(real, real=True)
            prepare_reference(self.discriminator, seen, label_a_pack(labels, len(seen)))

    @contextmanager
    def hosted_by(self, host: PlainHost) -> Iterator[None]:
        """Inside, what the host works out in a step goes through this one."""
        before, self.host = self.host, host
        try:
            yield
        finally:
            self.host = before

    def steps(self) -> Steps:
        """How many steps each player takes in the coming round."""
        return self.hooks.steps(self, Steps(self.trial.critic_steps, 1))

    # What lies on the table ------------------------------------------------------------------

    def real_batch(self) -> tuple[Tensor, Tensor | None]:
        """The next batch of the data, (N, C, H, W) or (N, D), and labels, with every trick's
        say."""
        return self.hooks.drawn(self, *super().real_batch(), self.streams.augmentation)

    def noise_to_learn_from(self, count: int) -> tuple[Tensor, Tensor | None]:
        """z and labels as `noise` gives them, of classes that tricks have a say in."""
        z, labels = self.noise(count, self.streams.noise)
        return z, labels if labels is None else self.hooks.classes(self, labels)

    def noise(self, count: int, stream: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """z (count, latent), and labels (count,) in the data's proportions where they are used."""
        z = self.hooks.latent(self, self.trial.latent.draw(count, stream), stream)
        return z, self.random_labels(count, stream)

    def condition(self, real: Tensor, stream: torch.Generator) -> Tensor | None:
        """What the generator is given of `real` beside z, in tasks that work on an image."""
        return self.hooks.condition(self, real, stream)

    def generate(
        self,
        z: Tensor,
        labels: Tensor | None,
        condition: Tensor | None = None,
        network: nn.Module | None = None,
    ) -> Tensor:
        """Images from z by the generator, or by another network of its kind."""
        network = network or self.generator
        given = (z, labels) if condition is None else (z, labels, condition)
        with self.arithmetic.networks():
            images = self.calls.of(network)(*given)
        return self.hooks.finish(images, condition)

    def show(self, images: Tensor, real: bool) -> Tensor:
        """What the discriminator is shown of `images`."""
        return self.hooks.see(self, images, real)

    # One player's loss -----------------------------------------------------------------------

    def discriminator_loss(self, round: Round) -> Terms:
        """Judge both sides of the table and name the discriminator's terms."""
        self.hooks.dealt(self, round)
        self._judge_real(round)
        self._judge_fake(round)
        return self.hooks.discriminator_terms(self, round)

    def generator_loss(self, round: Round) -> Terms:
        """Judge the generated images and name the generator's terms."""
        self.hooks.dealt(self, round)

        def compute() -> Terms:
            if self.hooks.judges_real:
                self._judge_real(round)
            self._judge_fake(round)
            return self.hooks.generator_terms(self, round)

        return self.hooks.around_generator_loss(self, round, compute)

    def _judge_real(self, round: Round) -> None:
        round.seen_real = self.show(round.real, real=True)
        round.real_judgement = self.score(round.seen_real, round.labels)

    def _judge_fake(self, round: Round) -> None:
        round.seen_fake = self.show(round.fake, real=False)
        round.fake_judgement = self.score(round.seen_fake, round.fake_labels)
        self.hooks.judged(self, round)

    def border(self, round: Round) -> Tensor | float:
        """The score above which the discriminator takes an image of this round for real."""
        return self.hooks.border(round)

    @contextmanager
    def memories_kept(self) -> Iterator[None]:
        """Inside, discriminator steps may be imagined: after it every trick remembers what it did
        before."""
        with self.host.imagining(), self.hooks.memories_kept():
            yield

    # Samples, and starting over --------------------------------------------------------------

    def sampling_network(self, before: str | None = None) -> nn.Module:
        """The network whose samples count: the generator, or what tricks put in its place.
        `before` leaves out the trick of that name and those after it."""
        return self.hooks.sampling_network(self, self.generator, before)

    @property
    def samples_from(self) -> str:
        """What the protocol calls those weights: `raw`, or a trick's word."""
        return self.hooks.samples_from

    @contextmanager
    def as_sampled(self, network: nn.Module) -> Iterator[nn.Module]:
        """Inside, a generator of this game in evaluation mode, its batch statistics by the rule
        of the evaluation:

        `running`   those gathered in training (averaged weights have averaged ones)
        `standing`  those of seeded batches drawn from `network` itself

        It computes in float32, however it was trained.

        Averaged weights with stale statistics change FID by a factor of two (Brock et al. 2018,
        arXiv:1809.11096; BigGAN-PyTorch), so the rule is explicit and goes into the protocol.
        """
        with self.exact(), self._statistics_set(network):
            yield network

    @contextmanager
    def _statistics_set(self, network: nn.Module) -> Iterator[None]:
        rules = self.trial.evaluation
        if rules.batch_statistics == "standing":
            draw = self.drawer(network, stream(self.device, self.trial.seed, "standing"))
            with standing_statistics(
                network, lambda index: draw(rules.batch, None), rules.standing_batches
            ):
                yield
            return
        training = network.training
        network.eval()
        try:
            yield
        finally:
            network.train(training)

    def drawer(self, network: nn.Module, noise: torch.Generator) -> Draw:
        """How `network` is sampled, with every trick's say, fresh from `noise`."""

        @torch.no_grad()
        def draw(count: int, labels: Tensor | None) -> Tensor:
            z, drawn = self.noise(count, noise)
            wanted = labels.to(self.device) if labels is not None and self.labelled else drawn
            return self.sampled(network, z, wanted, noise)

        return draw

    @torch.no_grad()
    def sampled(
        self, network: nn.Module, z: Tensor, labels: Tensor | None, noise: torch.Generator
    ) -> Tensor:
        """Images of `network` for given z and labels, with every trick's say, in float32; where a
        generator works on images, on random ones of the data."""
        condition = None
        if self.hooks.conditional:
            real, _ = self.random_batch(len(z), noise)
            condition = self.condition(real, noise)

        def sample(z: Tensor, labels: Tensor | None) -> Tensor:
            return self.generate(z, labels, condition, network)

        with self.exact():
            return self.hooks.sampler(sample)(z, labels)

    def begin_anew(self, seed: int, keep: str) -> None:
        """Another training inside this one: new weights of both players from `seed`, optimisers
        without moments, and tricks that have forgotten everything, but for the one called
        `keep`."""
        self.renew_networks(seed)
        self.hooks.forget(self, keep)

    # Checkpoints -----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that a checkpoint must hold to go on exactly."""
        return {**super().state(), "tricks": self.hooks.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state` was taken.

        Raises:
            StaleCheckpointError: the data have changed since, and nothing would go on exactly.
        """
        super().load_state(state)
        self.hooks.load_state(state["tricks"])
        # Once more and last, so that nothing a trick has drawn while loading shifts them.
        self.streams.load_state(state["streams"])
