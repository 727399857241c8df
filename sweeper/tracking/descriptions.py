"""Whose a description in MLflow is. Ours has its digest in a tag beside it; one that somebody has
written or changed has not, and is theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sweeper.tracking.names import NOTE_TAG

NOTE_DIGEST_TAG = "sweeper.note"
"""Digest of the description as it was written."""


def described(text: str) -> dict[str, str]:
    """The tags that show a description of ours."""
    return {NOTE_TAG: text, NOTE_DIGEST_TAG: _digest(text)}


def is_somebodys(present: Mapping[str, str]) -> bool:
    """Whether these tags show a description that is not ours."""
    note = present.get(NOTE_TAG)
    return note is not None and _digest(note) != present.get(NOTE_DIGEST_TAG)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
