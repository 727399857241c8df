"""The shape of a trial: what decides how much it costs to train, as a short name.

Networks, sizes, batch, tricks and precision are words, switches and whole numbers in a trial
config; a number with a fraction (a rate, a weight, a decay) changes what is learnt and not what
that takes, unless it is 0: a term without weight is not computed. So a shape is a config that tells
of the latter only whether they are 0, and nothing of how long it trains, from which seed and when
it is stopped. Trials whose costs are alike may have different shapes, when a whole number costs
nothing; those of one shape cost the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from trials.distributions import OURS, version_of

FREE = (
    "steps",
    "seed",
    "device",
    "health",
    "parts",
    "evaluation.every",
    "evaluation.final_samples",
)
"""Settings of a trial config, by dotted path, on which a step and an evaluation do not depend."""


def shape_of(config: Mapping[str, Any]) -> str:
    """The shape of a trial config with every default written out.

    Versions are in it: what another one takes has to be seen anew.
    """
    versions = [version_of(OURS), version_of("torch")]
    text = json.dumps([_costly(config), versions], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _costly(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    return {
        key: _costly(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
        for key, value in config.items()
        if f"{prefix}{key}" not in FREE and not (isinstance(value, float) and value != 0)
    }
