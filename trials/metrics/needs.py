"""What measures may need of data, extractor and generator. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

NEIGHBOURS = 5
"""k of the measures over nearest neighbours."""

REAL_SAMPLES = 10_000
"""Real images, at most, among which neighbours and pairs are looked for unless a file says more."""

Need = Literal["logits", "classes", "modes", "held_out", "conditional", "neighbours"]

REASONS: Mapping[Need, str] = {
    "logits": "an extractor with classes (digits, inception or trained)",
    "classes": "an extractor whose classes are those of the data (digits, of the digits)",
    "modes": "data with known modes (ring or grid)",
    "held_out": "held-out images: set data.holdout",
    "conditional": "labelled data and a generator that takes labels",
    "neighbours": f"more than {NEIGHBOURS} images on each side",
}
"""What is missing where a need is not met."""


def taken_by_itself(needs: frozenset[Need], met: frozenset[Need]) -> bool:
    """Whether a measure is taken where nobody asks for it: one over the extractor's classes only
    where these are the data's."""
    return needs <= met and ("logits" not in needs or "classes" in met)
