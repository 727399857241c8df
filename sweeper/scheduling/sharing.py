"""What each trial of a sweep is given of its machine; where its share is `auto`, probes find out.

A trial of a shape that nobody has seen rests until that was probed: a worker with a whole GPU, or
with a core and all memory of its machine, makes such a training, has it train for some seconds,
measures it once, and leaves nothing behind. Nothing else is handed out until a worker has the
probe, for it would wait for ever behind trials that take less. A shape whose probe comes to nothing
is given as much as the probe was. What trials take from then on corrects what is believed; see
`sweeper.sharing`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Protocol

from sweeper.causes import OUT_OF_MEMORY
from sweeper.home import SweepFolder
from sweeper.scheduling import attempts
from sweeper.scheduling.messages import PROBE, Report, Work
from sweeper.sharing.gauges import Gauge
from sweeper.sharing.learnt import Learnt
from sweeper.sharing.shape import shape_of
from sweeper.sharing.shares import Taken, ran_out, share
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.resources import AUTO, Given
from sweeper.trial import Trial

STEPS = 10
"""A probe trains so many steps at a time, those before it counts included."""

SECONDS = 2.0
"""Seconds of steps that a probe watches, if the training is as long."""

Config = Mapping[str, Any]


class Training(Protocol):
    """What a probe asks of a training."""

    def rehearse(self, steps: int = 1) -> bool: ...

    def evaluate(self) -> object: ...


def probe(training: Training, gauge: Gauge) -> Taken:
    """Train a training that nobody needs for a while, measure it, and say what it took."""
    training.rehearse(STEPS)  # the first steps allocate and are no measure
    with gauge.watching():
        until = time.monotonic() + SECONDS
        while training.rehearse(STEPS) and time.monotonic() < until:
            pass
    training.evaluate()
    return gauge.taken()


class Sharing:
    """What the trials of one sweep are given. `active` says that a probe is with a worker, or about
    to be; `holds`, that nothing else is to be handed out before it is.

    `resolve` writes out a trial config with all its defaults, `room` says what a machine has.
    """

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        resolve: Callable[[Config], Config] = dict,
        room: Callable[[], Given] = Given,
    ) -> None:
        self.active = self.holds = False
        self._asked = sweep.resources
        self._folder = folder.path / ".probe"
        self._learnt = Learnt(folder.path.parent / "cache")
        self._room = room
        self._due: dict[str, Config] = {}
        self._probed = ""
        self._unknown: set[str] = set()
        self._given: dict[int, tuple[str, Given]] = {}
        self._shape = lru_cache(4096)(lambda text: shape_of(resolve(json.loads(text))))

    def rests(self, trial: Trial) -> bool:
        """Whether a trial is to wait until its shape is known; it is probed next then."""
        if not self._asked.shares:
            return False
        shape = self._shape_of(trial.config)
        if shape in self._unknown or self._learnt.of(shape) is not None:
            return False
        self._due.setdefault(shape, trial.config)
        return True

    def next_work(self) -> Work | None:
        """A probe for a free worker; None while none is to be held."""
        if not self._due or self.active:
            return None
        self._probed, config = next(iter(self._due.items()))
        self.active = self.holds = True
        room = attempts.hand_out(self._folder)
        return Work(PROBE, str(self._folder), str(room), dict(config), given=self.whole())

    def given(self, work: Work) -> Given:
        """What the worker is given that is to have this work; of a trial it is remembered."""
        if work.number < 0:
            return self.whole()
        shape = self._shape_of(work.config) if self._asked.shares else ""
        seen = self._learnt.of(shape) if shape and shape not in self._unknown else None
        given = self.whole() if seen is None else share(seen, self._asked, self._room())
        self._given[work.number] = shape, given
        return given

    def whole(self) -> Given:
        """What a trial is given of which nothing is known, so that it is alone where it shares."""
        whole = self._asked.whole
        memory = self._room().memory if self._asked.cpu == AUTO else 0
        return Given(whole.cpu, whole.gpu, memory)

    def of(self, number: int) -> Given | None:
        """The share that a trial was given; None where the sweep's file says what each has."""
        return self._given[number][1] if self._asked.shares and number in self._given else None

    def held(self, numbers: Collection[int]) -> Given:
        """What these trials have together."""
        have = [self._given[number][1] for number in numbers if number in self._given]
        return Given(sum(one.cpu for one in have), sum(one.gpu for one in have))

    def started(self) -> None:
        """A worker has taken the probe up."""
        self.holds = False

    def heard(self, report: Report) -> None:
        """A worker has held it."""
        if report.taken is None:
            self._unknown.add(self._probed)
        else:
            self._learnt.note(self._probed, report.taken)
        self._end()

    def died(self) -> None:
        """Its worker has died."""
        self._unknown.add(self._probed)
        self._end()

    def interrupt(self) -> None:
        """It is held no more."""
        if self.active:
            self._end()

    def took(self, number: int, taken: Taken | None, *, over: bool) -> None:
        """A trial has taken so much so far; all that it takes, where it is `over`."""
        if taken is None or number not in self._given:
            return
        shape = self._given[number][0]
        before = self._learnt.of(shape)
        if over or before is None or taken.exceeds(before):
            self._learnt.note(shape, taken)
            self._unknown.discard(shape)

    def failed(self, number: int, symptom: str | None) -> None:
        """A trial has failed, or its worker: where that was for want of memory, its shape is given
        more."""
        if symptom == OUT_OF_MEMORY and self._asked.shares and number in self._given:
            shape, given = self._given[number]
            self._learnt.note(shape, ran_out(given, self._learnt.of(shape)))

    def _shape_of(self, config: Config) -> str:
        return self._shape(json.dumps(config, sort_keys=True))

    def _end(self) -> None:
        self.active = self.holds = False
        self._due.pop(self._probed, None)
        attempts.take_back(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)
