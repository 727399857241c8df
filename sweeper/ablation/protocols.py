"""Which values may stand beside which: the protocols by which they were measured.

Values of different protocols are not compared. Whether raw or averaged weights were sampled is part
of a configuration, not of the measure, and makes no other protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Protocol = Mapping[str, str]

CONFIGURED = frozenset({"weights"})
"""Protocol fields that a configuration decides: the trick `ema` is what has averaged weights
sampled, so an ablation of it compares averaged with raw ones by intent."""


def measured_alike(first: Protocol, other: Protocol) -> bool:
    """Whether values of these two can be compared. Where none was recorded nothing forbids it."""
    if not first or not other or first == other:
        return True
    fields = (first.keys() | other.keys()) - CONFIGURED
    return all(str(first.get(name)) == str(other.get(name)) for name in fields)


def most_common(protocols: Iterable[Protocol]) -> Protocol:
    """The protocol of most, of the earliest among equals; an empty one where none was recorded."""
    groups: list[tuple[Protocol, int]] = []
    for protocol in filter(None, protocols):
        for place, (counted, count) in enumerate(groups):
            if measured_alike(protocol, counted):
                groups[place] = counted, count + 1
                break
        else:
            groups.append((protocol, 1))
    return max(groups, key=lambda group: group[1], default=({}, 0))[0]
