"""The table at which the two players meet: networks, optimisers, data, randomness and tricks.

:class:`Game` composes the hooks of :mod:`trials.trick` by folding over the tricks that implement
them; :class:`Round` is one batch on the table. The loop itself is in :mod:`trials.trainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from trials.config import TrialConfig
from trials.data import Dataset
from trials.data.order import Order
from trials.errors import CheckpointError
from trials.networks.build import build
from trials.networks.layers.virtual_batch import needs_reference, prepare_reference
from trials.networks.plan import Judgement
from trials.state.streams import Streams, derive, stream
from trials.trick import Terms, Trick

Made = TypeVar("Made")


class Steps(NamedTuple):
    """How many steps each player takes in one round."""

    discriminator: int
    generator: int


@dataclass
class Round:
    """One batch on the table, for one step of one player.

    ``real`` and ``fake``: (N, C, H, W) or (N, D). ``seen_real`` and ``seen_fake``: what the
    discriminator was shown of them. Targets are what the discriminator is taught: 1 is real;
    numbers, or tensors shaped like the scores. In a generator step the real images are those of
    the discriminator's last step, judged only if a trick asks for it (``judges_real``).
    """

    player: Literal["discriminator", "generator"]
    real: Tensor
    labels: Tensor | None
    z: Tensor
    fake_labels: Tensor | None
    fake: Tensor
    condition: Tensor | None = None
    seen_real: Tensor | None = None
    seen_fake: Tensor | None = None
    real_judgement: Judgement | None = None
    fake_judgement: Judgement | None = None
    real_target: Tensor | float = 1.0
    fake_target: Tensor | float = 0.0

    @property
    def r(self) -> Tensor:
        """Scores of the real images."""
        assert self.real_judgement is not None, "no trick asked for the real images' scores"
        return self.real_judgement.score

    @property
    def f(self) -> Tensor:
        """Scores of the generated images."""
        assert self.fake_judgement is not None, "the generated images are not judged yet"
        return self.fake_judgement.score

    @property
    def judges(self) -> int:
        """How many discriminators' scores these are, S: (S·N,), one after the other."""
        assert self.fake_judgement is not None, "the generated images are not judged yet"
        return self.fake_judgement.judges

    def by_judge(self, scores: Tensor) -> Tensor:
        """Scores (S·N,) as (S, N), for what compares a judge's scores with each other."""
        return scores.view(self.judges, -1)


