"""A stand-in for CUDA graphs on a CPU: a step's operations on a tape, which is played again.

While a step is taken, every operation is taken down with its tensors and the numbers beside them.
`replay` does these again, on the same memory and beside the same numbers, and runs no Python of the
step: what a step reads of Python stays what it was, as it does in a CUDA graph. What a graph would
refuse is refused: numbers that are read on the host, and streams that it was not told of.

    with on_tape():
        training.run_to(100)        # of a trial whose `graphs` are on
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from trials.engine import graphs
from trials.engine.composed_game import ComposedGame

HOST_READS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)


class TapeRecorder:
    """Captures the steps of one game on a CPU."""

    def __init__(self, game: ComposedGame) -> None:
        self._streams = game.streams

    def working(self) -> AbstractContextManager[object]:
        """Inside, steps are taken."""
        return nullcontext()

    def capture(self, take: Callable[[], None]) -> Callable[[], None]:
        """Take a step, and return what takes it again.

        Raises:
            RuntimeError: no graph could take it again. Some of it has been done.
        """
        return taken_down(take, (self._streams.noise, self._streams.augmentation))


@contextmanager
def on_tape(recorder: type[TapeRecorder] = TapeRecorder) -> Iterator[None]:
    """Inside, steps of trainings on a CPU are captured too, on tapes."""
    with mock.patch.dict(graphs.RECORDERS, {"cpu": recorder}):
        yield


def taken_down(
    take: Callable[[], object], streams: Iterable[torch.Generator] = ()
) -> Callable[[], None]:
    """Do something that draws from torch's own stream and these, and return what does it again.

    Raises:
        RuntimeError: no graph could do it again.
    """
    tape = _Tape((*streams, torch.default_generator))
    with tape:
        take()
    return tape.replay


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes down what is done inside, and does it again."""

    def __init__(self, streams: Iterable[torch.Generator]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seeds = {stream.initial_seed() for stream in streams}
        self._done: list[tuple[Any, tuple[Any, ...], Mapping[str, Any], list[Tensor | None]]] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in HOST_READS:
            raise RuntimeError("operation not permitted when stream is capturing")
        for given in (*args, *kwargs.values()):
            # Each stream has a seed of its own.
            if isinstance(given, torch.Generator) and given.initial_seed() not in self._seeds:
                raise RuntimeError("a generator that is not registered draws while capturing")
        shapes_alone = func.namespace == "profiler" or torch.Tag.inplace_view in func.tags
        # As they are now: a tensor may be given another shape later.
        seen = tree_map(_again, (args, kwargs))
        made = func(*args, **kwargs)
        if not shapes_alone:
            self._done.append((func, *seen, _fresh(made, seen)))
        return made

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, places in self._done:
                made = func(*args, **kwargs)
                for place, value in zip(places, tree_leaves(made), strict=True):
                    if place is not None:
                        place.copy_(value)


def _fresh(made: Any, given: Any) -> list[Tensor | None]:
    """Of what an operation has made, the tensors that lie in none of those it was given."""
    there = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(given) if _has_memory(leaf)}
    return [
        _again(leaf)
        if _has_memory(leaf) and leaf.untyped_storage().data_ptr() not in there
        else None
        for leaf in tree_leaves(made)
    ]


def _again(leaf: Any) -> Any:
    """The same memory in the same shape, as a tensor of its own; anything else as it is."""
    return torch.ops.aten.alias.default(leaf) if _has_memory(leaf) else leaf


def _has_memory(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and not leaf._is_zerotensor()
