"""What people wish of single trials: that one is tried again, that a point of their own is run.

What an order asks for is in the study with the order's name, in one write: given once more after a
kill, it is known to have been granted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweeper.causes import is_lost
from sweeper.search import attributes
from sweeper.search.enqueued import Unfit as Unfit
from sweeper.search.enqueued import point, stored
from sweeper.search.entries import Entries
from sweeper.sweepfile.model import Sweep

ORDER = "order"
"""The attribute of an entry that names the order it was made by."""


class Wishes:
    """Takes wishes into the study of one sweep. `together` guards a write, and `learn` is told of
    an entry that has changed."""

    def __init__(
        self,
        sweep: Sweep,
        study: Study,
        entries: Entries,
        together: Callable[[], AbstractContextManager[None]],
        learn: Callable[[FrozenTrial], None],
    ) -> None:
        self._sweep = sweep
        self._study = study
        self._entries = entries
        self._together = together
        self._learn = learn

    def enqueue(self, values: Mapping[str, Any], order: str) -> int:
        """Put a point of somebody's own before what the sampler proposes. Returns its number.

        Raises:
            Unfit: it is no point of the space, or the sweep has no use for it.
        """
        if self._sweep.is_ablation:
            raise Unfit("an ablation runs the cells of its design, and nothing else")
        given = stored(self._sweep, point(self._sweep, values))
        with self._together():
            self._study.enqueue_trial(given, user_attrs={ORDER: order})
        made = self._made_by(order)
        assert made is not None, "it was enqueued"
        return made.number

    def retry(self, number: int, order: str, *, anew: bool) -> None:
        """Have a trial that is over go on under its number: from its last checkpoint, or `anew`."""
        with self._together():
            self._entries.reopen(number, {ORDER: order, attributes.ANEW: anew})
            if anew:
                self._entries.begin_anew(number)
            self._learn(self._entries.get(number))

    def granted(self, order: str) -> bool:
        """Whether the study has what this order asked for: a point, or a further entry."""
        return self._made_by(order) is not None

    def retry_failed(self, also: Collection[str]) -> list[int]:
        """Have trials that failed tried again: those whose failure says nothing about their
        configuration, and those that failed by one of the causes `also`. Returns their numbers.

        Each goes on under its number, from its checkpoint.
        """
        again = _to_retry(self._entries.all(), also)
        for number in again:
            with self._together():
                self._learn(self._entries.reopen(number))
        return again

    def _made_by(self, order: str) -> FrozenTrial | None:
        """The entry that was made by this order, if there is one."""
        entries = (*self._entries.all_ever(), *self._entries.foreign())
        return next((one for one in entries if one.user_attrs.get(ORDER) == order), None)


def _to_retry(entries: Sequence[FrozenTrial], also: Collection[str]) -> list[int]:
    """The numbers of the trials that `retry_failed` is to try again."""
    held = {
        key
        for entry in entries
        if not is_lost(attributes.cause_of(entry)) and (key := _run_of(entry)) is not None
    }
    return [
        attributes.number_of(entry)
        for entry in entries
        if entry.state == TrialState.FAIL
        and (
            # Former versions held a run that was lost once more, under another number.
            _run_of(entry) not in held
            if is_lost(cause := attributes.cause_of(entry))
            else cause in also
        )
    ]


def _run_of(entry: FrozenTrial) -> tuple[Any, ...] | None:
    """Which run of a cell or a confirmation it is; None of a trial of a search."""
    attrs = entry.user_attrs
    if "cell" in attrs:
        return attrs["cell"]["key"], attrs["values"]["seed"]
    return (attrs["of"], attrs["values"]["seed"]) if attrs.get("role") == "replicate" else None
