"""Which failures say something about a configuration."""

INNOCENT = ("worker_died", "cancelled")
"""Symptoms of failures that say nothing about the configuration."""

SCHEDULER = "scheduler"
"""Of a run that was stopped because others were better; nothing was wrong with it."""


def to_blame(state: str, symptom: str | None) -> bool:
    """Whether a run that ended so has no final value through its configuration's own fault.

    It failed, or was stopped for its health: a collapsed training is *pruned* where a watcher stops
    it, so that samplers see its values, but in an analysis it is a failure like any other.
    """
    if state == "pruned":
        return symptom not in (None, SCHEDULER, *INNOCENT)
    return state == "failed" and symptom not in INNOCENT
