"""Do the intervals cover, do the tests keep their error rate, does the race keep the winner?

    python -m benchmarks.coverage [--studies 2000] [--seed 0] [--only coverage,family,...]

Synthetic studies with planted effects. A run's value is its cell's effect + its seed's effect +
noise. In "both arms" the two cells of a pair share one noise law, so differences are symmetric
however skewed the noise is; in "one arm" the reference has hardly any noise, so differences are as
skewed as the noise itself: the hard case. Every share is of `--studies` simulated studies; at 2,000
a true 95% is seen between 94.0 and 96.0 in 19 of 20 simulations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from sweeper.ablation.comparison import best_set, compare
from sweeper.ablation.confirmation import confirm
from sweeper.ablation.effects import (
    improvement_interval,
    interquartile_mean_interval,
    probability_of_improvement,
)
from sweeper.ablation.intervals import METHOD_NAMES, METHODS, default_method, mean_interval
from sweeper.ablation.matrix import outcomes_from_matrix
from sweeper.ablation.paired import paired_t_test, power, sign_flip_test

Array = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Array]

# Mean 0 and standard deviation 1, by growing skewness.
NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "gamma(4), skew 1.0": lambda rng, shape: (rng.gamma(4.0, size=shape) - 4.0) / 2.0,
    "Gumbel, skew 1.1": lambda rng, shape: (
        (rng.gumbel(size=shape) - np.euler_gamma) / (np.pi / np.sqrt(6.0))
    ),
    "lognormal(½), skew 1.8": lambda rng, shape: _lognormal(rng, shape, 0.5),
    "exponential, skew 2.0": lambda rng, shape: rng.exponential(size=shape) - 1.0,
    "lognormal(1), skew 6.2": lambda rng, shape: _lognormal(rng, shape, 1.0),
}
NORMAL, SKEWED = "normal", "exponential, skew 2.0"


def _lognormal(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    mean = np.exp(sigma**2 / 2)
    deviation = mean * np.sqrt(np.exp(sigma**2) - 1)
    return np.asarray((rng.lognormal(0.0, sigma, size=shape) - mean) / deviation)


def differences(rng: np.random.Generator, noise: str, arms: str, studies: int, n: int) -> Array:
    """(studies, n) paired differences whose true mean is 0."""
    draw = NOISES[noise]
    reference = (
        draw(rng, (studies, n)) if arms == "both arms" else 0.1 * rng.normal(size=(studies, n))
    )
    return draw(rng, (studies, n)) - reference


def coverage(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """Share of studies whose nominal 95% interval holds the truth, for every method."""
    names = list(METHODS)
    heads = [METHOD_NAMES[name].replace(" bootstrap", "") for name in names]
    yield f"{'':35}{'n':>4}" + "".join(f"{head:>13}" for head in heads) + f"{'default':>22}"
    for arms in ("both arms", "one arm"):
        for noise in NOISES:
            for n in (5, 10):
                d = differences(rng, noise, arms, studies, n)
                shares = []
                for name in names:
                    ends = mean_interval(d, method=name)
                    shares.append(_share((ends.low <= 0) & (ends.high >= 0)))
                chosen = default_method(n)
                share = shares[names.index(chosen)]
                verdict = "in" if 93.5 <= share <= 96.5 else "OUT"
                yield (
                    f"{arms + ', ' + noise:35}{n:>4}"
                    + "".join(f"{value:>13.1f}" for value in shares)
                    + f"{METHOD_NAMES[chosen]:>12} {share:6.2f} {verdict:>3}"
                )
    yield "in: from 93.5 to 96.5"


def widths(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """Median width in deviations of the differences, normal noise."""
    for n in (5, 10):
        d = differences(rng, NORMAL, "both arms", studies, n)
        parts = []
        for name in METHODS:
            ends = mean_interval(d, method=name)
            width = np.median(np.asarray(ends.high) - np.asarray(ends.low)) / np.sqrt(2.0)
            parts.append(f"{METHOD_NAMES[name]} {width:.2f}")
        yield f"n = {n:>2}: " + ", ".join(parts)


def family(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """Eight cells that do nothing against one reference: studies with a false claim."""
    cells = [f"cell {index}" for index in range(9)]
    cases = [("both arms", NORMAL), ("both arms", SKEWED)]
    cases += [("one arm", "gamma(4), skew 1.0"), ("one arm", SKEWED)]
    for arms, noise in cases:
        for n in (5, 10):
            wrong = plain = 0
            for _ in range(studies):
                values = NOISES[noise](rng, (9, n))
                if arms == "one arm":
                    values[0] = 0.1 * rng.normal(size=n)
                values += rng.normal(size=n)
                found = compare(outcomes_from_matrix(cells, range(n), values), cells[0])
                wrong += bool((found.p_holm[1:] <= 0.05).any())
                plain += bool((found.p[1:] <= 0.05).any())
            yield (
                f"{arms + ', ' + noise:32} n = {n:>2}: {100 * wrong / studies:4.1f}% with Holm, "
                f"{100 * plain / studies:4.1f}% without"
            )


def found_effects(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """A planted effect of one standard deviation at n = 10, two-sided at 5%."""
    for unit, deviation in (("of the differences", 1.0), ("of a run", 1 / np.sqrt(2.0))):
        d = rng.normal(size=(studies, 10)) + deviation
        flips, t = sign_flip_test(d), paired_t_test(d)
        yield (
            f"one deviation {unit:19}: sign-flip {_share(np.asarray(flips) <= 0.05):.1f}%, "
            f"t {_share(np.asarray(t) <= 0.05):.1f}%, theory {100 * power(deviation, 10):.1f}%"
        )


def underlined(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """Is the truly best cell among those marked as perhaps the best? Nine cells."""
    cells = [f"cell {index}" for index in range(9)]
    for gap in (0.0, 0.5, 1.0):
        for noise in (NORMAL, SKEWED):
            for n in (5, 10):
                held = marked = 0
                for _ in range(studies):
                    values = NOISES[noise](rng, (9, n)) + rng.normal(size=n)
                    values[1:] += gap
                    found = best_set(outcomes_from_matrix(cells, range(n), values))
                    held += bool(found.members[0])
                    marked += int(found.members.sum())
                yield (
                    f"lead {gap:.1f} deviations, {noise:22} n = {n:>2}: held "
                    f"{100 * held / studies:5.1f}%, {marked / studies:.1f} of 9 cells marked"
                )


def race(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """Adaptive confirmation: is the truly best configuration given up, and what is saved?"""
    for k, replicates in ((3, 5), (5, 5), (5, 10)):
        for gap in (0.0, 1.0, 3.0, 10.0):
            for noise in (NORMAL, SKEWED):
                lost = runs = 0
                for _ in range(studies):
                    values = NOISES[noise](rng, (k, replicates)) + rng.normal(size=replicates)
                    values[1:] += gap
                    survived, count = _raced(values)
                    lost += not survived
                    runs += count
                saved = 100 * (1 - runs / (studies * k * replicates))
                yield (
                    f"{k} configurations, {replicates:>2} seeds, lead {gap:2.0f} deviations, "
                    f"{noise:22}: best given up {100 * lost / studies:4.1f}%, "
                    f"runs saved {saved:4.1f}%"
                )


def _raced(values: Array) -> tuple[bool, int]:
    """(whether configuration 0 stays in the race, runs that were made)."""
    keys = [str(index) for index in range(len(values))]
    seeds = range(values.shape[1])
    outcomes: dict[str, dict[int, float | None]] = {key: {} for key in keys}
    while (state := confirm(outcomes, seeds)).needed:
        for key, seed in state.needed:
            outcomes[key][seed] = float(values[int(key), seed])
    return "0" in state.racing, sum(map(len, outcomes.values()))


def gains(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """The best of m configurations less the base, on n seeds: plain intervals and widened ones."""
    for noise in (NORMAL, SKEWED):
        for n in (3, 5, 10):
            for m in (1, 3, 10):
                values = NOISES[noise](rng, (studies, m + 1, n))
                values += rng.normal(size=(studies, 1, n))
                best = values[:, 1:].mean(axis=2).argmin(axis=1) + 1
                d = values[np.arange(studies), best] - values[:, 0]
                told = []
                for level in (0.95, 1 - 0.05 / m):
                    ends = mean_interval(d, level=level)
                    held = _share((ends.low <= 0) & (ends.high >= 0))
                    told.append(f"{held:5.1f}% held, {_share(np.asarray(ends.high) < 0):4.1f}%")
                yield (
                    f"{noise:22} n = {n:>2}, best of {m:>2} that gain nothing: plain {told[0]} "
                    f"called better; at 1 - 5%/m {told[1]}"
                )


def shares(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """Intervals of the interquartile mean and of the probability of improvement."""
    for n in (5, 10):
        for noise in (NORMAL, SKEWED):
            sample = np.sort(NOISES[noise](rng, (1_000_000,)))
            truth = sample[250_000:750_000].mean()
            ours = rliable = 0
            for _ in range(studies):
                values = NOISES[noise](rng, (n,))
                low, high, _ = interquartile_mean_interval(values)
                ours += bool(low <= truth <= high)
                drawn = np.sort(values[rng.integers(0, n, (400, n))], axis=1)
                means = drawn[:, n // 4 : n - n // 4].mean(axis=1)
                ends = np.quantile(means, [0.025, 0.975])
                rliable += bool(ends[0] <= truth <= ends[1])
            yield (
                f"interquartile mean, {noise:22} n = {n:>2}: trimmed t "
                f"{100 * ours / studies:.1f}%, percentile bootstrap {100 * rliable / studies:.1f}%"
            )
        for shift in (0.0, 1.0, 3.0):
            truth = float(stats.norm.cdf(shift / np.sqrt(2.0)))
            held = 0
            for _ in range(studies):
                x, y = rng.normal(size=n) - shift, rng.normal(size=n)
                low, high = improvement_interval(probability_of_improvement(x, y), n, n)
                held += bool(low <= truth <= high)
            yield (
                f"P(better) = {truth:.2f}, n = {n:>2}: Newcombe's interval "
                f"{100 * held / studies:.1f}%"
            )


def _share(hits: npt.ArrayLike) -> float:
    return 100.0 * float(np.asarray(hits).mean())


SECTIONS: dict[str, Callable[[np.random.Generator, int], Iterator[str]]] = {
    "coverage": coverage,
    "widths": widths,
    "family": family,
    "power": found_effects,
    "underlined": underlined,
    "race": race,
    "shares": shares,
    "gains": gains,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma-separated")
    options = parser.parse_args(arguments)
    for name in options.only.split(","):
        section = SECTIONS[name]
        print(f"\n{name}: {(section.__doc__ or '').splitlines()[0]}", flush=True)
        # Each section draws from its own stream, so that asking for one changes no other.
        rng = np.random.default_rng([options.seed, list(SECTIONS).index(name)])
        for line in section(rng, options.studies):
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
