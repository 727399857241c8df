"""The base of every trick, and the hooks it may implement.

A trick is one file: the pure function that is its mathematics, and a class that plugs it in.
A trick is a part (`trials.part`): subclassing `Trick` registers it under `key`, and
everything else (the configuration, the search ranges, `sweeper tricks`, the documentation, the
parametrised tests) is derived.

Where the hooks fire in one step of the loop::

    plan                          once, before the networks are built
    see                           of the reference batch, where virtual batch norm has one: what it
                                  reads is there from `__init__` on
    prepare                       once, when they are; again where a training restarts inside
                                  another (an ensemble of generators): it forgets everything
    ──────────────────────────────────────────────────────────────────────
    steps                         how many discriminator and generator steps
    discriminator step
        drawn                     the real batch is drawn, in the data's order
        latent, classes           z (and codes) for the batch, and the classes to be made
        condition, finish         tasks that work on a given image
        dealt                     real and generated images are on the table
        see                       what the discriminator sees of either
        judged                    scores are known; targets may be changed
        discriminator_terms       named terms whose sum is minimised
        border                    above which score an image passes for real (losses only)
        after_discriminator_step  once, in however many parts the batch was computed: what the
                                  parts' terms have gathered for the memory is taken here
    generator step
        latent, classes, dealt, see, judged
        generator_terms           named terms whose sum is minimised
        around_generator_loss     computes those terms, perhaps through unrolled steps
        after_generator_step
    evaluation
        sampling_network          whose samples count: averaged weights, a mixture
        sampler                   how they are drawn: truncation
        signals                   numbers to log
    state, load_state             what a checkpoint must hold

Where several tricks implement one hook they are composed by folding over them in `order`, the
adversarial loss first (`trials.engine.hooks`).

What a trick may touch is `trials.game.Game` and `trials.game.Trial`, and no more:

* its own `config`; of its `trial` what `Trial` shows; neither changes
* what a hook is given: the plan, which is replaced; the round, whose fields may be set; tensors
* of the game, read only: `step`, `progress`, `device`, `dataset` and `optimizers`
* `game.host`, for what the host works out anew at each step: numbers that change, decisions, counts
* randomness of the hook's `stream`, else of `game.streams.augmentation`, else of a fresh
  `trials.state.streams.stream` of its own purpose; torch's global generator never
* weights and buffers of `game.generator` and `game.discriminator`: read at any time, changed in
  place by `prepare`, `steps` and after the player's own step
* the game's moves, which other tricks have their say in: `noise`, `condition`, `generate`,
  `show`, `score`, `border`; `discriminator_loss` of a round of its own making, inside
  `memories_kept` and `judged_with`, as long as the step is only imagined
* samples: `sampling_network`, `as_sampled`, `drawer`; `forget_moments` and `begin_anew`
* its own attributes, which it saves in `state` and takes back in `load_state`

Other tricks it never sees. mypy and import-linter hold every file of a trick to this list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trials.game import Game, Round, Sample, Steps, Terms, Trial
from trials.networks.plan import NetworkPlan
from trials.part import Part
from trials.problems import Problem


class Trick(Part):
    """One switchable piece of GAN training. Subclass it in a file of its own."""

    kind = "trick"
    folders = ("trials.losses", "trials.tricks", "trials.conditioning", "trials.tasks")

    group: ClassVar[str] = ""
    """The heading under which listings show it, in lower case: `judgement`, `labels`."""

    formula: ClassVar[str] = ""
    """Its mathematics in one line of Unicode, in the paper's symbols."""

    paper: ClassVar[str] = ""
    """Where it comes from: authors, year and arXiv number, or the name of a post."""

    slot: ClassVar[str] = ""
    """At most one trick of a slot is on. `loss`, `conditioning` and `task` are keys of the
    configuration, others only exclude one another."""

    conflicts: ClassVar[Mapping[str, str]] = {}
    """Key of another trick → why the two make no sense together. One side declares it."""

    requires: ClassVar[tuple[str, ...]] = ()
    """Keys of which at least one must be on as well."""

    order: ClassVar[int] = 0
    """Its place where several tricks implement one hook; lower comes first, equal ones by key. In
    use: losses -100; tricks that change which networks play -60 to -50; most 0; augmentation 40;
    noise and choices among judged samples 50 to 60; packing 90; what weighs all terms 100."""

    uses_labels: ClassVar[bool] = False
    """Whether both players are given class labels because of it."""

    judges_real: ClassVar[bool] = False
    """Whether a generator step needs the real images' judgement as well."""

    compares: ClassVar[bool] = False
    """Whether the discriminator compares the samples of a batch because of it: one alone would
    tell it nothing."""

    example: ClassVar[Mapping[str, Any]] = {}
    """What a trial config must hold beside this trick for it to make sense, if anything: the
    conformance tests and the documentation use it."""

    differences: ClassVar[tuple[str, ...]] = ()
    """Where it is not what the paper, or its authors' code, has, and why: a sentence each."""

    not_capturable: ClassVar[str] = ""
    """Why a step with it cannot be captured as a CUDA graph and replayed; empty where it can, for
    every one of its knobs. `sweeper.testing.capture` has what a capture forbids, and
    `trials.engine.graphs` what becomes of it."""

    not_compilable: ClassVar[str] = ""
    """Why networks with it cannot be compiled once and called many times; empty where they can.
    What it differentiates twice is played as written, inside `game.exact` (`docs/compile.md`)."""

    samples_from: ClassVar[str] = ""
    """What the protocol calls the weights of its `sampling_network`: `averaged`."""

    def __init__(self, config: Any, trial: Trial) -> None:
        self.config = config
        self.trial = trial

    # What a configuration must satisfy -----------------------------------------------------

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        """Problems of this trick in this trial beyond conflicts, slots and requirements."""
        return ()

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        """Warnings: allowed, but the papers advise against it."""
        return ()

    @classmethod
    def rank(cls) -> tuple[str, str]:
        """In the order of groups and names."""
        return cls.group, cls.key

    @classmethod
    def networks(cls, config: Any) -> Mapping[str, Mapping[str, Any]]:
        """Player → knobs of its family that this brings where the file says nothing, as a task
        that has its own way to enlarge."""
        return {}

    @classmethod
    def alive(cls, config: Any, trial: Trial) -> Mapping[str, tuple[float, float]]:
        """Knob → the least and the greatest value between which it makes a difference in this
        trial, where whatever lies beyond does what the end does."""
        return {}

    # Hooks ---------------------------------------------------------------------------------

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        """Change the plan of the networks before they are built."""
        return plan

    def prepare(self, game: Game) -> None:
        """When networks, optimisers and data stand and nothing has been trained: begin the memory
        of `state`. Called again where a training restarts inside another."""

    def steps(self, game: Game, steps: Steps) -> Steps:
        """How many steps either player takes in the coming round."""
        return steps

    def drawn(
        self, game: Game, real: Tensor, labels: Tensor | None, stream: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Exchange real images (N, …) and labels (N,) that were drawn to be learnt from, with
        randomness from `stream` only."""
        return real, labels

    def latent(self, game: Game, z: Tensor, stream: torch.Generator) -> Tensor:
        """Change or extend z, shape (N, latent), with randomness from `stream` only."""
        return z

    def classes(self, game: Game, labels: Tensor) -> Tensor:
        """Change the classes (N,) that the generated images of a training batch are to have."""
        return labels

    def condition(self, game: Game, real: Tensor, stream: torch.Generator) -> Tensor | None:
        """What the generator is given of `real` beside z (tasks only)."""
        return None

    def finish(self, images: Tensor, condition: Tensor | None) -> Tensor:
        """Turn the generator's output into the images that count (tasks only). A generator that
        is loaded from a file is finished too, so there is no game to ask."""
        return images

    def dealt(self, game: Game, round: Round) -> None:
        """Change what lies on the table before it is judged."""

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        """What the discriminator sees of `images`; differentiable in them."""
        return images

    def judged(self, game: Game, round: Round) -> None:
        """Change targets or judgements before the loss is taken."""

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        """The discriminator's loss terms, scalars, with this trick's added."""
        return terms

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        """The generator's loss terms, scalars, with this trick's added."""
        return terms

    def around_generator_loss(
        self, game: Game, round: Round, compute: Callable[[], Terms]
    ) -> Terms:
        """Compute the generator's terms, by default by calling `compute`."""
        return compute()

    def border(self, round: Round) -> Tensor | float:
        """The score above which the discriminator takes an image for real, where the loss does
        not centre the scores at 0: a scalar, or one a score, as each of several judges has its
        own. Its accuracy is counted from there."""
        return 0.0

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        """After the discriminator's optimiser has stepped."""

    def after_generator_step(self, game: Game, round: Round) -> None:
        """After the generator's optimiser has stepped."""

    def sampling_network(self, game: Game, network: nn.Module) -> nn.Module:
        """The network that samples come from: averaged weights, a mixture."""
        return network

    def sampler(self, sample: Sample) -> Sample:
        """How samples are drawn for evaluation and for the user, who may have no more than the
        generator."""
        return sample

    def signals(self, game: Game) -> dict[str, float]:
        """Numbers worth logging at an evaluation, by name."""
        return {}

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that a checkpoint must hold."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
