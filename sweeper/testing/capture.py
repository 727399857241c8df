"""A stand-in for the capture of a CUDA graph, on any device: what a replay would not repeat.

A capture takes down the operations of one step, with the addresses of their tensors and the numbers
that stand beside them; a replay does these again, and runs no Python. So a step may be captured if

    it reads nothing on the host, and makes no tensor of what the host has
    it does the same operations each time, on the same shapes, beside the same numbers, but for what
        goes through `game.host`
    it draws from the streams that a graph is told of: the game's, and torch's own
    what it remembers stays where it is in memory, for that is where a replay writes
    what the host remembers it counts through `game.host` too

`refusals` plays a few rounds and says, in sentences, where one of these does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sweeper.testing.host_reads import HostReads
from trials.engine.host import NotedHost
from trials.engine.loop import Loop

WARM_UP = 2
"""Rounds before any is looked at: moments, caches and sums are there afterwards."""

PATTERNS = 8
"""Rounds until one has been played that the host decided as it decides the next."""


def refusals(loop: Loop) -> list[str]:
    """Why the next rounds of a loop could not be captured once and replayed; none where they could.

    The batch is fixed, as a graph is given one in a place of its own, and no round is looked at by
    the probe: those are another graph.
    """
    game = loop.game
    batch = game.real_batch()
    game.real_batch = lambda: batch  # type: ignore[method-assign]
    noted: list[NotedHost] = []
    while (host := _alike(noted)) is None:
        if len(noted) == PATTERNS:
            return [f"the host decides otherwise in each of {PATTERNS} rounds"]
        noted.append(NotedHost())
        with game.hosted_by(noted[-1]):
            _play(loop)
    host.write(game.device)
    streams = (game.streams.noise, game.streams.augmentation, torch.default_generator)
    known = {stream.initial_seed() for stream in streams}
    before = dict(_memory(game.hooks.state()))
    with HostReads() as reads:
        rounds = []
        for _ in range(2):
            with game.hosted_by(host), host.capturing(), _Operations(known) as seen:
                _play(loop)
            rounds.append(seen)
    told = [*reads.places, *rounds[0].strange, *_unlike(rounds[0].done, rounds[1].done)]
    told += _moved(before, dict(_memory(game.hooks.state())))
    return list(dict.fromkeys(told))


def _alike(noted: list[NotedHost]) -> NotedHost | None:
    """A round in which the host decided as it would now."""
    return next((host for host in noted if host.holds()), None) if len(noted) >= WARM_UP else None


def _play(loop: Loop) -> None:
    loop.game.steps()
    loop.discriminator_step(probing=False)
    loop.generator_step(probing=False)
    loop.game.step += 1


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation, with shapes and numbers, and every stream that is none of `known`."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.done: list[str] = []
        self.strange: list[str] = []
        self._known = known

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.namespace != "profiler":
            given = [*args, *(kwargs or {}).values()]
            self.done.append(f"{func}({', '.join(map(self._told, given))})")
        return func(*args, **(kwargs or {}))

    def _told(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return f"{value.dtype}{list(value.shape)}".removeprefix("torch.")
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self._told, value))}]"
        if isinstance(value, torch.Generator):
            if value.initial_seed() not in self._known:  # each has a seed of its own
                self.strange.append("draws from a stream that is none of the game's")
            return "a stream"
        return repr(value)


def _unlike(first: list[str], second: list[str]) -> Iterator[str]:
    """The first operation in which two rounds differ."""
    for one, other in zip(first, second, strict=False):
        if one != other:
            yield f"does {one} in one round and {other} in the next"
            return
    if len(first) != len(second):
        yield f"does {len(first)} operations in one round and {len(second)} in the next"


def _memory(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What is remembered by its path: where a tensor lies and its shape, or a plain value."""
    if isinstance(value, Tensor):
        yield path, (value.data_ptr(), tuple(value.shape))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _memory(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        yield f"{path}.length", len(value)
        for index, inner in enumerate(value):
            yield from _memory(inner, f"{path}.{index}")
    else:
        yield path, value


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for path in dict.fromkeys([*before, *after]):
        then, now = before.get(path), after.get(path)
        if then == now:
            continue
        if isinstance(now, tuple):
            yield f"remembers {path} in another place after each round"
        else:
            yield f"remembers {path} on the host: {then}, then {now}"
