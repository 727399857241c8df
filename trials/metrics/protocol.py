"""What a number called FID was measured with, and the refusal to compare unlike numbers.

The same generator scores differently under another extractor, sample count, resize rule or set
of batch statistics, so every value carries its `Protocol`, and whatever compares or
tabulates values asks `require_same` first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from trials.errors import TrialError


class ProtocolError(TrialError):
    """Values measured under different protocols were about to be compared."""


@dataclass(frozen=True)
class Protocol:
    """Everything a measured value depends on besides the generator itself."""

    extractor: str
    extractor_hash: str
    data: str
    data_hash: str
    real_count: int
    fake_count: int
    resize: str
    quantisation: str
    weights: str
    """`raw` or `averaged`: which of the generator's weights were sampled."""
    batch_statistics: str
    """`running`, or `standing:BATCHESxSIZE`: how normalisation layers were set."""
    settings: str = ""
    """Constants of the single measures, such as the k of the nearest neighbours."""

    def as_dict(self) -> dict[str, str]:
        """All fields as text, ready for tags and JSON."""
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Protocol:
        """The inverse of `as_dict`.

        Raises:
            ProtocolError: keys are missing or unknown.
        """
        names = {field.name for field in fields(cls)}
        if set(raw) != names:
            wrong = ", ".join(sorted(names ^ set(raw)))
            raise ProtocolError(f"not a protocol: missing or unknown {wrong}")
        counts = {name: int(raw[name]) for name in ("real_count", "fake_count")}
        return cls(**{**raw, **counts})

    def key(self) -> str:
        """A short hash; two values may be compared exactly when their keys are equal."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def difference(self, other: Protocol) -> dict[str, tuple[str, str]]:
        """The fields in which two protocols differ, each with both values."""
        mine, theirs = self.as_dict(), other.as_dict()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


def require_same(protocols: Iterable[Protocol]) -> Protocol:
    """The one protocol that all share.

    Raises:
        ProtocolError: there are several; each field that differs is named.
        ValueError: there is none.
    """
    others = iter(protocols)
    first = next(others, None)
    if first is None:
        raise ValueError("no protocol to compare")
    for other in others:
        difference = first.difference(other)
        if difference:
            told = "; ".join(f"{name}: {a} against {b}" for name, (a, b) in difference.items())
            raise ProtocolError(f"values of different protocols cannot be compared: {told}")
    return first


def counted(metric: str, count: int) -> str:
    """The metric's name with its number of generated samples: `fid_5k`, `fid_1024`.

    For names that leave their protocol behind (a table, a figure, a paper).
    """
    size = f"{count // 1000}k" if count % 1000 == 0 and count else str(count)
    name, slash, rest = metric.partition("/")
    return f"{name}_{size}{slash}{rest}"
