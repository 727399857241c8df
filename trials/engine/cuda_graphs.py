"""Capturing a step as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from trials.engine.composed_game import ComposedGame


class CudaRecorder:
    """Captures the steps of one game on its GPU, on a stream of its own: the default one cannot be
    captured."""

    def __init__(self, game: ComposedGame) -> None:
        self._game = game
        self._stream = torch.cuda.Stream(game.device)  # type: ignore[no-untyped-call]

    @contextmanager
    def working(self) -> Iterator[None]:
        """Inside, the GPU works on the stream that can be captured."""
        outside = torch.cuda.current_stream(self._game.device)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            yield
        outside.wait_stream(self._stream)

    def capture(self, take: Callable[[], None]) -> Callable[[], None]:
        """Take a step, and return what takes it again as a graph.

        Raises:
            RuntimeError: CUDA does not capture it; the GPU has done nothing of it.
        """
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        for generator in (self._game.streams.noise, self._game.streams.augmentation):
            graph.register_generator_state(generator)  # torch's own is known to every graph
        try:
            # A thread that gathers the next batch may pin memory meanwhile.
            with (
                _told_of_graphs(self._game.optimizers.values()),
                torch.cuda.graph(
                    graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"
                ),
            ):
                take()
        except RuntimeError:
            # A stream may still take itself for captured: give it the same state in a fresh form.
            streams = (self._game.streams.noise, self._game.streams.augmentation)
            for generator in (*streams, torch.cuda.default_generators[torch.cuda.current_device()]):
                generator.graphsafe_set_state(generator.clone_state())
            _abandon(graph, pool)
            raise
        replay: Callable[[], None] = graph.replay
        replay()  # what is captured has not been done
        return replay


_REFUSED: list[torch.cuda.CUDAGraph] = []
"""Graphs that were not captured. The allocator of pinned memory may go on asking them which stream
is theirs, so that they must not be freed."""


def _abandon(graph: torch.cuda.CUDAGraph, pool: Any) -> None:
    """End what a capture that was refused has left open: torch's allocator would take every later
    step for captured, free nothing where memory is short, and refuse to empty its cache."""
    _REFUSED.append(graph)
    with suppress(RuntimeError):  # it was ended, where a part and not CUDA raised
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        torch._C._cuda_releasePool(torch.cuda.current_device(), pool)


@contextmanager
def _told_of_graphs(optimizers: Iterable[torch.optim.Optimizer]) -> Iterator[None]:
    """Inside, torch's optimisers that want to know of a capture do, and count their steps on the
    GPU: on the host no graph would count them."""
    groups = []
    for optimizer in optimizers:
        groups += [group for group in optimizer.param_groups if "capturable" in group]
        for weight, state in optimizer.state.items():
            if "step" in state:
                state["step"] = state["step"].to(weight.device)
    before = [group["capturable"] for group in groups]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group, was in zip(groups, before, strict=True):
            group["capturable"] = was
