"""Gauges: what this process takes of its machine while it trains one trial.

    gauge.start()                     before the training is made
    with gauge.watching(alone=True):  a few steps, alone on the machine's GPU
        …
    gauge.taken()                     since the start, at any time

Of the CPU the cores that it takes are c / (w - q): c seconds of CPU of the whole process, w by the
clock, q of them in which the thread that trains waited for a core, so that a crowded machine makes
no trial seem lighter. Its memory is the most that was resident, which Linux counts anew when asked.
Of a GPU the memory is what torch's allocator reserved at most. What the context takes besides is
told from others' by the count of free memory while nobody else is there. The time in which the GPU
computes is seen by torch's profiler, for a few steps: it would slow down a whole training.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import psutil

from sweeper.sharing.shares import Taken

UNSEEN = 0.25
"""The part of the time in which the GPU is said to compute where no kernel was seen, as when
another profiler has its counters: neither idle, nor taken for itself."""

_SELF = Path("/proc/self")


class Gauge(Protocol):
    """Measures what this process takes while it trains."""

    def start(self) -> None:
        """Begin to count."""

    def watching(self, *, alone: bool) -> AbstractContextManager[None]:
        """Inside, a trial trains for a few steps; `alone` on its GPU, or beside others."""

    def taken(self) -> Taken:
        """What was taken since the start."""


class ProcessGauge:
    """The gauge of a worker: its process, and the GPU that it was given where it uses one."""

    def __init__(self) -> None:
        self._context: int | None = None
        self._busy: float | None = None
        self._clock = self._waited = self._cpu = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._context = self._busy = None
        with contextlib.suppress(OSError):  # only Linux has it
            (_SELF / "clear_refs").write_text("5")
        if (cuda := _cuda()) is not None:
            cuda.reset_peak_memory_stats()
        self._clock, self._waited, self._cpu = time.monotonic(), _waited(), _cpu_seconds()

    @contextlib.contextmanager
    def watching(self, *, alone: bool) -> Iterator[None]:
        """Have the GPU's time in the block counted, and where the process is `alone` there what it
        takes of its memory beside its tensors; nothing on a machine without one."""
        if (cuda := _cuda()) is None:
            yield
            return
        from torch.profiler import ProfilerActivity, profile

        cuda.synchronize()
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            began = time.perf_counter()
            yield
            cuda.synchronize()
            seconds = time.perf_counter() - began
        computed = sum(event.self_device_time_total for event in seen.key_averages()) / 1e6
        self._busy = min(1.0, computed / seconds) if computed > 0 else UNSEEN
        if alone:
            free, total = cuda.mem_get_info()
            self._context = max(0, total - free - cuda.memory_reserved())

    def taken(self) -> Taken:
        """What was taken since the start."""
        passed = time.monotonic() - self._clock - (_waited() - self._waited)
        most = float(os.cpu_count() or 1)
        cores = min(most, (_cpu_seconds() - self._cpu) / passed) if passed > 0 else most
        cuda = _cuda()
        return Taken(
            cores=max(0.0, cores),
            memory=_most_resident(),
            gpu_memory=cuda.max_memory_reserved() if cuda else 0,
            gpu_total=cuda.mem_get_info()[1] if cuda else 0,
            gpu_context=self._context,
            gpu_busy=self._busy,
        )


def _cuda() -> Any:
    """torch's CUDA, where this process uses it; None where not."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _waited() -> float:
    """Seconds that this thread was ready and had no core; 0 where the system does not say."""
    try:
        told = Path("/proc/thread-self/schedstat").read_text(encoding="ascii")
        return int(told.split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _most_resident() -> int:
    """The most bytes of this process that were resident since the start; where the system does not
    say, those that are now."""
    with contextlib.suppress(OSError):
        for line in (_SELF / "status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(psutil.Process().memory_info().rss)
