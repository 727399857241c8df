"""Main effects and two-way interactions of a factorial, with intervals; half-normal data.

For two levels the main effect of A is mean(A on) − mean(A off), and the interaction A × B is half
the difference between the effect of A with B on and with B off. With more levels each level is
compared with the factor's first. In a fraction, effects that share one estimate are reported once,
under their shortest name, with the aliases.

Where every seed ran every cell, the effect is computed seed by seed and the interval is that of
`intervals.mean_interval` over seeds: seeds may differ, and cells may differ in spread. Where runs
are missing, least squares with a constant for each seed uses what is there, and the interval is
Student's t from the pooled residual.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from sweeper.ablation.design import AliasTerm, Cell, Design, Factor, canonical
from sweeper.ablation.intervals import mean_interval
from sweeper.ablation.matrix import Outcomes
from sweeper.ablation.numerics import average_ranks, without_rounding
from sweeper.ablation.paired import TestName, holm, paired_test, suitable_test

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """One main effect or two-way interaction."""

    name: str
    factors: tuple[str, ...]
    estimate: float
    low: float
    high: float
    p: float
    p_holm: float
    aliases: tuple[AliasTerm, ...]
    method: str
    """"sign_flip" or "t": seed by seed; "least squares": pooled, where runs are missing;
    "lenth": a single seed, margins from the effects themselves."""


@dataclass(frozen=True)
class Effects:
    """All effects that the runs determine, and those that they do not."""

    effects: tuple[Effect, ...]
    confounded: tuple[str, ...]
    """Effects left out because impossible or missing cells make them inseparable from others."""
    outcomes: Outcomes
    runs: int
    seeds: int
    dropped: int
    """Runs that failed or have not ended, absent from every estimate."""
    test: TestName | Literal["pooled"] | None
    """Which test over the seeds; "pooled": t of least squares; None: a single seed."""


@dataclass(frozen=True)
class HalfNormal:
    """Points of a half-normal plot: |effect| against the quantile it would have by chance."""

    names: tuple[str, ...]
    quantiles: Array
    sizes: Array
    pseudo_error: float
    """Lenth's (1989) pseudo standard error; the line of pure chance is size = error · quantile."""
    margin: float
    simultaneous_margin: float


@dataclass(frozen=True)
class _Term:
    """Columns of the model that carry one effect, and the contrasts of them that are reported."""

    factors: tuple[str, ...]
    columns: Array
    contrasts: tuple[tuple[str, Array], ...]


def factorial_effects(
    design: Design, outcomes: Outcomes, *, level: float = 0.95, ranked: bool = False
) -> Effects:
    """Effects of `design` from the runs of `study`, in the objective's unit, over the survivors.

    With `ranked`, every value is replaced by its rank among all runs as a share of 0 to 1, failures
    sharing the worst one: the same effects with failures counted, in shares of rank. Cells without
    any value give way as impossible ones do.

    Raises:
        ValueError: the runs are too few, or were measured by different protocols.
    """
    if len(outcomes.protocols) > 1:
        raise ValueError("the runs were measured by different protocols")
    values = _ranks(outcomes) if ranked else outcomes.values
    labelled = dict(zip(outcomes.cells, values, strict=True))
    asked = design.possible
    cells = [cell for cell in asked if not np.isnan(labelled.get(cell.label, np.nan)).all()]
    if len(cells) < 2:
        raise ValueError("effects need completed runs of two cells or more")
    values = np.array([labelled[cell.label] for cell in cells])
    present = ~np.isnan(values)
    terms, confounded = _estimable(design, cells)
    names, factors, contrasts, matrix = _model(terms, len(cells))
    if present.all():
        per_seed = contrasts @ np.linalg.pinv(matrix) @ values
        rows = _by_seed(without_rounding(per_seed, values), level)
    else:
        rows = _pooled(contrasts, matrix, values, level)
    estimates, low, high, p, method, test = rows
    corrected = holm(p)
    return Effects(
        effects=tuple(
            Effect(
                name=names[i],
                factors=factors[i],
                estimate=float(estimates[i]),
                low=float(low[i]),
                high=float(high[i]),
                p=float(p[i]),
                p_holm=float(corrected[i]),
                aliases=design.aliases.get(factors[i], ()),
                method=method,
            )
            for i in range(len(names))
        ),
        confounded=tuple(confounded),
        outcomes=outcomes,
        runs=int(present.sum()),
        seeds=int(present.any(axis=0).sum()),
        dropped=len(asked) * len(outcomes.seeds) - int(present.sum()),
        test=test,
    )


