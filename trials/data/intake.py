"""What became of data on their way in: taken, skipped and why, of which sizes and kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trials.data.faults import SettingError

DEEPEST = 2**16 - 1
"""The greatest value of a 16-bit pixel."""

NARROW = DEEPEST / 8
"""16-bit pictures that use a smaller range than this become nearly black."""

UPPER_BYTE = "16-bit values keep their upper byte"
"""The rule by which they become bytes, unless they are spread."""

FEW = 5
"""Examples of one kind that are told."""

OTHERS = "others"
"""What is beyond those, together."""

KINDS = 100
"""Different reasons, sizes or modes that are counted apart."""


@dataclass(frozen=True)
class Intake:
    """What the pictures of a source were, and which of them were left out.

    `total` were looked at. `skipped` counts those left out by their reason, `examples` names the
    first of them. `sizes` (width × height, as stored) and `modes` count those taken. `used` are the
    least and the greatest value of the 16-bit ones, None where there are none. `rule` says how
    values that are no bytes became bytes.
    """

    total: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    used: tuple[int, int] | None = None
    rule: str = ""

    @property
    def left_out(self) -> int:
        """How many were skipped."""
        return sum(self.skipped.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Intake:
        """The inverse of `as_dict`, from JSON."""
        used = given["used"]
        lists = {"examples": tuple(given["examples"]), "used": tuple(used) if used else None}
        return cls(**{**given, **lists})

    def warnings(self) -> list[str]:
        """What somebody who trains on these data should know."""
        told = []
        if self.skipped:
            most = Counter(self.skipped).most_common(FEW)
            reasons = [f"{count} {reason}" for reason, count in most]
            if others := self.left_out - sum(count for _, count in most):
                reasons.append(f"{others} for other reasons")
            told.append(
                f"{self._share()} skipped: {', '.join(reasons)}; the first: {self.examples[0]}"
            )
        if self.used is not None and self.rule == UPPER_BYTE:
            low, high = self.used
            if high - low < NARROW:
                told.append(
                    f"the 16-bit pictures use the values {low} to {high} of 0 to {DEEPEST}, and "
                    "nearly all of what they show is lost in the dark; `range: used` spreads "
                    "these values over 0 to 255"
                )
        return told

    def in_words(self) -> str:
        """For a protocol: what was skipped, and the rule; empty where there is nothing to say."""
        skipped = f"{self._share()} skipped" if self.skipped else ""
        return "; ".join(filter(None, (skipped, self.rule)))

    def _share(self) -> str:
        return f"{self.left_out} of {self.total} pictures"


@dataclass
class Tally:
    """Counts pictures while they are decoded: the corrupt ones against the `share` of `total` that
    may be skipped, the others by what they are. `unread` are the corrupt ones that could not even
    be read from their files."""

    place: str = ""
    total: int = 0
    share: float = 0.0
    rule: str = ""
    unread: int = 0
    used: tuple[int, int] | None = None
    examples: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)

    @property
    def skipped(self) -> int:
        """How many were corrupt."""
        return self.reasons.total()

    def corrupt(self, where: str, reason: str, *, unread: bool = False) -> None:
        """Count one that is left out.

        Raises:
            SettingError: now there are more than the share allows.
        """
        _count(self.reasons, reason)
        self.unread += unread
        if len(self.examples) < FEW:
            self.examples.append(_visible(f"{where} ({reason})"))
        if self.skipped > self.share * self.total:
            raise too_many(f"{self.skipped} or more", self)

    def taken(self, width: int, height: int, mode: str, count: int = 1) -> None:
        """Count some that are taken, by the size and mode that they are stored in."""
        _count(self.sizes, f"{width} × {height}", count)
        _count(self.modes, mode, count)

    def uses(self, low: int, high: int) -> None:
        """A 16-bit picture has values from `low` to `high`."""
        before = self.used or (low, high)
        self.used = min(low, before[0]), max(high, before[1])

    def intake(self) -> Intake:
        """What has been counted."""
        return Intake(
            self.total,
            dict(self.reasons),
            tuple(self.examples),
            dict(self.sizes),
            dict(self.modes),
            self.used,
            self.rule,
        )


def too_many(count: str, tally: Tally) -> SettingError:
    """The fault that more pictures are corrupt than may be; `count` says in words how many."""
    return SettingError(
        "max_corrupt",
        f"{count} of {tally.total} images in {tally.place} cannot be decoded, "
        f"the first is {tally.examples[0]}",
        f"at most a share of {tally.share:g}",
    )


def _visible(text: str) -> str:
    """Names of files may hold anything; in a log nothing of it acts on a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _count(counts: Counter[str], name: str, count: int = 1) -> None:
    counts[name if name in counts or len(counts) < KINDS else OTHERS] += count
