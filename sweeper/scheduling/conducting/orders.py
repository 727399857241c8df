"""What people ask for single trials, and what comes of it.

An order is obeyed by one write into the study, then its outcome is told; a driver that is killed in
between gets it again, finds it obeyed, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sweeper.causes import STOPPED_BY_HAND
from sweeper.home import SweepFolder
from sweeper.retention import why_gone
from sweeper.scheduling.conducting.hand_out import HandOut
from sweeper.scheduling.conducting.steering import Order
from sweeper.scheduling.conducting.transitions import Transitions
from sweeper.search.ledger import Ledger
from sweeper.search.wishes import Unfit
from sweeper.trial import Trial, trial_name


class Refused(Exception):  # noqa: N818 - what happened
    """The order cannot be obeyed, and why."""


class Orders:
    """Obeys the orders for one sweep's trials."""

    def __init__(
        self, folder: SweepFolder, ledger: Ledger, trials: HandOut, transitions: Transitions
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._trials = trials
        self._transitions = transitions

    def obey(self, order: Order) -> str:
        """Do it, if it can be done. What has come of it, in a sentence."""
        obey: Mapping[str, Callable[[Order], str]] = {
            "stop": self._stop,
            "retry": self._retry,
            "enqueue": self._enqueue,
        }
        if order.kind not in obey:
            return f"refused: {order.kind!r} is not one of {', '.join(obey)}"
        if self._ledger.wishes.granted(order.id):
            return "already done by a driver that ended before it could report it"
        try:
            return obey[order.kind](order)
        except Refused as error:
            return f"refused: {error}"

    def _stop(self, order: Order) -> str:
        trial = self._trial(order)
        if trial.over:
            raise Refused(f"trial {trial.name} has ended already ({trial.state})")
        at_work = trial.number in self._trials.active
        who = f"stopped by {order.by}" if order.by else "stopped by hand"
        self._transitions.stop(trial.number, f"{who}: {order.reason}" if order.reason else who)
        leaves = "; its worker stops at the next evaluation" if at_work else ""
        return f"trial {trial.name} is stopped{leaves}"

    def _retry(self, order: Order) -> str:
        trial, anew = self._trial(order), order.payload.get("anew") is True
        if not trial.over:
            raise Refused(f"trial {trial.name} is not over")
        if trial.state != "failed" and trial.cause != STOPPED_BY_HAND:
            raise Refused(
                f"trial {trial.name} has {trial.state}: only trials that failed or were stopped by "
                "hand can be retried"
            )
        gone = why_gone(self._folder.trial(trial.number), "checkpoints")
        self._ledger.wishes.retry(trial.number, order.id, anew=anew or bool(gone))
        self._transitions.reopen(trial)
        if anew or gone:
            return f"trial {trial.name} begins anew" + (f": {gone}" if gone else "")
        return f"trial {trial.name} goes on from its last checkpoint"

    def _enqueue(self, order: Order) -> str:
        try:
            number = self._ledger.wishes.enqueue(order.payload, order.id)
        except Unfit as error:
            raise Refused(str(error)) from error
        self._trials.goes_on()
        when = "when limits.trials is raised" if self._trials.budget_is_spent else "next"
        return f"enqueued as trial {trial_name(number)}, which runs {when}"

    def _trial(self, order: Order) -> Trial:
        try:
            return self._ledger.trial(-1 if order.number is None else order.number)
        except KeyError as error:
            raise Refused(f"the sweep has no trial {order.number}") from error
