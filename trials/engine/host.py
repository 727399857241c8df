"""What the host works out in a step, for steps that a graph repeats without it.

`trials.game.Host` is what a trick sees. In a step that is played as it is written each of its
methods is a plain call. While a step is noted (`NotedHost`) they are remembered too, so that the
graph of the step can be told apart from others, given its numbers and followed by what the host
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from trials.game import Made


class PlainHost:
    """Everything is asked and done at once."""

    def number(self, ask: Callable[[], float]) -> float | Tensor:
        """What `ask` gives, a number that changes."""
        return ask()

    def choice(self, ask: Callable[[], Made]) -> Made:
        """What `ask` gives, on which it depends what is done."""
        return ask()

    def count(self, do: Callable[[], object]) -> None:
        """Do something in each step."""
        do()

    @contextmanager
    def imagining(self) -> Iterator[None]:
        """Inside, a step is imagined, and what it counts is forgotten afterwards."""
        yield


class Place:
    """A scalar on the device into which the host writes a number where it has changed."""

    def __init__(self, value: float, device: torch.device, dtype: torch.dtype) -> None:
        self.tensor = torch.full((), value, device=device, dtype=dtype)
        self._value = value

    def write(self, value: float) -> None:
        """Let the scalar be `value` for whatever the device does next."""
        if value != self._value:
            self.tensor.fill_(value)
            self._value = value


class NotedHost(PlainHost):
    """Everything is asked and done at once, and remembered in order.

    While a graph is captured (`capturing`), numbers are the places that they are written into, and
    what is counted waits until the graph has been repeated (`counted`).
    """

    def __init__(self) -> None:
        self.imagines = False
        """Whether something was asked after an imagined step had counted: only who imagines it
        again can ask again."""
        self._numbers: list[Callable[[], float]] = []
        self._choices: list[tuple[Callable[[], Any], Any]] = []
        self._counts: list[Callable[[], object]] = []
        self._places: list[Place] = []
        self._given: Iterator[Place] | None = None
        self._imagining = self._counted = False

    def number(self, ask: Callable[[], float]) -> float | Tensor:
        if self._given is not None:
            if (place := next(self._given, None)) is None:
                raise RuntimeError("it asks for more numbers than it did before")
            return place.tensor
        self._numbers.append(ask)
        self.imagines |= self._counted
        return ask()

    def choice(self, ask: Callable[[], Made]) -> Made:
        answer = ask()
        if self._given is None:
            self._choices.append((ask, answer))
            self.imagines |= self._counted
        return answer

    def count(self, do: Callable[[], object]) -> None:
        if self._imagining:
            self._counted = True
            do()
        elif self._given is None:
            self._counts.append(do)
            do()

    @contextmanager
    def imagining(self) -> Iterator[None]:
        self._imagining = True
        try:
            yield
        finally:
            self._imagining = self._counted = False

    def holds(self) -> bool:
        """Whether the host would choose again as it did."""
        return all(ask() == answer for ask, answer in self._choices)

    def write(self, device: torch.device) -> None:
        """Put every number, as it is now, into its place."""
        if not self._places:
            self._places = [Place(ask(), device, torch.float32) for ask in self._numbers]
        for place, ask in zip(self._places, self._numbers, strict=True):
            place.write(ask())

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Inside, the step is captured. It asks for the same numbers in the same order."""
        self._given = iter(self._places)
        try:
            yield
        finally:
            self._given = None

    def counted(self) -> None:
        """Count what a step counts, after a graph has repeated it."""
        for do in self._counts:
            do()
