"""How much each searched parameter matters for the first objective, by Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeper.ablation.search_statistics import Importance, too_few_to_tell
from sweeper.protocols import Protocol
from sweeper.search.sampler_view import SamplerView, with_values
from sweeper.sweepfile.model import Sweep

Method = Literal["ped_anova", "fanova"]

MOST = {"ped_anova": 10_000, "fanova": 250}
"""Trials that a method looks at, evenly chosen: fANOVA takes a second for so many with 20
parameters, and minutes for 10,000."""

RESAMPLES = 20
"""Bootstrap samples, and as many shuffles."""

RESAMPLED = {"ped_anova": 1_000, "fanova": 100}
"""Trials of a resample; what spreads for m of n trials spreads √(m/n) as much for all of them."""

TREES = 32
TREES_OF_A_RESAMPLE = 8
"""A smaller forest scatters more of itself, so intervals of fANOVA are a little too wide."""

_Shares = dict[str, float]


def importances_of(
    sweep: Sweep, study: optuna.Study, protocol: Protocol, method: Method = "ped_anova"
) -> dict[str, Importance]:
    """Importance of each searched parameter; the shares sum to 1.

    On the sweep's own completed trials of the search that were measured by `protocol` and are of
    one setting (they took no other's weights over): `ped_anova` tells what sets good trials apart
    from the rest (Watanabe et al. 2023, arXiv:2304.10255), `fanova` what explains the variance over
    all of them (Hutter et al. 2014), by a forest with a fixed seed.
    Intervals are share ± 1.96 deviations over bootstrap samples of the trials, `luck` the largest
    share among as many shuffles of their scores, all drawn with a fixed seed. Empty for too few
    trials (`too_few_to_tell`), where all of their values are equal, and for an ablation, whose
    effects say more.
    """
    if sweep.is_ablation:
        return {}
    view = SamplerView(sweep, study, protocol=protocol, learns=False)
    complete = view.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    complete = _thinned(complete, MOST[method])
    scores = {trial.values[0] for trial in complete}
    shared = set.intersection(*(set(trial.params) for trial in complete)) if complete else set()
    if too_few_to_tell(len(complete), len(sweep.parameters)) or len(scores) < 2 or not shared:
        return {}
    shares_of = _shares(sweep, view, method)
    found = shares_of(complete, TREES)
    deviations = _deviations(shares_of, complete, RESAMPLED[method], list(found))
    luck = _luck(shares_of, _thinned(complete, RESAMPLED[method]))
    return {
        path: Importance(
            share, max(0.0, share - 1.96 * spread), min(1.0, share + 1.96 * spread), luck
        )
        for (path, share), spread in zip(found.items(), deviations, strict=True)
    }


def _shares(
    sweep: Sweep, view: SamplerView, method: Method
) -> Callable[[list[FrozenTrial], int], _Shares]:
    """(trials, trees of a forest) → share of each parameter."""
    # With a target of its own PED-ANOVA takes the lowest for the best, whatever the goal.
    sign = -1.0 if sweep.objective[0].goal == "maximize" else 1.0
    target = None if len(sweep.objective) == 1 else lambda trial: sign * trial.values[0]

    def shares(trials: list[FrozenTrial], trees: int) -> _Shares:
        by: optuna.importance.BaseImportanceEvaluator
        if method == "fanova":
            by = optuna.importance.FanovaImportanceEvaluator(n_trees=trees, max_depth=32, seed=0)
        else:
            by = optuna.importance.PedAnovaImportanceEvaluator()
        view.show(trials)
        with warnings.catch_warnings():
            # Of conditions that hardly a trial met: more trials are all that mends it.
            warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
            warnings.filterwarnings("ignore", ".*to achieve low `target` values", UserWarning)
            told = optuna.importance.get_param_importances(view, evaluator=by, target=target)
        return {path: float(share) for path, share in told.items()}

    return shares


def _deviations(
    shares_of: Callable[[list[FrozenTrial], int], _Shares],
    trials: list[FrozenTrial],
    most: int,
    paths: list[str],
) -> list[float]:
    """Standard deviation of each share over bootstrap samples of these trials."""
    generator = np.random.default_rng(0)
    count = min(len(trials), most)
    drawn = []
    for _ in range(RESAMPLES):
        sample = [trials[place] for place in generator.integers(len(trials), size=count)]
        if len({trial.values[0] for trial in sample}) > 1:
            shares = shares_of(sample, TREES_OF_A_RESAMPLE)
            drawn.append([shares.get(path, 0.0) for path in paths])
    spread = np.std(drawn, axis=0, ddof=1) * np.sqrt(count / len(trials))
    return [float(one) for one in spread]


def _luck(
    shares_of: Callable[[list[FrozenTrial], int], _Shares], trials: list[FrozenTrial]
) -> float:
    """The largest share of any parameter where scores have nothing to do with settings: a search in
    which that is so exceeds the largest of m shuffles with a chance of 1/(m+1)."""
    generator = np.random.default_rng(1)
    largest = 0.0
    for _ in range(RESAMPLES):
        order = generator.permutation(len(trials))
        shuffled = [
            with_values(trial, trials[place].values)
            for trial, place in zip(trials, order, strict=True)
        ]
        largest = max(largest, *shares_of(shuffled, TREES_OF_A_RESAMPLE).values())
    return largest


def _thinned(trials: list[FrozenTrial], most: int) -> list[FrozenTrial]:
    """These trials, `most` at most, evenly spread over the search."""
    step = max(1.0, len(trials) / most)
    return [trials[int(place * step)] for place in range(min(len(trials), most))]
