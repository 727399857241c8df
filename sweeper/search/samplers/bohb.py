"""TPE on the values at the rungs of a stopping rule, with a share of proposals drawn at random.

Falkner et al. 2018, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, arXiv
1807.01774. Its idea, with what is here anyway: the rule that stops trials is `asha` or `hyperband`,
the model is that of `tpe`, fitted to the trials as `sweeper.search.at_rungs` shows them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from sweeper.search.sampler import Turn, independent
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile.space import Draw, walk
from trials.part import knob

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from sweeper.search.at_rungs import AtRungs


class Bohb(Tpe):
    """Compares trials where enough of them have come, not where they happened to end."""

    key = "bohb"
    summary = "TPE on the values at the rungs of a stopping rule"
    objectives = 1
    needs_rungs = True

    class Config(Tpe.Config):
        rung_trials: int | None = knob(
            None,
            "trials that must have come to a rung before they are compared there, and at least "
            "`startup_trials`, with which every model begins; by default one more than there are "
            "parameters",
            ge=2,
        )
        random_share: float = knob(0.1, "share of the proposals drawn at random", ge=0, le=1)

    def propose(self, turn: Turn) -> Draw:
        # What somebody has enqueued is completed by the model.
        if not turn.fixed and turn.seed("random") < self.config.random_share * 2**32:
            return walk(self.sweep, independent(turn))
        return super().propose(turn)

    def seen(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        return self.looked_at.of(self.at_rungs.of(self.softened.of(trials)))

    @cached_property
    def at_rungs(self) -> AtRungs:
        from sweeper.search.at_rungs import AtRungs
        from sweeper.search.stopping_rule import StoppingRule

        enough = self.config.rung_trials or len(self.sweep.parameters) + 1
        # A model begins with so many trials, wherever it sees them.
        return AtRungs(StoppingRule.of(self.sweep), max(enough, self.config.startup_trials))
