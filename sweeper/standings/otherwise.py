"""Which trials were measured by another protocol than the sweep is now, in words."""

from __future__ import annotations

from sweeper.protocols import differing
from sweeper.standings.standings import Standings
from sweeper.wording import plural, protocol_field


def measured_otherwise(standings: Standings) -> str:
    """`3 trials were measured by another protocol (other contents of the data)`; empty where none
    was."""
    others = standings.measured_otherwise
    if not others:
        return ""
    names = dict.fromkeys(
        name for trial in others for name in differing(standings.protocol, trial.protocol)
    )
    count = f"{plural(len(others), 'trial')} {'was' if len(others) == 1 else 'were'}"
    what = ", ".join(protocol_field(name) for name in names)
    return f"{count} measured by another protocol (other {what})"
