"""The worker: one Ray actor that trains one trial after another.

Tune calls `train` once an evaluation, and `reset_config` between trials. The training saves itself
in the sweep's folder, or in a scratch folder that is published (`workplace`); Tune keeps no
checkpoint. A worker that takes a trial up first repeats the evaluations which the checkpoint has
and the ledger lacks (the driver died in between), then goes on. Nothing that a training raises
leaves this class: it becomes part of the report, and the worker is free for the next trial.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import psutil
import ray
from ray import tune
from ray.util.placement_group import NODE_ID_LABEL_KEY

from sweeper.causes import BUCKET_AWAY, DEVICE_FAULT, OUT_OF_MEMORY
from sweeper.errors import BucketError
from sweeper.foreign_parts import unpack
from sweeper.permissions import PRIVATE, umask_of
from sweeper.protocols import alike
from sweeper.provenance.attempts import attempt_at, note_attempt
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.machines.watching import marker
from sweeper.scheduling.working.attempts import LOG, is_over, taken_up
from sweeper.scheduling.working.departure import Departure
from sweeper.scheduling.working.failures import NOT_SHARED, explain
from sweeper.scheduling.working.kept_checkpoints import begin, keep
from sweeper.scheduling.working.machine_checks import Mark, require_gpu
from sweeper.scheduling.working.messages import PROBE, REHEARSAL, Changed, Failure, Report, Work
from sweeper.scheduling.working.probing import probe
from sweeper.scheduling.working.silence import ended_when_silent, longest_silence
from sweeper.scheduling.working.workplace import Workplace, cache_at, workplace_for
from sweeper.sharing.gauges import Gauge
from sweeper.sharing.mps import under_mps
from sweeper.trial import Evaluation, Symptom
from trials.errors import ConfigError, Preempted, StaleCheckpointError, TakenOver
from trials.origins import raised_by_another

REPORT = "sweeper"
"""Key of the report in Tune's result."""

NEEDS = "needs"
"""Key of what a trial is given, in its config for Tune."""

GROWTH_TO_COLLECT = 64 << 20
GROWTH_TO_RETIRE = 1 << 30
"""Bytes that a worker may have grown since its first trial before it collects its garbage, and,
if that did not help, before it makes way for a new process (ray#32698)."""


class Training(Protocol):
    """What the worker asks of a training; `trials.trainer.Training` is one."""

    should_stop: Callable[[], bool]

    @property
    def history(self) -> Sequence[Evaluation]: ...

    @property
    def finished(self) -> bool: ...

    @property
    def stopped_by(self) -> Symptom | None: ...

    @property
    def notes(self) -> list[str]: ...

    @property
    def protocol(self) -> Mapping[str, str]: ...

    def advance(self) -> Evaluation: ...

    def restore(self) -> bool: ...

    def forget(self) -> None: ...

    def rehearse(self, steps: int = 1, left: int | None = None) -> bool: ...

    def evaluate(self) -> object: ...

    def abandon(self) -> None: ...


Factory = Callable[[Mapping[str, Any], Path, Path], Training]
"""(raw trial config, the trial's folder, folder of shared caches) → a training."""


def build_training(
    config: Mapping[str, Any], folder: Path, cache: Path, part: float = 1.0
) -> Training:
    """The real thing, which may have a `part` of its GPU."""
    from trials.config import load_config
    from trials.trainer import Training as GanTraining

    return GanTraining(load_config(config), folder, cache=cache, part=part)


