"""Why a sweep has fewer trials at work than it wants, each reason as a sentence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sweeper.service.queue.asking import Machine, Needs
from sweeper.service.queue.packing import Packing, amounts
from sweeper.wording import plural


class Reason(ABC):
    """Why a sweep does not run more trials than it does."""

    @abstractmethod
    def words(self) -> str:
        """One sentence for its owner."""


@dataclass(frozen=True)
class Impossible(Reason):
    """No machine has what one trial needs, whoever else uses it.

    `resource` is what they lack, with the most that one of them has; None where each alone is there
    and no machine has both.
    """

    needs: Needs
    resource: str | None
    most: float

    def words(self) -> str:
        if self.resource is None:
            cpus, gpus = _count(self.needs.cpu, "CPU"), _count(self.needs.gpu, "GPU")
            return f"A trial needs {cpus} and {gpus}, and no machine of the cluster has both."
        wanted = self.needs.cpu if self.resource == "CPU" else self.needs.gpu
        needed = f"A trial needs {_count(wanted, self.resource)}"
        if not self.most:
            return f"{needed}, and no machine of the cluster has any."
        return f"{needed}, and no machine of the cluster has more than {self.most:g}."


@dataclass(frozen=True)
class NoMachines(Reason):
    """The cluster has no machine at this time."""

    def words(self) -> str:
        return "The cluster has no machine at this time."


@dataclass(frozen=True)
class Taken(Reason):
    """Programs that are none of this service's have the machines on which a trial would fit."""

    def words(self) -> str:
        return "Other programs than this service use the machines on which a trial would fit."


@dataclass(frozen=True)
class Quota(Reason):
    """A quota of the person is used up."""

    person: str
    which: Literal["parallel", "gpus", "gpu_hours"]
    limit: float
    used: float
    """GPU hours of this month, trials or GPUs now."""

    def words(self) -> str:
        if self.which == "gpu_hours":
            return (
                f"{self.person} has used {self.used:,.1f} GPU hours this month, of a quota of "
                f"{self.limit:g}."
            )
        quota = f"{self.person}'s quota of {_count(self.limit, _QUOTAS[self.which])} at once"
        if self.used:
            return f"{quota} leaves no room beside the {self.used:g} in use."
        return f"{quota} is less than one trial needs."


@dataclass(frozen=True)
class Own(Reason):
    """The person's share goes to another of their own sweeps, `ahead`, by priority or by age."""

    person: str
    ahead: str

    def words(self) -> str:
        return f"{self.ahead} comes before it among {self.person}'s own sweeps."


@dataclass(frozen=True)
class Turn(Reason):
    """The machines are full, and the next free room is another's.

    `whose` it is, and how many sweeps stand in line before this one; with 0, it is the next.
    """

    whose: str
    before: int

    def words(self) -> str:
        if not self.before:
            return "It is next: it goes on where room comes free."
        are = "sweep is" if self.before == 1 else "sweeps are"
        return f"It is {self.whose}'s turn; {self.before:,} {are} before it."


@dataclass(frozen=True)
class Moving(Reason):
    """Some of its trials make room where they run, and go on on another machine."""

    trials: int

    def words(self) -> str:
        return f"{plural(self.trials, 'trial')} will go on on another machine, to make room."


@dataclass(frozen=True)
class ToCome(Reason):
    """Some of its trials have their places on machines that are not there yet."""

    trials: int

    def words(self) -> str:
        wait = "waits for a machine" if self.trials == 1 else "wait for machines"
        return f"{plural(self.trials, 'trial')} {wait} to come, which Ray's autoscaler adds."


def impossible(needs: Needs, machines: Iterable[Machine]) -> Reason | None:
    """Why no trial of these needs can ever begin on these machines; None where one can."""
    there = tuple(machines)
    if not there:
        return NoMachines()
    empty = Packing([Machine.all_ours(one.name, one.cpu, one.gpu) for one in there], ())
    if not empty.begin(amounts(needs)):
        for resource, wanted, most in (
            ("CPU", needs.cpu, max(one.cpu for one in there)),
            ("GPU", needs.gpu, max(one.gpu for one in there)),
        ):
            if wanted > most:
                return Impossible(needs, resource, most)
        return Impossible(needs, None, 0.0)
    return None if Packing(there, ()).begin(amounts(needs)) else Taken()


_QUOTAS = {"parallel": "trial", "gpus": "GPU"}


def _count(amount: float, noun: str) -> str:
    return f"{amount:g} {noun}" + ("" if amount == 1 else "s")
