"""How something falls over a training: a learning rate, or the noise that a trick adds."""

from __future__ import annotations

from abc import ABC, abstractmethod

from trials.part import Part

ROUNDING = 1e-12
"""How far a formula may miss its bounds by the rounding of floats."""

NEARLY_NOTHING = 1e-2
"""The most that may be left at an end of 0, for a formula that never gets there."""


class Decay(Part, ABC):
    """A way to fall from 1, in one formula. It has no knobs of its own."""

    kind = "decay"
    folders = ("trials.optimization.decays",)

    @classmethod
    def left(cls, progress: float, floor: float) -> float:
        """`factor`, held to what it promises.

        Raises:
            ValueError: it lies outside [`floor`, 1].
        """
        factor = cls.factor(progress, floor)
        if not isinstance(factor, float | int) or not floor - ROUNDING <= factor <= 1 + ROUNDING:
            told = f"the decay '{cls.key}' leaves {factor!r} at a progress of {progress:.4g}"
            raise ValueError(f"{told} (expected a number from {floor} to 1)")
        return factor

    @staticmethod
    @abstractmethod
    def factor(progress: float, floor: float) -> float:
        """What is left when `progress` in [0, 1] is done: 1 at first, `floor` in [0, 1] at the end.

        In between it stays between the two. A formula that never gets to 0 ends below
        `NEARLY_NOTHING` where `floor` is 0.
        """
