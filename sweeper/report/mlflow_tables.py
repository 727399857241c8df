"""What the report says of a search, as columns for MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper.standings import Standings
from sweeper.standings.against_base import confirmed_differences

Columns = dict[str, list[Any]]


def evidence(
    standings: Standings, importances: Mapping[str, float], fanova: Mapping[str, float]
) -> dict[str, Columns]:
    """Tables by name; those about which nothing is known yet are left out.

    `importances`: each parameter's share by either method, and beside them, the same in every row,
    the share of the variance that is seed noise. `best_tenth`: each toggle's share among the best
    tenth of trials and among the rest. `against_base`: what each configuration on fresh seeds has
    gained on the base.
    """
    tables: dict[str, Columns] = {}
    if gains := confirmed_differences(standings):
        columns = ("value", "base", "difference", "low", "high", "seeds", "verdict")
        tables["against_base"] = {
            "trial": list(gains),
            **{name: [getattr(gain, name) for gain in gains.values()] for name in columns},
        }
    if importances:
        noise = standings.noise
        count = len(importances)
        tables["importances"] = {
            "parameter": list(importances),
            "ped_anova": list(importances.values()),
            "fanova": [fanova.get(path) for path in importances],
            "seed_noise": [noise.share if noise else None] * count,
            "seed_noise_low": [noise.low if noise else None] * count,
            "seed_noise_high": [noise.high if noise else None] * count,
        }
    if standings.shares:
        fields = ("name", "top", "rest", "difference", "low", "high", "p", "p_holm")
        tables["best_tenth"] = {
            field: [getattr(share, field) for share in standings.shares] for field in fields
        }
    return tables