def effect_names(design: Design) -> list[str]:
    """The effects that `factorial_effects` estimates when every possible cell has run."""
    cells = design.possible
    terms = _estimable(design, cells)[0] if cells else []
    return _model(terms, len(cells))[0]


def half_normal(
    names: Sequence[str], estimates: Sequence[float], *, level: float = 0.95
) -> HalfNormal:
    """Half-normal plot data of effects of two-level factors.

    quantileᵢ = Φ⁻¹(½ + ½ (i − ½)/m) for the i-th smallest |effect|; margins are Lenth's.
    """
    sizes = np.abs(np.asarray(estimates, dtype=np.float64))
    order = np.argsort(sizes, kind="stable")
    count = len(order)
    quantiles = special.ndtri(0.5 + 0.5 * (np.arange(count) + 0.5) / count)
    error, margin, simultaneous = lenth(sizes, level=level)
    return HalfNormal(
        names=tuple(names[index] for index in order),
        quantiles=quantiles,
        sizes=sizes[order],
        pseudo_error=error,
        margin=margin,
        simultaneous_margin=simultaneous,
    )


def lenth(effects: npt.ArrayLike, *, level: float = 0.95) -> tuple[float, float, float]:
    """Lenth's (1989) pseudo standard error, margin of error and simultaneous margin.

    s₀ = 1.5 median|c|, PSE = 1.5 median{|c| : |c| < 2.5 s₀}, ME = t(m/3) PSE. It rests on most
    effects being null.
    """
    sizes = np.abs(np.asarray(effects, dtype=np.float64))
    if not sizes.size:
        raise ValueError("no effects")
    first = 1.5 * np.median(sizes)
    small = sizes[sizes < 2.5 * first]
    error = 1.5 * float(np.median(small)) if small.size else 0.0
    freedom = len(sizes) / 3
    share = (1 + level ** (1 / len(sizes))) / 2
    margin = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    return error, margin, float(special.stdtrit(freedom, share)) * error


# The model --------------------------------------------------------------------------------------


def _ranks(outcomes: Outcomes) -> Array:
    values = outcomes.worst_for_failures()
    ended = ~np.isnan(values)
    ranks = np.full(values.shape, np.nan)
    ranks[ended] = (average_ranks(values[ended]) - 0.5) / ended.sum()
    return ranks


def _terms(design: Design, cells: Sequence[Cell]) -> list[_Term]:
    """Main effects, then two-way interactions, in the order of the factors."""
    coded = {}
    for factor in design.factors:
        keys = [canonical(level) for level in factor.levels]
        index = [keys.index(canonical(cell.settings[factor.path])) for cell in cells]
        coded[factor.name] = _sum_coding(len(keys))[index]
    terms = [
        _Term((factor.name,), coded[factor.name], tuple(_main_contrasts(factor)))
        for factor in design.factors
    ]
    for a, b in itertools.combinations(design.factors, 2):
        product = coded[a.name][:, :, None] * coded[b.name][:, None, :]
        contrasts = [
            (f"{name_a} × {name_b}", 0.5 * np.outer(c_a, c_b).reshape(-1))
            for name_a, c_a in _main_contrasts(a)
            for name_b, c_b in _main_contrasts(b)
        ]
        columns = product.reshape(len(cells), -1)
        terms.append(_Term((a.name, b.name), columns, tuple(contrasts)))
    return terms


def _sum_coding(levels: int) -> Array:
    """(levels, levels−1), columns summing to zero; for two levels −1 and +1."""
    coding = np.zeros((levels, levels - 1))
    coding[0] = -1.0
    coding[1:] = np.eye(levels - 1)
    return coding


