"""What a search has learned from earlier sweeps: their trials, shown to its sampler alone.

They are in its study since before the search has asked for anything (`learning`): whatever becomes
of those sweeps later, the search goes on as it would have. They are no trials of the sweep: no
budget, rung, rank or table knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.protocols import Protocol
from sweeper.search.attributes import LEARNED
from sweeper.search.distributions import distribution, to_study
from sweeper.sweepfile.model import Sweep
from sweeper.wording import few, plural

FIRST_NUMBER = -1_000_000
"""Of learned trials as a sampler sees them: no trial of a study has a number below 0."""

_STATES = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def protocol_of(study: Study) -> Protocol:
    """By which all that is learned was measured; empty where nothing is."""
    protocol: Protocol = study.user_attrs.get(LEARNED, {}).get("protocol", {})
    return protocol


def in_words(study: Study) -> str:
    """`40 of 44 trials of a, 12 of 12 trials of b (with another loss)`; empty where nothing is
    learned."""
    learned = study.user_attrs.get(LEARNED, {})
    otherwise = learned.get("otherwise", {})
    return ", ".join(
        f"{took} of {plural(of, 'trial')} of {name}"
        + (f" (with another {few(otherwise[name])})" if name in otherwise else "")
        for name, (took, of) in learned.get("taken", {}).items()
    )


def entries_of(sweep: Sweep, attrs: Mapping[str, Any]) -> list[FrozenTrial]:
    """What a study's attributes say was learned, as entries for a sampler to see."""
    entries = []
    for place, told in enumerate(attrs.get(LEARNED, {}).get("trials", ())):
        domains = {path: sweep.parameter(path).domain for path in told["values"]}
        curve = {int(step): value for step, value in told["curve"].items()}
        state = _STATES[told["state"]]
        entry = create_trial(
            state=state,
            values=told["objective"] if state == TrialState.COMPLETE else None,
            params={path: to_study(domains[path], told["values"][path]) for path in domains},
            distributions={path: distribution(domain) for path, domain in domains.items()},
            intermediate_values=curve,
            user_attrs={
                "role": "search",
                "values": told["values"],
                "end": {"state": told["state"], "symptom": told["cause"]},
            },
        )
        if state == TrialState.PRUNED and curve:
            entry.values = [curve[max(curve)]]
        entry.number = FIRST_NUMBER + place
        entries.append(entry)
    return entries
