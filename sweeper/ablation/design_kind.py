"""How the factors of an ablation are arranged into cells: the base of every design.

Nothing here imports NumPy, so that a sweep file can be read without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sweeper.ablation.design import Design, Factor, Feasible
from sweeper.parts import DesignConfig, Fault
from trials.part import Part


class DesignKind(Part, ABC):
    """Arranges factors into cells. Subclass it in a file of `designs/`."""

    kind = "ablation design"
    folders = ("sweeper.ablation.designs",)
    Config = DesignConfig

    factorial: ClassVar[bool] = False
    """Whether effects of factors are estimated from all cells together; otherwise each cell is
    compared with a reference."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def check(cls, config: Any) -> Iterable[Fault]:
        """What is wrong with these settings together."""
        return ()

    @abstractmethod
    def arrange(self, factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
        """The cells, different ones, the same for the same factors.

        A cell sets factors to levels of theirs; those to which `feasible` objects stay among the
        cells, marked with its reason. The reference is the label of one of them, None where the
        design is `factorial`.

        Raises:
            DesignError: these factors cannot be arranged so.
        """

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Settings of a small example, for the conformance suite: those without which the design
        cannot be."""
        return {}
