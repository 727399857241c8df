"""What each trial of a sweep is given of its machine; where its share is `auto`, probes find out.

A trial of a shape that nobody has seen rests until that was probed: a worker makes such a training,
has it train for a second, measures it once, and leaves nothing behind. The first probe of a sweep
has a whole GPU, or a core, and nothing else is handed out until a worker has it, for it would wait
for ever behind trials that take less. Later ones are given rather more than the most that any shape
of the sweep took, beside the trials that run. A shape whose probe comes to nothing is given a whole
GPU, or a core and all memory of its machine. What trials take from then on corrects what is
believed; see `sweeper.sharing`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from sweeper.causes import OUT_OF_MEMORY
from sweeper.home import SweepFolder
from sweeper.scheduling.working import attempts
from sweeper.scheduling.working.messages import PROBE, REHEARSAL, Report, Work
from sweeper.sharing.learnt import Learnt
from sweeper.sharing.shape import shape_of
from sweeper.sharing.shares import Taken, cautious, ran_out, share
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.resources import AUTO, Given
from sweeper.trial import Trial

LOOK_EVERY = 5.0
"""Seconds between two looks at what machines there are."""

_NAMES = ("cpu", "gpu", "memory")

Config = Mapping[str, Any]


class Sharing:
    """What the trials of one sweep are given. `holds` says that a probe has no worker yet before
    which nothing else is to be handed out.

    `resolve` writes out a trial config with all its defaults; `machines` says what each has that a
    trial could run on, `to_come` what those have that may join, whose memory nobody knows.
    """

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        resolve: Callable[[Config], Config] = dict,
        machines: Callable[[], Sequence[Given]] = lambda: (Given(),),
        to_come: Callable[[], Sequence[Given]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holds = False
        self._asked = sweep.resources
        self._folder = folder.path
        self._learnt = Learnt(folder.path.parent / "cache")
        self._ask_machines = machines
        self._ask_to_come = to_come
        self._clock = clock
        self._machines: Sequence[Given] = ()
        self._to_come: Sequence[Given] = ()
        self._next_look = 0.0
        self._due: dict[str, Config] = {}
        self._probes: dict[int, str] = {}
        self._begun: set[int] = set()
        self._numbers = count(PROBE, -1)
        self._seen: dict[str, Taken] = {}
        self._unknown: set[str] = set()
        self._given: dict[int, tuple[str, Given]] = {}
        self._shape = lru_cache(4096)(lambda text: shape_of(resolve(json.loads(text))))
        for left in folder.path.glob(".probe*"):  # by a driver that was killed
            _remove(left)

    @property
    def active(self) -> int:
        """How many probes are with workers, or about to be."""
        return len(self._probes)

    def rests(self, trial: Trial) -> bool:
        """Whether a trial is to wait until its shape is known; it is probed next then."""
        if not self._asked.shares:
            return False
        shape = self._shape_of(trial.config)
        if shape in self._unknown or self._known(shape) is not None:
            return False
        if shape not in self._probes.values():
            self._due.setdefault(shape, trial.config)
        return True

    def next_work(self) -> Work | None:
        """A probe for a free worker; None while none is to be held."""
        if not self._due or (self._probes and not self._seen):
            return None
        shape = next(iter(self._due))
        number, config = next(self._numbers), self._due.pop(shape)
        self._probes[number] = shape
        self.holds = not self._seen
        folder = self._place(number)
        return Work(number, str(folder), str(attempts.hand_out(folder)), dict(config))

    def given(self, work: Work) -> Given:
        """What the worker is given that is to have this work; of a trial it is remembered."""
        if work.number == REHEARSAL or (work.number < 0 and not self._seen):
            # Ask Ray for no memory: on a machine that others use, all of it may never be free.
            return replace(self._share(None), memory=0)
        if work.number < 0:
            return self._share(cautious(self._seen.values()))
        shape = self._shape_of(work.config) if self._asked.shares else ""
        # With a GPU that is what it is to have alone.
        alone = work.alone and not self._asked.whole.gpu
        nobody_knows = alone or shape in self._unknown
        given = self._share(None if nobody_knows else self._known(shape))
        if work.alone and given.gpu:
            given = replace(given, gpu=max(1.0, given.gpu))
        self._given[work.number] = shape, given
        return given

    def crowds(self, numbers: Collection[int]) -> bool:
        """Whether these trials take all that there is: one that is handed out now would wait, with
        a share that follows from what is known now."""
        if not self._asked.shares:
            return False
        have, machines = self.held(numbers), self._look()
        more = [replace(one, memory=self._least.memory) for one in self._to_come]
        most = _each(sum, [*machines, *more])
        return any(
            given >= getattr(most, name) for name in _NAMES if (given := getattr(have, name))
        )

    def of(self, number: int) -> Given | None:
        """The share that a trial was given; None where the sweep's file says what each has."""
        return self._given[number][1] if self._asked.shares and number in self._given else None

    def held(self, numbers: Collection[int]) -> Given:
        """What these trials have together."""
        have = [self._given[number][1] for number in numbers if number in self._given]
        return _each(sum, have)

    def started(self, number: int) -> None:
        """A worker has taken a probe up."""
        self.holds = False
        self._begun.add(number)

    def heard(self, number: int, report: Report) -> None:
        """A worker has held it; where it left its machine before, another one is held."""
        shape = self._end(number)
        if shape is None or report.left:
            return
        if report.taken is None:
            self._unknown.add(shape)
        else:
            self._note(shape, report.taken)

    def died(self, number: int) -> bool:
        """Its worker has died. Whether that had begun: what it did is no matter otherwise, and
        another probe is held."""
        began = number in self._begun
        if (shape := self._end(number)) is not None and began:
            self._unknown.add(shape)
        return began

    def lost(self) -> None:
        """All workers are gone."""
        for number in tuple(self._probes):
            self.died(number)

    def interrupt(self) -> None:
        """None is held any more."""
        for number in tuple(self._probes):
            self._end(number)

    def took(self, number: int, taken: Taken | None, *, over: bool) -> None:
        """A trial has taken so much so far; all that it takes, where it is `over`."""
        if taken is None or number not in self._given:
            return
        shape = self._given[number][0]
        before = self._known(shape)
        if over or before is None or taken.exceeds(before):
            self._note(shape, taken)
            self._unknown.discard(shape)

    def failed(self, number: int, cause: str | None) -> None:
        """A trial has failed, or its worker: where that was for want of memory, its shape is given
        more."""
        if cause == OUT_OF_MEMORY and self._asked.shares and number in self._given:
            shape, given = self._given[number]
            self._note(shape, ran_out(given, self._known(shape)))

    @property
    def _least(self) -> Given:
        """What every machine has."""
        return _each(min, self._look())

    def _look(self) -> Sequence[Given]:
        """The machines that there are; while there is none, those to come, or those that there
        were."""
        if self._clock() >= self._next_look:
            there, to_come = self._ask_machines(), self._ask_to_come()
            self._machines = there or to_come or self._machines
            self._to_come = to_come if there else ()
            self._next_look = self._clock() + LOOK_EVERY
        return self._machines

    def _shape_of(self, config: Config) -> str:
        return self._shape(json.dumps(config, sort_keys=True))

    def _known(self, shape: str) -> Taken | None:
        """What trials of a shape take; it is known in this sweep from then on."""
        seen = self._learnt.of(shape) if shape else None
        if seen is not None:
            self._seen[shape] = seen
        return seen

    def _note(self, shape: str, taken: Taken) -> None:
        before = self._known(shape) or cautious(self._seen.values())
        self._learnt.note(shape, taken if before is None else taken.after(before))
        self._known(shape)

    def _share(self, taken: Taken | None) -> Given:
        """What is given to a trial that takes so much; None where nobody knows, who is alone where
        it would share."""
        if taken is not None:
            return share(taken, self._asked, self._least)
        whole = self._asked.whole
        return replace(whole, memory=self._least.memory if self._asked.cpu == AUTO else 0)

    def _place(self, number: int) -> Path:
        return self._folder / f".probe{number}"

    def _end(self, number: int) -> str | None:
        """The shape that was probed; None where that has ended before."""
        self.holds = False
        _remove(self._place(number))
        return self._probes.pop(number, None)


def _remove(place: Path) -> None:
    attempts.take_back(place)
    shutil.rmtree(place, ignore_errors=True)


def _each(total: Callable[[Iterable[Any]], Any], several: Sequence[Given]) -> Given:
    """Sum or minimum of each of what several have; nothing of nothing."""
    if not several:
        return Given(0, 0, 0)
    return Given(*(total(getattr(one, name) for one in several) for name in _NAMES))
