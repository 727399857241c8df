"""What somebody believes of a parameter before any trial, and how much that counts.

    x_n ∈ argmax α(x, D_n) π(x)^(β/n)

Hvarfner et al. 2022, πBO: Augmenting Acquisition Functions with User Beliefs for Bayesian
Optimization, arXiv 2204.11051. α is what the sampler makes of the n trials so far, π the belief, a
density over the space: it leads at first and fades as trials come in, so that a wrong one costs
trials and not the optimum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field

from sweeper.parts import Fault
from sweeper.search.quantiles import at, quantile
from sweeper.sweepfile.domains import Parameter, Range, Toggle, same
from trials.problems import nearest
from trials.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 100
"""So often a draw beyond the bounds is drawn again."""

FLOOR = 1e-12
"""The least that a belief allows anything: what is thought impossible is only unlikely."""


class Belief(Settings):
    """What is believed of one parameter: of a range `center` and `spread`, of values their
    `weights`, of a toggle how likely it is best `on`."""

    model_config = ConfigDict(use_attribute_docstrings=True, allow_inf_nan=False)

    center: float | None = None
    """Of a range: where its best value is thought to be."""
    spread: float | None = Field(default=None, gt=0, le=1)
    """Standard deviation around it, as a share of the range on the scale that it is drawn on."""
    weights: tuple[float, ...] | None = None
    """Of values: how likely each is the best, in their order; they need not add up to 1."""
    on: float | None = Field(default=None, ge=0, le=1)
    """Of a trick: how likely it is best to be on."""

    def log_density(self, parameter: Parameter, value: Any) -> float:
        """log π of a value, but for a constant; of a range it is a normal density between the
        bounds, on the scale that the range is drawn on."""
        if isinstance(parameter.domain, Range):
            assert self.center is not None
            assert self.spread is not None
            away = (quantile(parameter, value) - quantile(parameter, self.center)) / self.spread
            return max(-0.5 * away * away, math.log(FLOOR))
        shares = self._shares(parameter)
        place = next(i for i, own in enumerate(parameter.domain.points()) if same(own, value))
        return math.log(max(shares[place], FLOOR))

    def draw(self, parameter: Parameter, rng: np.random.Generator) -> Any:
        """A value by this belief."""
        if isinstance(parameter.domain, Range):
            assert self.center is not None
            assert self.spread is not None
            middle = _bin(parameter, quantile(parameter, self.center))
            for _ in range(DRAWS):
                u = _bin(parameter, rng.normal(quantile(parameter, self.center), self.spread))
                if 0 <= u < 1:
                    return at(parameter, float(u))
            # A spread that rounding swallows leaves every draw at a bound that is the centre.
            return at(parameter, min(middle, math.nextafter(1, 0)))
        points = tuple(parameter.domain.points())
        return points[int(rng.choice(len(points), p=self._shares(parameter)))]

    def _shares(self, parameter: Parameter) -> list[float]:
        if isinstance(parameter.domain, Toggle):
            on = self.on or 0.0
            return [on if point else 1 - on for point in parameter.domain.points()]
        weights = self.weights or ()
        parts = [weight / max(weights) for weight in weights]  # whose sum is finite
        return [part / sum(parts) for part in parts]


def _bin(parameter: Parameter, place: float) -> float:
    """What `at` turns into the value nearest to a `quantile`, also beyond the bounds: it divides a
    range in steps into equal bins, and the outermost values stand in the middle of theirs."""
    domain = parameter.domain
    size = domain.size()
    if size is None or (isinstance(domain, Range) and domain.log):
        return place
    return (place * (size - 1) + 0.5) / size


def faults_of(beliefs: Mapping[str, Belief], parameters: Sequence[Parameter]) -> Iterable[Fault]:
    """What is wrong with the beliefs of a sweep file, each at its place."""
    by_path = {parameter.path: parameter for parameter in parameters}
    for path, belief in beliefs.items():
        place = ("search", "prior", path)
        if path not in by_path:
            close = nearest(path, list(by_path))
            yield Fault(place, "is not a parameter of this sweep", "one of its parameters", close)
            continue
        domain = by_path[path].domain
        given = set(belief.model_dump(exclude_none=True))
        if isinstance(domain, Range):
            wanted, words = {"center", "spread"}, "{center: …, spread: …}, because it is a range"
        elif isinstance(domain, Toggle):
            wanted, words = {"on"}, "{on: …}, because it is a toggle"
        else:
            wanted, words = {"weights"}, "{weights: […]}, because it has values"
        if given != wanted:
            yield Fault(place, f"has {', '.join(sorted(given)) or 'nothing'}", words)
        elif isinstance(domain, Range) and not domain.low <= (belief.center or 0) <= domain.high:
            within = f"a value between {domain.low} and {domain.high}"
            yield Fault((*place, "center"), f"{belief.center} is outside the range", within)
        elif belief.weights is not None:
            size, weights = len(tuple(domain.points())), belief.weights
            if len(weights) != size or min(weights) < 0 or not sum(weights):
                told = f"{size}, each at least 0 and one above 0"
                yield Fault((*place, "weights"), f"there are {len(weights)} weights", told)


def weighted(
    log_good: NDArray[np.float64],
    log_bad: NDArray[np.float64],
    log_prior: NDArray[np.float64],
    *,
    share: float,
    exponent: float,
) -> NDArray[np.float64]:
    """log(α(x) π(x)^(β/n)) of candidates, shape (candidates,); `exponent` is β/n.

    α is the expected improvement of the tree-structured Parzen estimator, but for a constant:
    (γ + (1 − γ) g(x)/l(x))⁻¹, where `share` is γ, l the density of the good trials and g that of
    the others (Bergstra et al. 2011).
    """
    import numpy as np

    # log α = −log(γ + (1 − γ) g/l)
    log_alpha = -np.logaddexp(np.log(share), np.log1p(-share) + log_bad - log_good)
    return np.asarray(log_alpha + exponent * log_prior)
