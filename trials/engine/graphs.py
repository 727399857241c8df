"""Steps that a GPU repeats by itself: captured once as CUDA graphs, then replayed.

A small GAN's step is a thousand small kernels, and a GPU waits for the host to hand out each. A
graph hands out all of them at once::

    a step of a player
        is its pattern known?     player, looked at by the probe or not, and whatever the host chose
            no, or not often yet  play it as it is written, and note what the host works out
            yes, with no graph    capture it
            yes, with its graph   write numbers that have changed, replay, count what the host would

Patterns are few: a penalty that is due or not, weights that are averaged or not yet. The real batch
lies in a place of its own, into which each is copied. Where a part of the training says that its
step cannot be captured, or a capture fails, steps are played as they are written, and the run says
why.

How a device captures is a `Recorder`'s: `trials.engine.cuda_graphs`, and on a CPU the stand-in of
`sweeper.testing.tape`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from trials.devices import wait_for
from trials.engine.composed_game import ComposedGame
from trials.engine.cuda_graphs import CudaRecorder
from trials.engine.host import NotedHost, Place
from trials.game import Trial

WARM_UP = 2
"""Steps of a pattern that are played before it is captured: moments, sums and what libraries set up
are there afterwards, and stay where they are."""

MOST = 16
"""Graphs of one training, each with memory of its own for all that lies between its operations; and
patterns that are noted of one kind of step."""

Player = Literal["generator", "discriminator"]
Batch = tuple[Tensor, Tensor | None]


class Recorder(Protocol):
    """Captures steps on one device."""

    def working(self) -> AbstractContextManager[object]:
        """Inside, the device works where it can be captured."""

    def capture(self, take: Callable[[], None]) -> Callable[[], None]:
        """Take a step, and return what takes it again, with the same operations on the same memory.

        Raises:
            RuntimeError: it cannot be captured, and has not been taken.
        """


RECORDERS: dict[str, Callable[[ComposedGame], Recorder]] = {"cuda": CudaRecorder}
"""By type of device. On others every step is played as it is written."""


class Eager:
    """Every step is played as it is written."""

    def working(self) -> AbstractContextManager[object]:
        """Inside, steps are taken."""
        return nullcontext()

    def dealt(self, real: Batch) -> Batch:
        """The real batch where a step finds it."""
        return real

    def take(self, player: Player, probing: bool, step: Callable[[], None]) -> None:
        """Take a step of a player."""
        step()

    def forget(self) -> None:
        """Moments and sums may lie elsewhere from now on, as after a checkpoint was loaded."""


def stepper_of(trial: Trial, game: ComposedGame, tell: Callable[[str], object]) -> Eager:
    """How the steps of a training are taken: as the trial has it, as far as its parts allow it."""
    recorder = RECORDERS.get(game.device.type)
    if not trial.graphs or recorder is None:
        return Eager()
    if reasons := list(obstacles(trial, game)):
        tell(f"graphs: the GPU repeats no step by itself, because of {', '.join(reasons)}")
        return Eager()
    return Graphed(game, recorder(game), tell)


def obstacles(trial: Trial, game: ComposedGame) -> Iterator[str]:
    """The parts of a training whose steps cannot be captured, each with the reason."""
    for trick in game.hooks.tricks:
        if trick.not_capturable:
            yield f"{trick.key} ({trick.not_capturable})"
    for player, settings in trial.optimizer:
        optimizer, scaled = game.optimizers[player], player in game.arithmetic.scalers
        # torch's fused optimisers read rates and scales where they compute, the others on the host.
        fused = getattr(optimizer, "_step_supports_amp_scaling", False)
        if settings.part.not_capturable:
            yield f"the {player}'s {settings.name} ({settings.part.not_capturable})"
        elif settings.decay != "none" and not fused:
            yield f"the {player}'s {settings.name} (the host hands it a rate that falls)"
        elif scaled and not fused:
            yield f"the {player}'s {settings.name} (the host looks whether float16 overflowed)"


class Pattern:
    """Steps of one player that consist of the same operations."""

    def __init__(self, network: nn.Module, host: NotedHost) -> None:
        self.host = host
        self.plays = 1
        self.captured = False
        self._parameters = list(network.parameters())
        self._gradients: list[Tensor | None] = []
        self._replay: Callable[[], None]

    def keep(self, replay: Callable[[], None]) -> None:
        """From now on `replay` repeats these steps; it leaves gradients where they are now."""
        self._replay, self.captured = replay, True
        self._gradients = [parameter.grad for parameter in self._parameters]

    def repeat(self, device: torch.device) -> None:
        """Take another of these steps."""
        self.host.write(device)
        self._replay()
        # Whoever looks at gradients afterwards looks where this graph has left them.
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        self.host.counted()


class Graphed(Eager):
    """Steps are captured once and then repeated."""

    def __init__(
        self, game: ComposedGame, recorder: Recorder, tell: Callable[[str], object]
    ) -> None:
        self._game = game
        self._recorder: Recorder | None = recorder
        self._tell = tell
        self._real: Batch | None = None
        self._rates = self._falling_rates()
        self._patterns: dict[tuple[Player, bool], list[Pattern]] = {}
        self._told: set[str] = set()

    def _falling_rates(self) -> dict[str, Place]:
        """The rates that a graph reads, since they change from step to step."""
        device = self._game.device
        # torch's fused kernels read a float on a GPU, and on a CPU a double, as they are given one.
        dtype = torch.float32 if device.type == "cuda" else torch.float64
        return {
            player: Place(settings.lr, device, dtype)
            for player, settings in self._game.trial.optimizer
            if settings.decay != "none"
        }

    def working(self) -> AbstractContextManager[object]:
        return nullcontext() if self._recorder is None else self._recorder.working()

    def dealt(self, real: Batch) -> Batch:
        if self._real is None:
            images, labels = real
            self._real = torch.empty_like(images), _like(labels)
        for place, fresh in zip(self._real, real, strict=True):
            if place is not None and fresh is not None:
                place.copy_(fresh)
        return self._real

    def take(self, player: Player, probing: bool, step: Callable[[], None]) -> None:
        if self._recorder is None:
            step()
            return
        patterns = self._patterns.setdefault((player, probing), [])
        pattern = next((one for one in patterns if one.host.holds()), None)
        if pattern is None and len(patterns) < MOST:
            patterns.append(self._noted(player, step))
        elif pattern is None:
            step()
        elif pattern.captured:
            self._write_rates()
            pattern.repeat(self._game.device)
        elif pattern.plays >= WARM_UP and not pattern.host.imagines and self.graphs < MOST:
            self._capture(player, pattern, step)
        else:
            step()
            pattern.plays += 1

    def forget(self) -> None:
        wait_for(self._game.device)  # a graph that still runs needs its memory
        self._patterns = {}

    @property
    def graphs(self) -> int:
        """How many there are."""
        return sum(one.captured for patterns in self._patterns.values() for one in patterns)

    def _noted(self, player: Player, step: Callable[[], None]) -> Pattern:
        """Play a step as it is written, the first of its pattern."""
        host = NotedHost()
        with self._game.hosted_by(host):
            step()
        if host.imagines:
            self._tell_once(f"the {player}'s steps: what they imagine depends on what they count")
        return Pattern(getattr(self._game, player), host)

    def _capture(self, player: Player, pattern: Pattern, step: Callable[[], None]) -> None:
        assert self._recorder is not None
        self._write_rates()
        pattern.host.write(self._game.device)
        remembered = copy.deepcopy(self._game.hooks.state())
        try:
            with self._game.hosted_by(pattern.host), pattern.host.capturing(), self._rates_read():
                replay = self._recorder.capture(step)
        except RuntimeError as error:
            # The GPU has done nothing of the step, but what the host did of it is to be undone.
            self._game.hooks.load_state(remembered)
            self._game.arithmetic.abandon(player)
            self._give_up(player, error)
            step()
            return
        pattern.keep(replay)
        pattern.host.counted()

    def _give_up(self, player: Player, error: RuntimeError) -> None:
        """Play every step as it is written from here on."""
        self._recorder = None
        self.forget()
        # Where the end of a capture fails, what it failed of was raised before.
        why = str(error.__context__ or error).strip().partition("\n")[0]
        self._tell(
            f"graphs: from step {self._game.step + 1} on the GPU repeats no step by itself, because"
            f" the {player}'s could not be captured ({why})"
        )

    def _tell_once(self, which: str) -> None:
        if which not in self._told:
            self._told.add(which)
            self._tell(f"graphs: the GPU does not repeat {which}")

    def _write_rates(self) -> None:
        for player, place in self._rates.items():
            place.write(self._game.optimizers[player].param_groups[0]["lr"])

    @contextmanager
    def _rates_read(self) -> Iterator[None]:
        """Inside, rates that fall are tensors, which a captured step reads anew each time."""
        groups = [
            (group, group["lr"], place.tensor)
            for player, place in self._rates.items()
            for group in self._game.optimizers[player].param_groups
        ]
        try:
            for group, _, place in groups:
                group["lr"] = place
            yield
        finally:
            for group, rate, _ in groups:
                group["lr"] = rate


def _like(part: Tensor | None) -> Tensor | None:
    return None if part is None else torch.empty_like(part)
