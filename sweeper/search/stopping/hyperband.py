"""Hyperband: successive halving in brackets that start at ever later rungs.

Li et al. 2018, Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, arXiv
1603.06560. As in Optuna's pruner, and unlike the paper, rungs grow from the grace, r·η^k, and do
not go down from the whole training, R·η^−s: the two are the same where R is r·η^k. Elsewhere the
most patient bracket stops trials too, at its one rung before the end.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sweeper.search.halving import Halving
from sweeper.search.stopping_rule import Curve, GraceConfig, StoppingRule
from trials.part import knob


@dataclass(frozen=True)
class Brackets:
    """Brackets of successive halving for trainings of `steps` steps at most.

    The trials are dealt to the brackets by a hash of the sweep's name and their number.
    """

    name: str
    grace: int
    factor: int
    steps: int
    maximize: bool

    def __call__(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        """Why trial `number` is stopped at its last step; None to let it go on."""
        bracket = self.bracket(number)
        rivals = {other: curve for other, curve in curves.items() if self.bracket(other) == bracket}
        reason = Halving(self.grace, self.factor, self.maximize, rate=bracket)(number, rivals)
        return None if reason is None else f"{reason} of bracket {bracket}"

    def bracket(self, number: int) -> int:
        """The bracket of a trial, from 0 (stops early and often)."""
        # s_max = floor(log_factor(R / r)), the equation over Algorithm 1 of the Hyperband paper, in
        # whole numbers: log₁₀ 1000 is 2.999… in floating point.
        highest = 0
        while self.grace * self.factor ** (highest + 1) <= self.steps:
            highest += 1
        shares = [
            math.ceil((highest + 1) * self.factor ** (highest - rate) / (highest - rate + 1))
            for rate in range(highest + 1)
        ]
        place = zlib.crc32(f"{self.name}_{number}".encode()) % sum(shares)
        for rate, share in enumerate(shares):
            place -= share
            if place < 0:
                return rate
        return highest


class Hyperband(StoppingRule):
    """Halves within brackets, so that a slow starter is judged later in a patient one."""

    key = "hyperband"
    summary = "successive halving in several brackets"

    has_rungs = True

    class Config(GraceConfig):
        reduction_factor: int = knob(
            3, "of this many trials one goes on at each rung", ge=2, le=100
        )

    @cached_property
    def _brackets(self) -> Brackets:
        from trials.config import default_at  # imports torch

        grace = self.config.grace_steps
        steps = max(int(default_at(self.sweep.base, "steps")), grace)
        factor = self.config.reduction_factor
        return Brackets(self.sweep.name, grace, factor, steps, self.maximize)

    def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        return self._brackets(number, curves)

    def rungs(self, last: int) -> Iterable[int]:
        """Those of the bracket that begins first; the others' are among them."""
        brackets = self._brackets
        return Halving(brackets.grace, brackets.factor, brackets.maximize).rungs(last)
