"""Whether a stopping rule comes to its turn within the trainings of a sweep.

A grace that was meant for trainings ten times as long leaves a rule without anything to decide.
"""

from __future__ import annotations

from sweeper.sweepfile.document import Document
from sweeper.sweepfile.model import Sweep


def longest(sweep: Sweep) -> int:
    """Training steps of the longest training that the sweep can reach.

    Raises:
        ConfigError: the base is no valid trial config.
    """
    from trials.config import default_at  # imports torch

    searched = [item.domain for item in sweep.parameters if item.path == "steps"]
    if searched:
        return max(int(steps) for steps in searched[0].samples())
    return int(default_at(sweep.base, "steps"))


def check_rungs(document: Document, sweep: Sweep) -> None:
    """Report a sampler that learns at the rungs of a rule where no training comes to one."""
    if sweep.is_ablation or not sweep.search.part.needs_rungs:
        return
    rule, last = sweep.scheduler, longest(sweep)
    if not any(rule.part(rule, sweep).rungs(last)):
        has_grace = "grace_steps" in type(rule).model_fields
        document.add(
            ("scheduler", "grace_steps") if has_grace else ("scheduler",),
            f"the first rung of {rule.name} is after the last of {last:,} steps, and "
            f"{sweep.search.name} learns only at rungs",
            f"a first rung at step {_last_look(sweep, last) or last} at the latest",
        )


def _last_look(sweep: Sweep, last: int) -> int:
    """The step of the last evaluation before the end of a training of so many steps, else 0."""
    from trials.config import default_at  # imports torch

    every = int(default_at(sweep.base, "evaluation.every"))
    return (last - 1) // every * every


def idle_in_words(sweep: Sweep) -> str:
    """That the stopping rule will never act, and why; empty where it can."""
    if sweep.is_ablation:
        return ""
    rule, last = sweep.scheduler, longest(sweep)
    begins = rule.part(rule, sweep).begins
    decided = _last_look(sweep, last)
    if begins <= decided:
        return ""
    looks = f"last at step {decided:,}" if decided else "never"
    return (
        f"scheduler: {rule.name} will never act: it acts from step {begins:,} on, but looks "
        f"{looks} before the end of {last:,} steps"
    )
