"""Whose the entries of a study are: the sweep's own, or other people's.

Anybody may open a study by Optuna's own tools and write into it: `enqueue_trial`, `add_trial`,
`study.ask`. Such entries are foreign: they are seen and named, and decide nothing. A point that
somebody enqueued becomes the sweep's own when the driver takes it up (`enqueued`).

The driver marks each entry that it makes with the study's id and the entry's number, so that a
copy of one, in this study or in another, is foreign too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sweeper.search.foreign_entry import ForeignEntry
from sweeper.search.study_attributes import UNMARKED

MARK = "mark"
"""The attribute of an entry by which it is known as the sweep's own."""

REFUSED = "refused"
"""The attribute of an enqueued point that says why it is not run."""


def mark_of(identity: str, number: int) -> str:
    """What marks the entry `number` of the study with this id as its sweep's own."""
    return f"{identity}/{number}"


def is_ours(entry: FrozenTrial, study: Mapping[str, Any]) -> bool:
    """Whether the sweep's driver has made the entry, or taken it up, and nobody else has ended it.

    `study` holds the attributes of its study.
    """
    attrs = entry.user_attrs
    if entry.state == TrialState.WAITING or (entry.state.is_finished() and "end" not in attrs):
        return False
    if entry.number < study.get(UNMARKED, math.inf):
        return "role" in attrs
    return bool(attrs.get(MARK) == mark_of(study["id"], entry.number))


def foreign_entry(entry: FrozenTrial) -> ForeignEntry:
    """What an entry is that is not the sweep's own."""
    state = entry.state.name.lower()
    if REFUSED in entry.user_attrs:
        state, words = "refused", f"enqueued, and refused: {entry.user_attrs[REFUSED]}"
    elif entry.state == TrialState.WAITING:
        words = "enqueued, and not run yet"
    elif entry.state == TrialState.RUNNING:
        words = "asked for by another program, and only that program can end it"
    elif entry.user_attrs.get(MARK):
        words = f"ended by another program ({state}), or copied from a trial"
    else:
        words = f"added by another program ({state})"
    return ForeignEntry(entry.number, state, words)
