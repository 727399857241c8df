"""What the report says of a search, as columns for MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper.ablation.search_statistics import Importance, too_few_to_tell
from sweeper.standings import Standings
from sweeper.standings.against_base import confirmed_differences
from sweeper.standings.one_setting import left_out, of_one_setting

Columns = dict[str, list[Any]]


def evidence(
    standings: Standings, importances: Mapping[str, Importance], fanova: Mapping[str, Importance]
) -> dict[str, Columns]:
    """Tables by name; those about which nothing is known yet are left out.

    `importances`: each parameter's share by either method with its interval, or why there is none,
    and beside them, the same in every row, the share of the variance that is seed noise.
    `best_tenth`: each toggle's share among the best tenth of trials and among the rest.
    `against_base`: what each configuration on fresh seeds has gained on the base.
    """
    tables: dict[str, Columns] = {}
    if gains := confirmed_differences(standings):
        columns = ("value", "base", "difference", "low", "high", "seeds", "verdict")
        tables["against_base"] = {
            "trial": list(gains),
            **{name: [getattr(gain, name) for gain in gains.values()] for name in columns},
        }
    if columns_of_importances := _importances(standings, importances, fanova):
        tables["importances"] = columns_of_importances
    if standings.shares:
        fields = ("name", "top", "rest", "difference", "low", "high", "p", "p_holm")
        tables["best_tenth"] = {
            field: [getattr(share, field) for share in standings.shares] for field in fields
        }
    return tables


def _importances(
    standings: Standings, importances: Mapping[str, Importance], fanova: Mapping[str, Importance]
) -> Columns:
    """A row a parameter; without numbers and with the reason for that where trials are too few."""
    searched = [parameter.path for parameter in standings.sweep.parameters]
    too_few = too_few_to_tell(len(of_one_setting(standings)), len(searched))
    paths = list(importances) or (searched if too_few and standings.finished else [])
    if not paths or standings.sweep.is_ablation:
        return {}
    columns: Columns = {"parameter": paths}
    for method, shares in (("ped_anova", importances), ("fanova", fanova)):
        told = [shares.get(path) for path in paths]
        columns[method] = [one and one.share for one in told]
        columns[f"{method}_low"] = [one and one.low for one in told]
        columns[f"{method}_high"] = [one and one.high for one in told]
        columns[f"{method}_luck"] = [one and one.luck for one in told]
    noise = standings.noise
    columns["seed_noise"] = [noise and noise.share] * len(paths)
    columns["seed_noise_low"] = [noise and noise.low] * len(paths)
    columns["seed_noise_high"] = [noise and noise.high] * len(paths)
    note = "; ".join(filter(None, ("" if importances else too_few, left_out(standings))))
    columns["note"] = [note] * len(paths)
    return columns