def _main_contrasts(factor: Factor) -> list[tuple[str, Array]]:
    """Each level but the first, minus the first, in the columns of the sum coding."""
    coding = _sum_coding(len(factor.levels))
    if len(factor.levels) == 2:
        return [(factor.name, coding[1] - coding[0])]
    return [
        (factor.describe(factor.levels[index]), coding[index] - coding[0])
        for index in range(1, len(factor.levels))
    ]


def _estimable(design: Design, cells: Sequence[Cell]) -> tuple[list[_Term], list[str]]:
    """Terms whose columns are all new directions; the rest, unless they are stated aliases."""
    if design.complete and len(cells) == len(design.cells):
        return _terms(design, cells), []  # the rank of every part of it is full
    matrix = np.ones((len(cells), 1))
    kept, confounded = [], []
    # Main effects go first, so it is the interaction of an aliased pair that gives way.
    for term in _terms(design, cells):
        grown = np.hstack([matrix, term.columns])
        if np.linalg.matrix_rank(grown) == grown.shape[1]:
            matrix = grown
            kept.append(term)
        elif not _is_alias_of(term, kept, design):
            confounded.append(" × ".join(term.factors))
    if design.main_effects_only:
        kept = [term for term in kept if len(term.factors) == 1]
        confounded = []
    return kept, confounded


def _is_alias_of(term: _Term, kept: Sequence[_Term], design: Design) -> bool:
    return any(
        alias.factors == term.factors
        for other in kept
        for alias in design.aliases.get(other.factors, ())
    )


def _model(
    terms: Sequence[_Term], cells: int
) -> tuple[list[str], list[tuple[str, ...]], Array, Array]:
    """(names, factors, contrasts (e, c), model matrix (cells, c)), the constant first."""
    matrix = np.hstack([np.ones((cells, 1)), *(term.columns for term in terms)])
    names, factors, rows, start = [], [], [], 1
    for term in terms:
        width = term.columns.shape[1]
        for name, contrast in term.contrasts:
            row = np.zeros(matrix.shape[1])
            row[start : start + width] = contrast
            names.append(name)
            factors.append(term.factors)
            rows.append(row)
        start += width
    return names, factors, np.array(rows).reshape(len(rows), matrix.shape[1]), matrix


# Estimates --------------------------------------------------------------------------------------

_Rows = tuple[Array, Array, Array, Array, str, TestName | Literal["pooled"] | None]


def _by_seed(per_seed: Array, level: float) -> _Rows:
    """From (effects, seeds): the mean over seeds, with the interval and test of paired data."""
    estimates = per_seed.mean(axis=1)
    seeds = per_seed.shape[1]
    if seeds == 1:
        _, margin, _ = lenth(estimates, level=level)
        blank = np.full(len(estimates), np.nan)
        return estimates, estimates - margin, estimates + margin, blank, "lenth", None
    ends = mean_interval(per_seed, level=level)
    test = suitable_test(seeds, len(estimates))
    p = np.asarray(paired_test(per_seed, test))
    return estimates, np.asarray(ends.low), np.asarray(ends.high), p, ends.method, test


def _pooled(contrasts: Array, matrix: Array, values: Array, level: float) -> _Rows:
    """Least squares over the runs that exist, with a constant for each seed (a block)."""
    cells, seeds = np.nonzero(~np.isnan(values))
    used, block = np.unique(seeds, return_inverse=True)
    x = np.hstack([matrix[cells][:, 1:], np.eye(len(used))[block]])
    y = values[cells, seeds]
    rank = int(np.linalg.matrix_rank(x))
    freedom = len(y) - rank
    if rank < x.shape[1] or freedom < 1:
        raise ValueError("too few runs have completed to separate the effects")
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    c = np.hstack([contrasts[:, 1:], np.zeros((len(contrasts), len(used)))])
    estimates = without_rounding(c @ beta, y)
    variance = float((without_rounding(y - x @ beta, y) ** 2).sum()) / freedom
    # Var(c'β) = σ² c'(X'X)⁻¹c
    error = np.sqrt(variance * np.einsum("ij,jk,ik->i", c, inverse, c))
    half = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, np.abs(estimates) / error, np.where(estimates == 0, 0.0, np.inf))
    p = 2 * special.stdtr(freedom, -t)
    return estimates, estimates - half, estimates + half, p, "least squares", "pooled"
