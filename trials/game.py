"""What a trick meets: one batch on the table, and the game and the trial as far as it may see them.

`Game` and `Trial` are interfaces: the first is implemented by
`trials.engine.composed_game.ComposedGame`, the second by
`trials.config.TrialConfig`. Both have more than stands here, for the trainer; what stands
here is all that a trick may use, and mypy holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from trials.data.dataset import Dataset
from trials.data.source import DataSource
from trials.latent import LatentConfig
from trials.metrics.config import EvaluationConfig
from trials.networks.config import NetworksConfig
from trials.networks.plan import Judgement
from trials.optimization import OptimizersConfig
from trials.part import PartConfig
from trials.precision import PrecisionConfig
from trials.problems import Problem

Made = TypeVar("Made")

Terms = dict[str, Tensor]
"""Loss terms by name, scalars; their sum is minimised."""

Sample = Callable[[Tensor, Tensor | None], Tensor]
"""(z, labels) → images."""

Draw = Callable[[int, Tensor | None], Tensor]
"""(count, labels or None) → as many images, of fresh z and, without labels, drawn labels."""


class Steps(NamedTuple):
    """How many steps each player takes in one round."""

    discriminator: int
    generator: int


@dataclass
class Round:
    """One batch on the table, for one step of one player.

    `real` and `fake`: (N, C, H, W) or (N, D). `seen_real` and `seen_fake`: what the
    discriminator was shown of them. Targets are what the discriminator is taught: 1 is real;
    numbers, or tensors shaped like the scores. In a generator step the real images are those of
    the discriminator's last step, judged only if a trick asks for it (`judges_real`).
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
        """Scores of the real images, (S·N,)."""
        assert self.real_judgement is not None, "no trick asked for the real images' scores"
        return self.real_judgement.score

    @property
    def f(self) -> Tensor:
        """Scores of the generated images, (S·N,)."""
        assert self.fake_judgement is not None, "the generated images are not judged yet"
        return self.fake_judgement.score

    @property
    def judges(self) -> int:
        """How many discriminators' scores these are, S: (S·N,), one after the other."""
        assert self.fake_judgement is not None, "the generated images are not judged yet"
        return self.fake_judgement.judges

    @property
    def made(self) -> Tensor:
        """The generated images as they are sampled, with the channels of the real ones: without
        what a trick lays beside them for the discriminator."""
        return self.fake[:, : self.real.shape[1]]

    def by_judge(self, scores: Tensor) -> Tensor:
        """Scores (S·N,) as (S, N), for what compares a judge's scores with each other."""
        return scores.view(self.judges, -1)


class Trial(Protocol):
    """What a trick may know of the configuration that it is a part of; nothing in it changes."""

    @property
    def data(self) -> DataSource.Config:
        """The settings of the source of the real data."""

    @property
    def source(self) -> DataSource:
        """The source of the real data, not opened."""

    @property
    def networks(self) -> NetworksConfig:
        """Both players' networks, as they are asked for; the plan is what becomes of it."""

    @property
    def latent(self) -> LatentConfig:
        """Distribution and size of z."""

    @property
    def optimizer(self) -> OptimizersConfig:
        """Both players' optimisers."""

    @property
    def precision(self) -> PrecisionConfig:
        """What the networks compute in while they train."""

    @property
    def graphs(self) -> bool:
        """Whether a GPU may repeat steps by itself, as CUDA graphs."""

    @property
    def compile(self) -> bool:
        """Whether the networks are compiled where they train."""

    @property
    def batch_size(self) -> int:
        """Images in one step."""

    @property
    def accumulate(self) -> int:
        """Equal parts that a batch is computed in."""

    @property
    def generator_batch(self) -> int:
        """The generator's batch, in batches of the discriminator."""

    @property
    def critic_steps(self) -> int:
        """Discriminator steps for one generator step, where no trick changes it."""

    @property
    def steps(self) -> int:
        """Generator steps of the whole training."""

    @property
    def evaluation(self) -> EvaluationConfig:
        """What is measured, how often, and of how many samples."""

    @property
    def seed(self) -> int:
        """What every random stream is derived from."""

    @property
    def loss(self) -> PartConfig:
        """The knobs of the adversarial loss, whose `part` is its class."""

    @property
    def conditioning(self) -> PartConfig:
        """The knobs of the use of class labels, whose `part` is its class."""

    @property
    def tricks(self) -> Mapping[str, PartConfig]:
        """The knobs of every trick that is on by its key, selectors aside."""

    def shape(self) -> tuple[int, ...] | None:
        """(C, H, W) or (D,) of one item of the data; None where their files cannot be read."""

    def needs_labels(self, method: str) -> Iterable[Problem]:
        """A problem if the data have no labels for a method of conditioning."""


