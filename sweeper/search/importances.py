"""How much each searched parameter matters for the first objective, by Optuna."""

from __future__ import annotations

import warnings
from typing import Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeper.protocols import Protocol
from sweeper.search.sampler_view import SamplerView
from sweeper.sweepfile.model import Sweep

Importance = Literal["ped_anova", "fanova"]

FANOVA_TRIALS = 250
"""Trials that fANOVA looks at: a second for so many with 20 parameters, minutes for 10,000."""


def importances_of(
    sweep: Sweep, study: optuna.Study, protocol: Protocol, method: Importance = "ped_anova"
) -> dict[str, float]:
    """Importance of each searched parameter; they sum to 1.

    On the completed trials of the search that were measured by `protocol`: `ped_anova` tells what
    sets good trials apart from the rest (Watanabe et al. 2023, arXiv:2304.10255), `fanova` what
    explains the variance over all of them (Hutter et al. 2014), by a forest with a fixed seed, on
    FANOVA_TRIALS trials at most, evenly chosen. Empty while fewer than four have completed or where
    all of their values are equal, and for an ablation, whose effects say more.
    """
    if sweep.is_ablation:
        return {}
    view = SamplerView(sweep, study, list if method == "ped_anova" else _thinned, protocol)
    complete = view.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    scores = {trial.values[0] for trial in complete}
    shared = set.intersection(*(set(trial.params) for trial in complete)) if complete else set()
    if len(complete) < 4 or len(scores) < 2 or not shared:
        return {}
    # With a target of its own PED-ANOVA takes the lowest for the best, whatever the goal.
    sign = -1.0 if sweep.objective[0].goal == "maximize" else 1.0
    target = None if len(sweep.objective) == 1 else lambda trial: sign * trial.values[0]
    by: optuna.importance.BaseImportanceEvaluator
    if method == "fanova":
        by = optuna.importance.FanovaImportanceEvaluator(n_trees=32, max_depth=32, seed=0)
    else:
        by = optuna.importance.PedAnovaImportanceEvaluator()
    with warnings.catch_warnings():
        # Of conditions that hardly a trial met: more trials are all that mends it.
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
        warnings.filterwarnings("ignore", ".*to achieve low `target` values", UserWarning)
        shares = optuna.importance.get_param_importances(view, evaluator=by, target=target)
    return {path: float(share) for path, share in shares.items()}


def _thinned(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Completed trials, FANOVA_TRIALS at most, evenly spread over the search."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    step = max(1.0, len(complete) / FANOVA_TRIALS)
    return [complete[int(place * step)] for place in range(min(len(complete), FANOVA_TRIALS))]
