"""When a trial is stopped early, or goes on from another's checkpoint: the base of every rule.

A rule decides from nothing but the curves that the study holds, and remembers nothing: asked again
after a crash it answers as it did before it. A curve maps a training step to the first objective at
that step.

Nothing here imports NumPy, so that a sweep file can be read without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sweeper.parts import Fault, RuleConfig
from sweeper.search.milestones import Milestones
from sweeper.sweepfile.domains import Parameter
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw
from trials.part import Part, knob

Curve = Mapping[int, float]


@dataclass(frozen=True)
class TakeOver:
    """A trial goes on from `donor`'s checkpoint at its step `donor_step`, with a new draw."""

    donor: int
    donor_step: int
    draw: Draw


class StoppingRule(Part):
    """Decides which running trials are stopped. Subclass it in a file of `stopping/`."""

    kind = "stopping rule"
    folders = ("sweeper.search.stopping",)
    Config = RuleConfig

    copies: ClassVar[bool] = False
    """Whether trials go on from others' checkpoints, which are those that were measured."""

    decides: ClassVar[bool] = True
    """Whether it ever stops a trial."""

    has_rungs: ClassVar[bool] = False
    """Whether it compares trials at `rungs`, so that a sampler may as well."""

    def __init__(self, config: Any, sweep: Sweep) -> None:
        self.config = config
        self.sweep = sweep
        self.maximize = sweep.objective[0].goal == "maximize"

    @classmethod
    def of(cls, sweep: Sweep) -> Self:
        """The rule that a sweep names, with its settings."""
        return cls.named(sweep.scheduler.name)(sweep.scheduler, sweep)

    @classmethod
    def check(cls, config: Any, parameters: Sequence[Parameter]) -> Iterable[Fault]:
        """What is wrong with a search of these parameters under this rule."""
        return ()

    def doubts(self, trials: int | None) -> Iterable[str]:
        """What `validate` warns of in a search of so many trials; None: without a limit."""
        return ()

    def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        """Why trial `number` is stopped at its last step; None to let it go on.

        `curves` are those of all trials of the search by number, its own included; each holds
        finite values and may be empty. The trial is compared with others at the steps that it has
        reached: what they did later counts for nothing.
        """
        return None

    def rungs(self, last: int) -> Iterable[int]:
        """The steps up to `last` at which it compares trials, in order."""
        return ()

    @property
    def begins(self) -> int:
        """The first training step at which it may act."""
        grace = self.config.grace_steps if isinstance(self.config, GraceConfig) else None
        return grace or 0

    @property
    def milestones(self) -> Milestones | None:
        """The steps whose checkpoints are kept for others to take over; None where none are."""
        return None

    def take_over(
        self,
        number: int,
        curves: Mapping[int, Curve],
        values: Mapping[int, Mapping[str, Any]],
    ) -> TakeOver | None:
        """Whose checkpoint trial `number` goes on from at its last step; None to go on as it is.

        `curves` are those of the trials that may be compared with, its own included; `values` those
        of the ones among them that may be copied: of others the checkpoint is kept no longer.
        """
        return None


class GraceConfig(RuleConfig):
    """Settings of a rule that lets every trial run for a while."""

    grace_steps: int | None = knob(
        None, "training steps before a trial may be stopped; by default one evaluation", ge=1
    )

    def settled(self, base: Mapping[str, Any]) -> Self:
        """With the grace of one evaluation where none was given."""
        if self.grace_steps is not None:
            return self
        return self.model_copy(update={"grace_steps": steps_between_evaluations(base)})


def steps_between_evaluations(base: Mapping[str, Any]) -> int:
    """Training steps from one evaluation to the next under a base configuration.

    Raises:
        ConfigError: the base is no valid trial config.
    """
    from trials.config import default_at  # imports torch

    return int(default_at(base, "evaluation.every"))


def first_at(curve: Curve, milestone: int) -> int | None:
    """The first step of the curve at or after the milestone."""
    return min((step for step in curve if step >= milestone), default=None)


def is_worse(value: float, than: float, maximize: bool) -> bool:
    """Whether `value` is strictly on the wrong side of `than`."""
    return value < than if maximize else value > than