class Host(Protocol):
    """What the host works out in a step.

    A GPU may repeat a step by itself, as a graph of its operations (`graphs` of a trial): no Python
    runs then, and numbers that stand beside tensors stay what they were. What would be missing goes
    through here; in a step that is played as it is written, each of these is a plain call. `ask` is
    also asked before the step: it knows the game's progress and what the trick itself counts, and
    nothing of the round.
    """

    def number(self, ask: Callable[[], float]) -> float | Tensor:
        """What `ask` gives, which may be another number at each step; in a graph, a scalar float32
        tensor that it is written into."""

    def choice(self, ask: Callable[[], Made]) -> Made:
        """What `ask` gives, a plain value on which it depends what operations the step is made of.
        Few values: each has a graph of its own."""

    def count(self, do: Callable[[], object]) -> None:
        """Do something on the host now, and in each step that repeats this one."""


class TrickStreams(Protocol):
    """The random streams that tricks draw from."""

    @property
    def augmentation(self) -> torch.Generator:
        """On the game's device, for everything random that a trick does in training."""


class Game(Protocol):
    """What a trick may touch: the properties are read, the networks' weights may be changed in
    place after their player's step, and the methods do what their names say."""

    # Read only -------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """Finished generator steps."""

    @property
    def progress(self) -> float:
        """The share of the training that is done, in [0, 1]."""

    @property
    def device(self) -> torch.device:
        """Where networks and batches are."""

    @property
    def dataset(self) -> Dataset:
        """The real data."""

    @property
    def streams(self) -> TrickStreams:
        """Where randomness is drawn from; what a hook is given as `stream` comes first."""

    @property
    def host(self) -> Host:
        """Where what the host works out anew for each step goes through."""

    @property
    def generator(self) -> nn.Module:
        """(z, labels) or (z, labels, condition) → images."""

    @property
    def discriminator(self) -> nn.Module:
        """(images as it sees them, labels) → `Judgement`."""

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """By player: learning rates and moments, to look at."""

    # What lies on the table ------------------------------------------------------------------

    def noise(self, count: int, stream: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """z (count, latent), and labels (count,) in the data's proportions where they are used."""

    def condition(self, real: Tensor, stream: torch.Generator) -> Tensor | None:
        """What the generator is given of `real` beside z, in tasks that work on an image."""

    def generate(
        self,
        z: Tensor,
        labels: Tensor | None,
        condition: Tensor | None = None,
        network: nn.Module | None = None,
    ) -> Tensor:
        """Images from z by the generator, or by another network of its kind."""

    def show(self, images: Tensor, real: bool) -> Tensor:
        """What the discriminator is shown of `images`."""

    def score(self, seen: Tensor, labels: Tensor | None) -> Judgement:
        """The discriminator's judgement of images as it sees them."""

    def exact(self) -> AbstractContextManager[None]:
        """Inside, networks compute in float32, whatever the trial's precision, and are not
        compiled: for what is differentiated twice, as the gradient of a score is."""

    def border(self, round: Round) -> Tensor | float:
        """The score above which the discriminator takes an image of this round for real."""

    # Steps that are only imagined ------------------------------------------------------------

    def discriminator_loss(self, round: Round) -> Terms:
        """Judge both sides of the table and name the discriminator's terms."""

    def judged_with(self, tensors: Mapping[str, Tensor], compute: Callable[[], Made]) -> Made:
        """What `compute` gives while the discriminator has these weights and buffers, by name,
        instead of its own; its parameters, asked for meanwhile, are these."""

    def memories_kept(self) -> AbstractContextManager[None]:
        """Inside, discriminator steps may be imagined: after it every trick remembers what it did
        before."""

    # Samples, and starting over --------------------------------------------------------------

    def sampling_network(self, before: str | None = None) -> nn.Module:
        """The network whose samples count: the generator, or what tricks put in its place.
        `before` leaves out the trick of that name and those after it."""

    def as_sampled(self, network: nn.Module) -> AbstractContextManager[nn.Module]:
        """Inside, a generator of this game in evaluation mode, its batch statistics by the rule
        of the evaluation."""

    def drawer(self, network: nn.Module, noise: torch.Generator) -> Draw:
        """How `network` is sampled, with every trick's say, fresh from `noise`."""

    def forget_moments(self) -> None:
        """Let both players' optimisers begin anew, at the rates that they have."""

    def begin_anew(self, seed: int, keep: str) -> None:
        """Another training inside this one: new weights of both players from `seed`, optimisers
        without moments, and tricks that have forgotten everything, but for the one called
        `keep`."""
