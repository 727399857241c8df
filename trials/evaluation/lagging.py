"""The verdict of an evaluation beside the next training steps: `evaluation.lag: 1`.

    at a step        the training is saved; its generator is sampled; the measures begin
    the next steps   are trained beside them
    the evaluation   is concluded and told when the next one is due

The numbers are those of `lag: 0`. A checkpoint does not hold the verdict on its own step, but that
it is due, and what the loop had gathered for it: whoever goes on from there samples the same
generator with the same noise once more, to the same verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

import torch

from trials.engine.loop import Loop
from trials.evaluation.monitor import Monitor, Sight
from trials.evaluation.results import Evaluation
from trials.metrics.evaluator import Measured

Result = TypeVar("Result")


class BackgroundStream:
    """Work on tensors beside that of the caller: in one thread, and on a GPU in a stream of its
    own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        on_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if on_gpu else None  # type: ignore[no-untyped-call]
        # As many threads for one operation as here: how a sum is split decides its last bits.
        threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(
            1, "evaluation", initializer=torch.set_num_threads, initargs=(threads,)
        )

    def begin(self, work: Callable[[], Result]) -> Future[Result]:
        """Do `work` once the device has done what it was given before."""
        work = partial(copy_context().run, work)  # a thread of its own would know other parts
        if self._stream is None:
            return self._pool.submit(work)
        given = torch.cuda.current_stream(self._device).record_event()
        return self._pool.submit(self._in_stream, self._stream, given, work)

    @staticmethod
    def _in_stream(
        stream: torch.cuda.Stream, given: torch.cuda.Event, work: Callable[[], Result]
    ) -> Result:
        with torch.cuda.stream(stream):
            stream.wait_event(given)
            result = work()
            stream.synchronize()  # what it has read may be freed by the other stream
            return result


class Lagging:
    """The one evaluation of a training whose verdict is due."""

    def __init__(self, monitor: Monitor, loop: Loop) -> None:
        self._monitor = monitor
        self._loop = loop
        self._background = BackgroundStream(monitor.game.device)
        self._gathered: dict[str, float] | None = None
        self._measuring: tuple[Sight, Future[Measured | None]] | None = None

    @property
    def step(self) -> int | None:
        """The step of what is being measured; None where nothing is."""
        return None if self._measuring is None else self._measuring[0].step

    def gather(self) -> None:
        """An evaluation is due at this step: what the loop has gathered for it."""
        self._gathered = self._monitor.gather(self._loop)

    def begin(self) -> None:
        """Sample the generator for what is due, if anything is, and measure that beside what is
        done next."""
        if self._gathered is not None:
            self._measuring = self._begun(self._gathered)

    def _begun(self, gathered: dict[str, float]) -> tuple[Sight, Future[Measured | None]]:
        monitor = self._monitor
        samples = monitor.sample() if self._loop.probe.healthy else None
        sight = Sight(monitor.game.step, gathered, samples)
        return sight, self._background.begin(lambda: monitor.judge(sight))

    def conclude(self, history: Sequence[Evaluation]) -> Evaluation | None:
        """The evaluation that was due, once its measures are known; None where none was."""
        if self._measuring is None:
            return None
        sight, measured = self._measuring
        evaluation = self._monitor.conclude(sight, measured.result(), history)
        self._gathered, self._measuring = None, None
        return evaluation

    def at_once(self, history: Sequence[Evaluation]) -> Evaluation:
        """The evaluation of this step, made where the others are, and waited for."""
        sight, measuring = self._begun(self._monitor.gather(self._loop))
        return self._monitor.conclude(sight, measuring.result(), history)

    def abandon(self) -> None:
        """Wait until nothing is being measured; nobody asks what came of it."""
        if self._measuring is not None:
            wait([self._measuring[1]])

    def state(self) -> dict[str, Any]:
        """What cannot be looked at again."""
        return {"due": self._gathered}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave; `begin` goes on with it."""
        self._gathered, self._measuring = state.get("due"), None
