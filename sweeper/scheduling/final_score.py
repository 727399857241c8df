"""The winner's final score: measured by a worker of its own, with the resources of a trial.

It is due once, when a search has ended, and follows from the ledger alone: a driver that was
killed before the ledger had it measures again, to the same numbers, since the noise is seeded.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib import import_module
from pathlib import Path
from queue import Empty, Queue
from typing import cast

import ray

from sweeper.bucket.copies import Copies
from sweeper.errors import BucketError
from sweeper.foreign_parts import unpack
from sweeper.home import SweepFolder
from sweeper.permissions import private
from sweeper.protocols import alike
from sweeper.scheduling.recording.events import Listener, PhaseChanged
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.workplace import cache_at, to_be_drawn_from
from sweeper.search.ledger import Ledger
from sweeper.search.unscored import in_words
from sweeper.standings.kept import scored_as, to_be_scored
from sweeper.sweepfile.model import Sweep
from sweeper.trial import FinalScore, Trial, trial_name
from sweeper.wording import changes_in_words
from trials.config import default_at
from trials.state.names import GENERATOR

LOOK_EVERY = 0.2
"""Seconds between two looks whether the score is there or the driver must end."""
TELL_EVERY = 5.0
"""Seconds between two words on how far it is."""

PATIENCE = 5.0
"""Seconds in which a bucket has to say what the winner has published there."""

Interrupted = Callable[[], bool]


class Scoring:
    """Scores the winner of one sweep. An ablation has none: its tables compare cells."""

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        ledger: Ledger,
        recorder: Recorder,
        cache: Path | None,
        tell: Listener,
        parts: bytes = b"",
        bucket: str = "",
    ) -> None:
        self._bucket = bucket
        self._parts = parts
        self._tell = tell
        self.message = ""
        self._sweep = sweep
        self._folder = folder
        self._ledger = ledger
        self._recorder = recorder
        self._cache = cache

    def due(self) -> list[int]:
        """Winners without a final score that have kept a generator. Where it is not known whether
        one has, it is told in `message`."""
        self.message = ""
        return [
            record.number
            for record in to_be_scored(self._ledger.standings())
            if self._has_generator(record.number)
        ]

    def unscored(self) -> str:
        """That winners have no final score yet, in words; empty where none is due."""
        return in_words(self.due())

    def _has_generator(self, number: int) -> bool:
        if not self._bucket:
            return (self._folder.trial(number) / GENERATOR).exists()
        try:  # what has come here of it may be an earlier commit, or nothing yet
            return GENERATOR in Copies(self._folder, self._bucket, PATIENCE).published(number)
        except BucketError as error:
            self.message = _without(number, f"{error}; run the sweep again to measure it")
            return False

    def run(self, interrupted: Interrupted) -> None:
        """Score the winners that are due. What goes wrong is told in `message`: the sweep
        is over and has its results, and running it again tries once more. MLflow is given the
        winner's model meanwhile, which takes as long."""
        best = self._ledger.standings().best
        if best is not None and self._sweep.keep.generators != "none":
            self._recorder.winner_is(best.trial)
        for number in self.due():
            if interrupted():
                return
            try:
                score = self._measured(number, interrupted)
            except ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None) or error
                self.message = _without(number, cause)
                continue
            if score is None:
                continue
            trial = self._ledger.trial(number)
            if changes := _changes(trial, score):
                self.message = _without(number, changes)
            else:
                self._ledger.scored(number, score)
                self._recorder.scored(self._ledger.trial(number))

    def _measured(self, number: int, interrupted: Interrupted) -> FinalScore | None:
        resources = self._sweep.resources
        # An actor, for the head says whose those are, and not so of tasks (`inventory`).
        has = {"num_cpus": resources.whole.cpu, "num_gpus": resources.whole.gpu}
        scorer = ray.remote(_Scorer).options(**has, max_restarts=1, max_task_retries=1).remote()
        folder = str(self._folder.trial(number))
        given = (folder, str(self._cache or ""), resources.threads, self._parts, self._bucket)
        measuring = scorer.measure.remote(*given)
        # While its process starts: Matplotlib takes a second, for which nothing else need wait.
        import_module("sweeper.scheduling.recording.conclusion")
        next_word = 0.0
        try:
            while not interrupted():
                if not ray.wait([measuring], timeout=LOOK_EVERY)[0]:
                    continue
                far, score = ray.get(next(measuring))
                if score is not None:
                    next(measuring, None)  # to its end: Ray calls one that is killed failed
                    return cast("FinalScore", score)
                if (here := time.monotonic()) >= next_word:
                    next_word = here + TELL_EVERY
                    said = self._progress(number, far)
                    self._tell(PhaseChanged("finishing", said, time.time()))
            return None
        finally:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(scorer)

    @cached_property
    def _samples(self) -> int:
        """Images that a final score is measured on."""
        return int(default_at(self._sweep.base, "evaluation.final_samples"))

    def _progress(self, number: int, far: str) -> str:
        said = far or f"{self._samples:,} images"
        what = scored_as(self._ledger.standings(), number)
        return f"measuring {what}, trial {trial_name(number)}, on fresh noise: {said}"


def _without(number: int, why: object) -> str:
    return f"trial {number:05d} has no final score: {why}"


def _changes(trial: Trial, score: FinalScore) -> str:
    """What keeps a score from standing beside its trial's values; more images make no difference
    that its name does not tell."""
    before = trial.protocol
    counted = {**score.protocol, "fake_count": before.get("fake_count", "")}
    return "" if alike(before, counted) else changes_in_words(before, counted)


class _Scorer:
    def measure(
        self, folder: str, cache: str, threads: int, parts: bytes, bucket: str
    ) -> Iterator[tuple[str, FinalScore | None]]:
        """How far it is by now, over and over, and at last the score."""
        import torch

        from trials.evaluation.final_score import final_score

        torch.set_num_threads(threads)
        unpack(parts)
        told: Queue[str] = Queue()
        yield "", None
        # Ray may have started this process with another umask.
        shared = cache_at(cache)
        with (
            private(shared.parent),
            to_be_drawn_from(Path(folder), bucket) as place,
            ThreadPoolExecutor(1) as pool,
        ):
            scored = pool.submit(final_score, place, cache=shared, tell=told.put)
            while not scored.done():
                with contextlib.suppress(Empty):
                    yield told.get(timeout=LOOK_EVERY), None
            yield "", scored.result()