class Worker(tune.Trainable):  # type: ignore[misc]
    """Runs the trials that the driver hands to one actor."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        needs = config[NEEDS]
        memory = {"memory": needs["memory"]} if needs["memory"] else {}
        given = [{"CPU": needs["cpu"], "GPU": needs["gpu"], **memory}]
        if not needs["avoid"]:
            return tune.PlacementGroupFactory(given)
        elsewhere = {NODE_ID_LABEL_KEY: f"!in({','.join(needs['avoid'])})"}
        return tune.PlacementGroupFactory(given, bundle_label_selector=[elsewhere])

    def setup(
        self,
        config: dict[str, Any],
        factory: Factory = build_training,
        cache: str = "",
        mark: Mark | None = None,
        threads: int = 1,
        part: float = 1.0,
        parts: bytes = b"",
        run: str = "",
        leaving: str = "",
        gauge: Gauge | None = None,
        mps: bool = False,
    ) -> None:
        # Ray may have started this process with the umask of another home, or of none.
        os.umask(umask_of(Path(cache).parent) if cache else PRIVATE)
        self._entered = contextlib.ExitStack()
        if mps:  # before anything begins to use the GPU
            self._entered.enter_context(under_mps())
        unpack(parts)
        self._factory = factory
        self._part = part
        self._gauge = gauge
        self._cache = cache_at(cache)
        self._mark = mark
        self._run = run
        node = ray.get_runtime_context().get_node_id()
        self._departure = Departure(marker(leaving, node) if leaving else None)
        self._departure.listen()
        self._training: Training | None = None
        self._own = False
        self._place: Workplace | None = None
        self._longest = 0.0
        self._first_size = 0
        self._last_size = 0
        self._retire = False
        if "torch" in sys.modules or factory is build_training:
            import torch

            torch.set_num_threads(threads)
        self._receive(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._training is not None:
            self._training.abandon()  # what it still does would be the next trial's time and memory
        self._leave()  # before its memory is measured
        if self._retire or self._departure() or self._is_bloated():
            # Tune cannot replace a worker; one that dies here is replaced by the driver, which
            # has not counted the trial as started yet.
            ray.actor.exit_actor()
        self._receive(new_config)
        return True

    def step(self) -> dict[str, Any]:
        mark = self._mark if self._training is None else None
        if mark is not None and (fault := mark.fault(platform.node())):
            failure = Failure(NOT_SHARED, fault)
            return {REPORT: Report(finished=True, failure=failure).text()}
        try:
            here = _here()
            place = self._place = self._place or workplace_for(self._work, here)
            patience = self._work.patience or longest_silence(self._longest)
            with (
                taken_up(place.room, here),
                _logged(place.room / LOG) as log,
                ended_when_silent(patience, place.room, log, place.say),
                self._departure.heeded(),
            ):
                began = time.monotonic()
                report = self._advance(place)
                self._longest = max(self._longest, time.monotonic() - began)
            place.publish()
        except Exception as error:
            report = Report(finished=True, failure=self._failed(error))
        except SystemExit as error:  # a part's own; ours, and Ray's, end the process
            if self._departure.ends_process or raised_by_another(error) is None:
                raise
            report = Report(finished=True, failure=self._failed(error))
        return {REPORT: report.text()}

    def _failed(self, error: BaseException) -> Failure:
        place = self._place
        if isinstance(error, TakenOver) or (place is not None and is_over(place.room)):
            ray.actor.exit_actor()  # whoever goes on with it has the folder now
        failure = explain(error, place.folder if place else Path(self._work.folder))
        broken = (OUT_OF_MEMORY, DEVICE_FAULT)
        self._retire = failure.cause in broken or "CUDA" in failure.reason
        if place is not None and failure.cause != BUCKET_AWAY:
            with contextlib.suppress(BucketError, TakenOver, OSError):
                place.publish()  # its log tells more
        return failure

    def cleanup(self) -> None:
        self._leave()
        self._entered.close()

    def _leave(self) -> None:
        self._training = None
        if self._place is not None:
            self._place.leave()
            self._place = None

    def get_auto_filled_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        filled: dict[str, Any] = super().get_auto_filled_metrics(*args, **kwargs)
        filled.pop("config", None)  # the driver made it; sent back at every step it is a burden
        return filled

    def _receive(self, config: Mapping[str, Any]) -> None:
        self._work = Work.read(config["work"])

    def _advance(self, place: Workplace) -> Report:
        training, folder = self._training, place.folder
        if self._work.number == REHEARSAL:
            return self._rehearse(folder)
        if reason := self._departure.reason:
            return Report(left=reason)
        if training is None:
            if self._gauge is not None:
                self._gauge.start()
            training = self._begun(folder)
            if self._work.number <= PROBE and self._gauge is not None:
                took = probe(training, self._gauge, self._work.given)
                return Report(finished=True, taken=took)
            if not alike(training.protocol, self._work.protocol):
                return Report(changed=Changed(training.protocol))
            try:
                began = begin(training, folder, replace(self._work, take_over=place.take_over))
            except StaleCheckpointError as error:
                return Report(changed=Changed(training.protocol, str(error)))
            training.should_stop = self._departure
            for note in training.notes:
                print(note)
            self._training, self._own = training, began.own
            self._note(training, folder, began.donor)
            fresh = [
                evaluation
                for evaluation in training.history
                if evaluation.step not in self._work.recorded
            ]
            if fresh or training.finished or self._work.undecided:
                return self._report(training, fresh)
        try:
            evaluation = training.advance()
        except Preempted:
            return Report(left=self._departure.reason)
        keep(training, folder, self._work)
        return self._report(training, [evaluation])

    def _note(self, training: Training, folder: Path, taken: str) -> None:
        """Write down what the trial is made of from here on, on the machine that makes it."""
        step = training.history[-1].step if training.history else 0
        attempt = attempt_at(
            self._work.config, run=self._run, step=step, donor=taken, protocol=training.protocol
        )
        note_attempt(folder, attempt)

    def _rehearse(self, folder: Path) -> Report:
        # A base that is no configuration by itself is completed by what the sweep searches.
        with contextlib.suppress(ConfigError):
            self._begun(folder).rehearse()
        return Report(finished=True)

    def _begun(self, folder: Path) -> Training:
        if self._factory is build_training:
            require_gpu(_here().gpus, self._work.config.get("device"))
            return build_training(self._work.config, folder, self._cache, self._part)
        return self._factory(self._work.config, folder, self._cache)

    def _report(self, training: Training, evaluations: Sequence[Evaluation]) -> Report:
        notes = tuple(training.notes)
        training.notes.clear()
        taken = self._gauge.taken() if self._gauge is not None else None
        said = (tuple(evaluations), training.finished, training.stopped_by)
        return Report(*said, notes=notes, taken=taken, own=self._own)

    def _is_bloated(self) -> bool:
        size = _resident()
        grown = self._first_size and size - self._last_size > GROWTH_TO_COLLECT
        if grown or _on_gpu():
            size = _collect()  # on a GPU always: what is left there counts as the next trial's
        if not self._first_size:
            self._first_size = self._last_size = size
            return False
        self._last_size = size
        return size - self._first_size > GROWTH_TO_RETIRE


def _here() -> Place:
    context = ray.get_runtime_context()
    return Place.here(context.get_node_id(), context.get_accelerator_ids().get("GPU", ()))


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[int]:
    """What is printed meanwhile goes to the trial's log. Yields its descriptor."""
    with (
        path.open("a", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield file.fileno()


def _resident() -> int:
    return int(psutil.Process(os.getpid()).memory_info().rss)


def _on_gpu() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


def _collect() -> int:
    gc.collect()
    if _on_gpu():
        sys.modules["torch"].cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):  # not every C library can give pages back
        ctypes.CDLL(None).malloc_trim(0)
    return _resident()
