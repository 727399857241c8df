"""Optuna's tree-structured Parzen estimator with beliefs (`belief`).

Before there are trials enough to model, what is believed in is drawn by its belief. From then on
half of the candidates are, beside those that the good trials suggest, and all are compared by the
weighted expected improvement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.belief import Belief, weighted
from sweeper.search.distributions import from_study, to_study
from sweeper.search.sampler_view import SamplerView
from sweeper.sweepfile.domains import Parameter

if TYPE_CHECKING:
    from optuna.study import Study

    from sweeper.sweepfile.model import Sweep


class BelievingTPE(TPESampler):
    """`weight` is β: after n trials a belief counts with the exponent β/n."""

    def __init__(
        self, sweep: Sweep, beliefs: Mapping[str, Belief], weight: float, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._beliefs = {path: (sweep.parameter(path), one) for path, one in beliefs.items()}
        self._weight = weight
        self._draws = np.random.default_rng(settings["seed"])
        self._modelled = 0
        self._known = 0
        self._parzen_estimator_cls = self._estimator  # type: ignore[assignment]

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """A value of one parameter, by its belief while nothing can be modelled."""
        few = _modelled(study) < self._n_startup_trials
        if few and param_name in self._beliefs:
            parameter, belief = self._beliefs[param_name]
            return to_study(parameter.domain, belief.draw(parameter, self._draws))
        return super().sample_independent(study, trial, param_name, param_distribution)

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        assert isinstance(study, SamplerView)
        self._modelled = _modelled(study)
        # Of a long search a model looks at some, and of one with rungs also at what still runs.
        self._known = max(study.finished, self._modelled)
        return super()._sample(study, trial, search_space)

    def _estimator(
        self, observations: Any, search_space: dict[str, BaseDistribution], *rest: Any
    ) -> _ParzenEstimator:
        held = {name: self._beliefs[name] for name in search_space if name in self._beliefs}
        return _WithBeliefs(observations, search_space, *rest, beliefs=held, rng=self._draws)

    def _compute_acquisition_func(
        self,
        samples: dict[str, Any],
        mpe_below: _ParzenEstimator,
        mpe_above: _ParzenEstimator,
    ) -> Any:
        assert isinstance(mpe_below, _WithBeliefs)
        assert self._gamma is not None
        # A trial that is alone is good, and leaves the others no share: then half counts.
        good = min(self._gamma(self._modelled), self._modelled - 0.5)
        return weighted(
            mpe_below.log_pdf(samples),
            mpe_above.log_pdf(samples),
            mpe_below.log_prior(samples),
            share=good / self._modelled,
            exponent=self._weight / self._known,
        )


def _modelled(study: Study) -> int:
    """How many trials Optuna makes its model of, but for those that run."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return len(study._get_trials(deepcopy=False, states=states))


class _WithBeliefs(_ParzenEstimator):
    """The density of some trials, which draws every second candidate by the beliefs."""

    def __init__(
        self,
        observations: Any,
        search_space: dict[str, BaseDistribution],
        *rest: Any,
        beliefs: Mapping[str, tuple[Parameter, Belief]],
        rng: np.random.Generator,
    ) -> None:
        super().__init__(observations, search_space, *rest)
        self._held = beliefs
        self._space = search_space
        self._own_rng = rng

    def sample(self, rng: Any, size: int) -> dict[str, Any]:
        """Candidates in Optuna's own representation, name → array of shape (size,)."""
        drawn: dict[str, Any] = super().sample(rng, size)
        for name, (parameter, belief) in self._held.items():
            column = np.array(drawn[name], dtype=float)
            for place in range(0, size, 2):
                value = to_study(parameter.domain, belief.draw(parameter, self._own_rng))
                column[place] = self._space[name].to_internal_repr(value)
            drawn[name] = column
        return drawn

    def log_prior(self, samples: Mapping[str, Any]) -> Any:
        """log π of candidates, shape (size,), but for a constant."""
        size = len(next(iter(samples.values())))
        total = np.zeros(size)
        for name, (parameter, belief) in self._held.items():
            external = map(self._space[name].to_external_repr, samples[name])
            values = [from_study(parameter.domain, value) for value in external]
            total += [belief.log_density(parameter, value) for value in values]
        return total
