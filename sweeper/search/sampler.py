"""What proposes the configurations of a search: the base of every sampler.

A sampler is asked once for each trial of the search, with its turn: how many proposals came before
and what became of them. What it proposes depends on that and on the sweep alone, and the object
remembers nothing that could not be found out again: a search that was killed proposes, when it goes
on, what it would have proposed without that.

Importing this imports neither NumPy nor Optuna, so that a sweep file can be read without them: what
needs them imports them where it is called.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sweeper.parts import Fault, SamplerConfig
from sweeper.protocols import Protocol
from sweeper.search.quantiles import at
from sweeper.sweepfile.domains import Parameter
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Choose, Draw, walk
from sweeper.wording import few
from trials.part import Part

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Result:
    """What came of one proposal of the search.

    `loss` is the first objective, to be minimised; None while the trial runs and, of a finished
    one, when it failed before it was measured.
    """

    values: Mapping[str, Any]
    loss: float | None
    finished: bool


@dataclass
class Turn:
    """One proposal that is due: its place in the search, and what is known by then."""

    index: int
    """How many proposals the search has made before, from 0; enqueued points are none."""
    search_seed: int
    """The search's seed; `seed` gives those of this turn."""
    start: Mapping[str, Any] | None
    """Values of the base configuration where it was the first trial, as far as they lie in the
    space; None where the search did not begin with it."""
    recall: Callable[[], Sequence[Result]]
    """Looks `results` up."""
    study: Study
    """The study as it is, for samplers of Optuna's."""
    number: int
    """The number that the trial will have in the study."""
    asked: Sequence[Mapping[str, Any]]
    """Values of all trials that the search has asked before, whatever became of them."""
    tried: Collection[str]
    """The points that the study has, spelt canonically, the base configuration's included where it
    is one."""
    own: Sequence[FrozenTrial] | None = None
    """The sweep's own entries in the study, for samplers of Optuna's; None: they look themselves.
    """
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Values that somebody has enqueued, by path, where the turn is to `honour` them."""
    protocol: Protocol = field(default_factory=dict)
    """How the sweep is measured: what was measured otherwise is not among the results."""
    again: int = 0
    """How many proposals of this turn have repeated a point, and were not taken."""
    noted: dict[str, Any] = field(default_factory=dict, init=False)
    """What a sampler of Optuna's wants to find again with the trial."""

    @cached_property
    def results(self) -> Sequence[Result]:
        """What came of the search's earlier proposals, in their order."""
        return self.recall()

    def seed(self, *place: object) -> int:
        """A 32-bit seed for this turn, or for one place in it."""
        return mix(self.search_seed, self.index, *place)


class Sampler(Part, ABC):
    """Proposes the configurations of a search. Subclass it in a file of `samplers/`."""

    kind = "sampler"
    folders = ("sweeper.search.samplers",)
    Config = SamplerConfig

    objectives: ClassVar[int] = 1
    """How many objectives it can serve at most."""

    ends: ClassVar[bool] = False
    """Whether it comes to an end by itself: any other needs `limits.trials`."""

    dependent_at_random: ClassVar[bool] = False
    """Whether it models only what every trial has, and draws parameters that depend on others at
    random however long the search is: `validate` says so of a file that has some."""

    needs_rungs: ClassVar[bool] = False
    """Whether it learns at the rungs of a stopping rule, so that a file must choose one with some.
    """

    def __init__(self, config: Any, sweep: Sweep) -> None:
        self.config = config
        self.sweep = sweep

    @classmethod
    def of(cls, sweep: Sweep) -> Self:
        """The sampler that a sweep names, with its settings."""
        return cls.named(sweep.search.name)(sweep.search, sweep)

    @classmethod
    def check(cls, config: Any, parameters: Sequence[Parameter]) -> Iterable[Fault]:
        """What is wrong with searching these parameters by this sampler."""
        return ()

    @abstractmethod
    def propose(self, turn: Turn) -> Draw | None:
        """A point of the space; None when there is no further one.

        `sweeper.sweepfile.space.walk` makes one of a function that chooses a value for each
        parameter, and sees to conditions and tricks that exclude one another.
        """

    def honour(self, turn: Turn) -> Draw | None:
        """A point with the turn's `fixed` values, the rest drawn independently; None where there is
        none that has not been asked before and a second time makes no sense."""
        draw = independent(turn)

        def choose(parameter: Parameter) -> Any:
            drawn = draw(parameter)  # also where it is not needed: the rest is the same then
            return turn.fixed.get(parameter.path, drawn)

        return walk(self.sweep, choose)

    def count(self, beside: bool) -> int | None:
        """How many trials a search that `ends` has, None for too many to count; `beside` says
        whether the first one is a base configuration that is no point of the space."""
        raise NotImplementedError(f"the sampler '{self.key}' ends and counts nothing")


def at_random_in_words(sweep: Sweep) -> str:
    """That the sampler will learn nothing of parameters that depend on others; empty where it does,
    or there is none."""
    dependent = [parameter.path for parameter in sweep.parameters if parameter.when]
    if sweep.is_ablation or not dependent or not Sampler.of(sweep).dependent_at_random:
        return ""
    return (
        f"search.sampler: {sweep.search.name} models what every trial has, and draws what has a "
        f"condition at random: {few(dependent)} (tpe learns of these too)"
    )


def mix(seed: int, *place: object) -> int:
    """A 32-bit seed for one place in a sweep: unrelated for different places, always the same."""
    text = ":".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def independent(turn: Turn) -> Choose:
    """Independent draws, uniform over each domain on its own scale."""
    import numpy as np

    rng = np.random.default_rng(turn.seed())
    return lambda parameter: at(parameter, rng.random())
