"""What befalls a trial at work through its machine, and what becomes of it then.

    its worker died           `retries`: the trial goes on elsewhere, in the end it is given up
    it ran out of memory      `alone`: once more, with its device to itself, then it has failed
    its device is broken      `devices`: elsewhere, three times at most; a device by which several
                              trials fail is avoided
    its machine goes away     it has saved itself, moves, and goes on from that very step; nothing
                              begins on the machine any more (`avoided`), and no try is counted

Whatever it is, the ledger has it before anything is tried again: a kill in between loses nothing,
and adds no try.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from sweeper.causes import BUCKET_AWAY, DEVICE_FAULT, ERROR, NO_PROGRESS, OUT_OF_MEMORY, WORKER_DIED
from sweeper.home import SweepFolder
from sweeper.scheduling.conducting.failure_counts import FailureCounts
from sweeper.scheduling.conducting.hand_out import HandOut
from sweeper.scheduling.conducting.rehearsal import Rehearsal
from sweeper.scheduling.conducting.retries import Retries, in_words
from sweeper.scheduling.conducting.transitions import Transitions
from sweeper.scheduling.machines.avoided import Avoided, Nodes
from sweeper.scheduling.machines.devices import REST, Devices
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.recording.announcer import Announcer
from sweeper.scheduling.working.attempts import LOG, place_of, silent_in
from sweeper.scheduling.working.failures import tail
from sweeper.scheduling.working.messages import Failure
from sweeper.search.ledger import Ledger
from sweeper.trial import trial_name

_STARVED = "node running low on memory"
"""What a cluster's memory monitor says of a worker that it killed."""


class Setbacks:
    """The setbacks of one sweep's trials."""

    def __init__(
        self,
        folder: SweepFolder,
        ledger: Ledger,
        announcer: Announcer,
        trials: HandOut,
        transitions: Transitions,
        failures: FailureCounts,
        rehearsal: Rehearsal,
        devices: Devices,
        nodes: Nodes,
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._announcer = announcer
        self._trials = trials
        self._transitions = transitions
        self._failures = failures
        self._rehearsal = rehearsal
        self._devices = devices
        self.machines = nodes
        self._avoided = Avoided(nodes)
        self.retries = Retries(lambda: len(set(nodes().values())))

    @property
    def nowhere(self) -> bool:
        """Whether no machine is left on which a trial may begin."""
        return self._avoided.all_leave

    @property
    def wrong(self) -> Set[Place]:
        """The devices on which nothing is to train any more, without Ray's ids."""
        return self._devices.wrong

    @property
    def nodes(self) -> frozenset[str]:
        """The machines on which trials are at work, by Ray's ids."""
        running = self._trials.running
        return frozenset(place_of(self._folder.trial(number)).node for number in running)

    def to_avoid(self, number: int) -> tuple[str, ...]:
        """The machines on which the work of this number is not to be done, as things are now."""
        return self._avoided.nodes(self._devices.machines_to_avoid(number))

    def died(self, number: int, reason: str, cause: str = WORKER_DIED) -> str:
        """The worker of a trial is gone, and with it what the trial had not saved. Why no other
        would fare better, in words, where so it is."""
        folder = self._folder.trial(number)
        running, place, hung = number in self._trials.running, place_of(folder), silent_in(folder)
        if (trial := self._trials.take_back(number)) is None:
            return ""
        if not running:
            self._failures.false_start(reason)
            self._trials.first_again(trial)
            return ""
        if self._avoided.leaves(place.node):
            self._transitions.move(number, "its machine was taken away")
            return ""
        if _STARVED in reason and not hung:
            if failure := self._ran_out(number, place, Failure(OUT_OF_MEMORY, reason)):
                self._transitions.fail(number, failure)
            return ""
        step, deaths = self._ledger.mishaps.died(number, place.machine)
        verdict = self.retries.died(number, step, deaths, hung=bool(hung))
        cause = NO_PROGRESS if hung else cause
        if verdict == "give up":
            told = in_words(step, deaths, hung or reason)
            self._transitions.fail(number, Failure(cause, told, tail(folder / LOG) if hung else ""))
            # A bucket that one trial cannot reach, the others cannot reach either.
            away = cause == BUCKET_AWAY
            return self._failures.raised(Failure(cause, reason)) if away else ""
        self._rehearsal.due |= verdict == "rehearse"
        self._transitions.retry(number, cause, hung or reason)
        return ""

    def left(self, number: int, reason: str) -> None:
        """The trial has saved itself where it was, since it was to leave its machine."""
        self._avoided.leave_alone(place_of(self._folder.trial(number)).node)
        self._transitions.move(number, reason)

    def notice(self, node: str, machine: str, told: str) -> None:
        """A machine, Ray's `node`, is about to be taken away."""
        if self._avoided.give_notice(node):
            self._announcer.noted(f"{machine} is about to be taken away ({told}): its trials move")
            if self._avoided.all_leave:
                self._announcer.noted("there is no other machine: trials wait for one to join")

    def deaf(self, machine: str, told: str) -> None:
        """Nobody on the machine answers who would give notice of its end."""
        self._announcer.noted(f"eviction notices for {machine} cannot be read: {told}")

    def failed(self, number: int, failure: Failure) -> Failure | None:
        """The training raised. By what the trial has failed now; None where it is tried again."""
        place = place_of(self._folder.trial(number))
        if failure.cause == OUT_OF_MEMORY:
            return self._ran_out(number, place, failure)
        if failure.cause == DEVICE_FAULT:
            return self._failed_by_device(number, place, failure)
        return failure

    def _ran_out(self, number: int, place: Place, failure: Failure) -> Failure | None:
        note = f"ran out of memory ({failure.reason}): tried once more, alone on its device"
        if self._trials.alone.ran_out(number, place, note):
            self._announcer.noted(f"trial {trial_name(number)}: {note}")
            self._transitions.retry(number, failure.cause, failure.reason)
            return None
        alone_on = f"alone on {place.device or 'its device'}"
        return replace(failure, reason=f"out of memory again, {alone_on}: {failure.reason}")

    def _failed_by_device(self, number: int, place: Place, failure: Failure) -> Failure | None:
        verdict = self._devices.failed(number, place, failure.reason)
        self._look_for_wrong_devices(number)
        if verdict == "own":
            return replace(failure, cause=ERROR)
        reason = f"{place.device or 'its device'}: {failure.reason}"
        if verdict == "give up":
            return replace(failure, reason=reason)
        self.retries.rest(number, REST)
        self._transitions.retry(number, failure.cause, reason)
        return None

    def evaluated(self, number: int) -> None:
        """The trial has got on."""
        if self._devices.watched:
            self._devices.works(place_of(self._folder.trial(number)))
            self._look_for_wrong_devices(number)

    def _look_for_wrong_devices(self, number: int) -> None:
        while (found := self._devices.found_wrong()) is not None:
            device, failed = found
            told = " and ".join(map(trial_name, failed))
            note = (
                f"{device.device} is avoided from now on: {told} failed on it, and others succeed "
                "elsewhere"
            )
            self._devices.avoid(device, number, note)
            self._announcer.noted(note)
