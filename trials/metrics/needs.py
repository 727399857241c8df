"""What measures may need of data, extractor and generator. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

NEIGHBOURS = 5
"""k of the measures over nearest neighbours."""

Need = Literal["logits", "modes", "held_out", "conditional", "neighbours"]

REASONS: Mapping[Need, str] = {
    "logits": "an extractor with classes (digits or inception)",
    "modes": "data with known modes (ring or grid)",
    "held_out": "held-out images: set data.holdout",
    "conditional": "labelled data and a generator that takes labels",
    "neighbours": f"more than {NEIGHBOURS} images on each side",
}
"""What is missing where a need is not met."""
