"""How something falls over a training: a learning rate, or the noise that a trick adds."""

from __future__ import annotations

from abc import ABC, abstractmethod

from trials.part import Part


class Decay(Part, ABC):
    """A way to fall from 1, in one formula. It has no knobs of its own."""

    kind = "decay"
    folders = ("trials.optimization.decays",)

    @staticmethod
    @abstractmethod
    def factor(progress: float, floor: float) -> float:
        """What is left when `progress` in [0, 1] is done: 1 at first, `floor` at the end."""
