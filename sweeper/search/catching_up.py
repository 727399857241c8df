"""Bringing a study's digest up to date: Optuna replays what its journal has gained since then."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.attributes import number_of, trial_of
from sweeper.search.digest import Digest, Unlike
from sweeper.search.foreign import foreign_entry, is_ours
from sweeper.search.study_attributes import UNMARKED


def catch_up(digest: Digest, written: bytes) -> None:
    """Take whole lines in that the journal has gained.

    Raises:
        Unlike: they cannot be followed.
    """
    header = digest.header
    replay = _begun(digest)
    try:
        replay.apply_logs(map(json.loads, written.splitlines()))
    except Exception as error:  # whatever is wrong with the journal, its own reader says it best
        raise Unlike from error
    if [study.study_name for study in replay.get_all_studies()] != [header.name]:
        raise Unlike
    if replay._next_study_id != 1:
        raise Unlike
    attrs = replay.get_study(0).user_attrs
    if UNMARKED not in attrs:  # whose the entries are is not settled yet
        raise Unlike
    header.attrs = attrs
    header.open = []
    for number, entry in replay._trials.items():
        if entry is not _OVER:
            take(digest, number, entry)
    header.count = len(replay._trials)


def take(digest: Digest, number: int, entry: FrozenTrial) -> None:
    """Take an entry in as it is now.

    Raises:
        Unlike: it was the sweep's own, and is no longer.
    """
    header = digest.header
    if not entry.state.is_finished():
        header.open.append(_opened(entry))
    header.foreign.pop(str(number), None)
    if is_ours(entry, header.attrs):
        known = digest.trials.get(number_of(entry))
        if known is None or known[0] <= number:
            digest.trials[number_of(entry)] = number, trial_of(entry)
        return
    if any(own == number for own, _ in digest.trials.values()):
        raise Unlike  # somebody else has ended it
    told = asdict(foreign_entry(entry))
    header.foreign[str(number)] = [told["state"], told["words"]]


def _begun(digest: Digest) -> JournalStorageReplayResult:
    """What Optuna would have made of the part that was read, as far as anything can change it."""
    header = digest.header
    replay = JournalStorageReplayResult("nobody's ")
    if not header.offset:
        return replay
    replay._studies[0] = FrozenStudy(
        study_name=header.name,
        direction=None,
        user_attrs=header.attrs,
        system_attrs={},
        study_id=0,
        directions=[StudyDirection.MINIMIZE],
    )
    replay._next_study_id = 1
    numbers = range(header.count)
    replay._study_id_to_trial_ids[0] = [*numbers]
    replay._trial_id_to_study_id = dict.fromkeys(numbers, 0)
    replay._trials = dict.fromkeys(numbers, _OVER)
    for told in header.open:
        replay._trials[told["number"]] = _reopened(told)
    return replay


def _opened(entry: FrozenTrial) -> dict[str, Any]:
    started = entry.datetime_start
    return {
        "number": entry.number,
        "id": entry._trial_id,
        "state": entry.state.value,
        "started": None if started is None else started.timestamp(),
        "attrs": entry.user_attrs,
    }


def _reopened(told: dict[str, Any]) -> FrozenTrial:
    started = told["started"]
    return _entry(
        told["number"],
        TrialState(told["state"]),
        None if started is None else datetime.fromtimestamp(started),
        told["attrs"],
    )


def _entry(
    number: int, state: TrialState, started: datetime | None, attrs: dict[str, Any]
) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=None,
        datetime_start=started,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs=attrs,
        system_attrs={},
        intermediate_values={},
    )


_OVER = _entry(-1, TrialState.FAIL, None, {})
"""Stands for every entry that is over: nothing changes it any more."""