class Game:
    """Everything that a trick may touch. ``step`` counts finished generator steps."""

    def __init__(self, config: TrialConfig, dataset: Dataset, device: torch.device) -> None:
        self.config = config
        self.dataset = dataset
        self.device = device
        self.step = 0
        self.streams = Streams(config.seed, device)
        self.tricks: list[Trick] = [trick(knobs, config) for trick, knobs in config.active()]
        self._implementing: dict[str, list[Trick]] = {}
        plan = config.plan(dataset.shape, dataset.classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(config.seed, "weights"))
            generator, discriminator = build(plan)
        self.plan = plan
        self.generator = generator.to(device)
        self.discriminator = discriminator.to(device)
        self.optimizers = {
            "generator": config.optimizer.generator.build(self.generator.parameters()),
            "discriminator": config.optimizer.discriminator.build(self.discriminator.parameters()),
        }
        self.labelled = any(trick.uses_labels for trick in self.tricks)
        self._order = Order(len(dataset), config.batch_size, self.streams.data)
        self._discriminator_parameters = list(self.discriminator.parameters())
        self.judges_real = any(trick.judges_real for trick in self.tricks)
        torch.manual_seed(derive(config.seed, "global"))
        self._set_references()
        for trick in self.using("prepare"):
            trick.prepare(self)

    def _set_references(self) -> None:
        """Fix the reference batches of virtual batch normalisation, where a network has it."""
        reference = stream(self.device, self.config.seed, "reference")
        if needs_reference(self.generator):
            z, labels = self.noise(self.config.batch_size, reference)
            real, _ = self._drawn(len(z), reference)
            prepare_reference(self.generator, z, labels, self.condition(real, reference))
        if needs_reference(self.discriminator):
            real, labels = self._drawn(self.config.batch_size, reference)
            prepare_reference(self.discriminator, self.show(real, real=True), labels)

    def _drawn(self, count: int, source: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Random real images with their labels, outside the order of training."""
        chosen = torch.randint(len(self.dataset), (count,), generator=source, device=source.device)
        images, labels = self.dataset.batch(chosen, device=self.device)
        return images, labels if self.labelled else None

    def using(self, hook: str) -> list[Trick]:
        """The tricks that implement a hook, in order; found once."""
        if hook not in self._implementing:
            base = getattr(Trick, hook)
            self._implementing[hook] = [
                trick for trick in self.tricks if getattr(type(trick), hook) is not base
            ]
        return self._implementing[hook]

    def trick(self, key: str) -> Trick | None:
        """The trick called ``key`` if it is on."""
        return next((trick for trick in self.tricks if trick.key == key), None)

    @property
    def progress(self) -> float:
        """The share of the training that is done, in [0, 1]."""
        return self.step / self.config.steps

    # What lies on the table ------------------------------------------------------------------

    def real_batch(self) -> tuple[Tensor, Tensor | None]:
        """The next batch of the data in their seeded order."""
        images, labels = self.dataset.batch(
            self._order.next(), device=self.device, augment=self.streams.augmentation
        )
        return images, labels if self.labelled else None

    def noise(self, count: int, stream: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Latent vectors, and labels in the data's proportions where labels are used."""
        z = self.config.latent.draw(count, stream)
        for trick in self.using("latent"):
            z = trick.latent(self, z, stream)
        return z, self.draw_labels(count, stream)

    def draw_labels(self, count: int, stream: torch.Generator) -> Tensor | None:
        """Labels of ``count`` random data points, or None where labels are not used."""
        if not self.labelled or self.dataset.labels is None:
            return None
        chosen = torch.randint(len(self.dataset), (count,), generator=stream, device=stream.device)
        return self.dataset.labels[chosen.cpu()].to(self.device)

    def condition(self, real: Tensor, stream: torch.Generator) -> Tensor | None:
        """What the generator is given beside z in tasks that work on an image."""
        for trick in self.using("condition"):
            return trick.condition(self, real, stream)
        return None

    def generate(
        self,
        z: Tensor,
        labels: Tensor | None,
        condition: Tensor | None = None,
        network: nn.Module | None = None,
    ) -> Tensor:
        """Images from z by the generator, or by another network of its kind."""
        network = network or self.generator
        if condition is None:
            images: Tensor = network(z, labels)
        else:
            images = network(z, labels, condition)
        for trick in self.using("finish"):
            images = trick.finish(images, condition)
        return images

    def show(self, images: Tensor, real: bool) -> Tensor:
        """What the discriminator is shown of ``images``."""
        for trick in self.using("see"):
            images = trick.see(self, images, real)
        return images

    def score(self, seen: Tensor, labels: Tensor | None) -> Judgement:
        """The discriminator's judgement of images as it sees them."""
        judgement: Judgement = self.discriminator(seen, labels)
        return judgement

    def judged_with(self, tensors: Mapping[str, Tensor], compute: Callable[[], Made]) -> Made:
        """What ``compute`` gives while the discriminator has these weights and buffers, by name,
        instead of its own: whoever asks for its parameters meanwhile is given these."""
        named = {f"network.{name}": tensor for name, tensor in tensors.items()}
        made: Made = torch.func.functional_call(_Around(self.discriminator), named, (compute,))
        return made

    # One player's loss -----------------------------------------------------------------------

    def discriminator_loss(self, round: Round) -> Terms:
        """Judge both sides of the table and name the discriminator's terms."""
        for trick in self.using("dealt"):
            trick.dealt(self, round)
        self._judge_real(round)
        round.seen_fake = self.show(round.fake, real=False)
        round.fake_judgement = self.score(round.seen_fake, round.fake_labels)
        for trick in self.using("judged"):
            trick.judged(self, round)
        terms: Terms = {}
        for trick in self.using("discriminator_terms"):
            terms = trick.discriminator_terms(self, round, terms)
        return terms

    def border(self, round: Round) -> Tensor | float:
        """The score above which the discriminator takes an image of this round for real."""
        for trick in self.using("border"):
            return trick.border(round)
        return 0.0

    def generator_loss(self, round: Round) -> Terms:
        """Judge the generated images and name the generator's terms."""
        for trick in self.using("dealt"):
            trick.dealt(self, round)

        def compute() -> Terms:
            if self.judges_real:
                self._judge_real(round)
            round.seen_fake = self.show(round.fake, real=False)
            round.fake_judgement = self.score(round.seen_fake, round.fake_labels)
            for trick in self.using("judged"):
                trick.judged(self, round)
            terms: Terms = {}
            for trick in self.using("generator_terms"):
                terms = trick.generator_terms(self, round, terms)
            return terms

        wrapped = compute
        for trick in self.using("around_generator_loss"):
            wrapped = _bind(trick, self, round, wrapped)
        return wrapped()

    def _judge_real(self, round: Round) -> None:
        round.seen_real = self.show(round.real, real=True)
        round.real_judgement = self.score(round.seen_real, round.labels)

    @contextmanager
    def discriminator_frozen(self) -> Iterator[None]:
        """Inside, no gradient is computed for the discriminator's weights."""
        for parameter in self._discriminator_parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in self._discriminator_parameters:
                parameter.requires_grad_(True)

    # Sampling --------------------------------------------------------------------------------

    def sampling_network(self) -> nn.Module:
        """The network whose samples count: the generator, or what a trick puts in its place."""
        network = self.generator
        for trick in self.using("sampling_network"):
            network = trick.sampling_network(self, network)
        return network

    @property
    def samples_from(self) -> str:
        """What the protocol calls those weights: ``raw`` or a trick's word."""
        named = [trick.samples_from for trick in self.using("sampling_network")]
        return named[-1] if named else "raw"

    def state(self) -> dict[str, object]:
        """Everything that a checkpoint must hold to go on exactly."""
        return {
            "step": self.step,
            "data": self.dataset.fingerprint,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "streams": self.streams.state(),
            "order": self._order.state_dict(),
            "tricks": {trick.key: trick.state() for trick in self.tricks},
        }

    def load_state(self, state: dict[str, object]) -> None:
        """Go on exactly where :meth:`state` was taken.

        Raises:
            CheckpointError: the data have changed since, and nothing would go on exactly.
        """
        # What was saved before data were noted in it is taken on trust.
        if state.get("data", self.dataset.fingerprint) != self.dataset.fingerprint:
            raise CheckpointError(
                "the data are others than those that the checkpoint was trained on: bring those"
                " back, or delete the checkpoint and train anew"
            )
        self.step = state["step"]  # type: ignore[assignment]
        self.generator.load_state_dict(state["generator"])  # type: ignore[arg-type]
        self.discriminator.load_state_dict(state["discriminator"])  # type: ignore[arg-type]
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])  # type: ignore[index]
        self._order.load_state_dict(state["order"])  # type: ignore[arg-type]
        for trick in self.tricks:
            trick.load_state(state["tricks"][trick.key])  # type: ignore[index]
        self.streams.load_state(state["streams"])  # type: ignore[arg-type]


class _Around(nn.Module):
    """A network as the part of a module whose call is a function's, for ``functional_call``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, compute: Callable[[], Made]) -> Made:
        return compute()


def _bind(
    trick: Trick, game: Game, round: Round, inner: Callable[[], Terms]
) -> Callable[[], Terms]:
    return lambda: trick.around_generator_loss(game, round, inner)
