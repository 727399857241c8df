"""No rule: every trial runs to its end, unless a sign of failure stops it."""

from __future__ import annotations

from sweeper.search.stopping_rule import StoppingRule


class NoRule(StoppingRule):
    """Lets every trial go on."""

    key = "none"
    summary = "every trial runs to its end"
    decides = False
