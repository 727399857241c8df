"""Two-level designs that run a part of all combinations, and what they confuse.

Regular fractions 2^(k−p) (Box and Hunter 1961): the first k−p factors run in full, each other one
is a signed product of them (its generator). The products of all generators form the defining
relation; the shortest word in it is the resolution, and multiplying an effect by every word gives
its aliases. Without generators given, the fraction of least aberration (Fries and Hunter 1980) is
searched for. Plackett and Burman's (1946) designs have N runs, N a multiple of 4, and partial
aliases: each main effect holds a fraction of every interaction of two others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sweeper.ablation.design import (
    AliasTerm,
    Design,
    DesignError,
    Factor,
    Feasible,
    check_factors,
    factorial_cell,
    mark_impossible,
)

Array = npt.NDArray[np.int64]
Words = Mapping[int, int]
"""A set of factors as bits (factor i is bit i) → its sign, +1 or −1."""

_SEARCH_STEPS = 40_000
_FULL_ALIASES_UP_TO = 10  # factors; the full structure has 2^k · 2^p terms


def fractional_factorial(
    factors: Sequence[Factor],
    feasible: Feasible | None = None,
    *,
    runs: int | None = None,
    resolution: int | None = None,
    generators: Sequence[str] | None = None,
) -> Design:
    """A regular fraction, asked for by exactly one of `runs`, `resolution`, `generators`.

    `runs` is a power of two below 2^k; `resolution` takes the fewest runs that reach it (3: main
    effects are clear of each other; 4: of two-way interactions too; 5: two-way interactions are
    clear of each other). A generator reads "d = a*b*c", or "d = -a*b*c", by factor names.
    """
    _two_levels(factors)
    if sum(choice is not None for choice in (runs, resolution, generators)) != 1:
        raise DesignError(
            "a fractional factorial takes exactly one of runs, resolution and generators, beside "
            "its design: `--set ablation.resolution=4`, say"
        )
    count = len(factors)
    if generators is not None:
        chosen = _parse_generators(generators, [factor.name for factor in factors])
    elif runs is not None:
        chosen = _generators_for_runs(count, runs)
    else:
        assert resolution is not None
        chosen = _generators_for_resolution(count, resolution)
    names = [factor.name for factor in factors]
    words = _defining_words(chosen)
    relation = sorted(words, key=lambda word: (word.bit_count(), _members(word)))
    cells = [
        factorial_cell(factors, [f.levels[int(x > 0)] for f, x in zip(factors, row, strict=True)])
        for row in _rows(count, chosen)
    ]
    return Design(
        kind="fractional_factorial",
        factors=tuple(factors),
        cells=mark_impossible(cells, feasible),
        resolution=min((word.bit_count() for word in words), default=None),
        generators=tuple(_equation(names, target, *made) for target, made in chosen.items()),
        defining_relation=tuple(str(_term(names, word, words[word])) for word in relation),
        aliases=_regular_aliases(names, words),
    )


def plackett_burman(factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
    """Main effects of k factors in the fewest runs N > k for which a matrix is built here."""
    _two_levels(factors)
    matrix = _hadamard_above(len(factors))
    columns = matrix[:, 1 : len(factors) + 1]
    cells = [
        factorial_cell(factors, [f.levels[int(x > 0)] for f, x in zip(factors, row, strict=True)])
        for row in columns
    ]
    return Design(
        kind="plackett_burman",
        factors=tuple(factors),
        cells=mark_impossible(cells, feasible),
        resolution=3,
        main_effects_only=True,
        aliases=_partial_aliases([factor.name for factor in factors], columns),
    )


# Regular fractions ------------------------------------------------------------------------------


def _parse_generators(lines: Sequence[str], names: Sequence[str]) -> dict[int, tuple[int, int]]:
    """{generated factor: (product of factors as bits, sign)}, checked."""
    if not lines:
        raise DesignError("a fraction needs a generator, such as 'd = a*b*c'")
    chosen: dict[int, tuple[int, int]] = {}
    for line in lines:
        left, equals, right = line.partition("=")
        sign = -1 if right.strip().startswith("-") else 1
        product = [part.strip() for part in right.strip().removeprefix("-").split("*")]
        unknown = [name for name in (left.strip(), *product) if name not in names]
        if not equals or unknown:
            raise DesignError(
                f"generator {line!r}: expected 'd = a*b*c' over {', '.join(names)}"
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            )
        target = names.index(left.strip())
        if target in chosen:
            raise DesignError(f"{left.strip()} has two generators")
        bits = 0
        for name in product:
            bits ^= 1 << names.index(name)  # of a factor twice nothing is left
        chosen[target] = (bits, sign)
    generated = sum(1 << target for target in chosen)
    for target, (bits, _) in chosen.items():
        if bits & generated:
            raise DesignError(f"the generator of {names[target]} uses a generated factor")
        if bits.bit_count() < 2:
            raise DesignError(f"{names[target]} would be the same column as another factor")
    for word in _defining_words(chosen):
        if word.bit_count() < 3:
            same = " and ".join(names[index] for index in _members(word))
            raise DesignError(f"{same} would be the same column")
    return chosen


def _generators_for_runs(count: int, runs: int) -> dict[int, tuple[int, int]]:
    _three_or_more(count)
    base = runs.bit_length() - 1
    if runs != 1 << base or base >= count or runs < count + 1:
        raise DesignError(
            f"{count} factors in {runs} runs: expected a power of two from {count + 1} "
            f"up to {2 ** (count - 1)}"
        )
    return _least_aberration(count, base)


def _three_or_more(count: int) -> None:
    if count < 3:
        raise DesignError(
            f"a fraction needs three factors or more, and here are {count}: a full_factorial of "
            f"them has {2**count} runs"
        )


def _generators_for_resolution(count: int, resolution: int) -> dict[int, tuple[int, int]]:
    _three_or_more(count)
    if not 3 <= resolution <= count:
        raise DesignError(f"{count} factors have fractions of resolution 3 to {count}")
    for base in range(2, count):
        if 2**base >= count + 1:
            chosen = _least_aberration(count, base)
            if min(word.bit_count() for word in _defining_words(chosen)) >= resolution:
                return chosen
    raise DesignError(f"no fraction of {count} factors has resolution {resolution}")


def _least_aberration(count: int, base: int) -> dict[int, tuple[int, int]]:
    """Of the sets of generators of highest resolution, the one with the fewest short words."""
    for resolution in range(base + 1, 2, -1):
        fractions = _fractions(count, base, resolution)
        best = min(fractions, key=lambda chosen: _word_lengths(count, base, chosen), default=None)
        if best is not None:
            return {base + index: (bits, 1) for index, bits in enumerate(best)}
    raise AssertionError("a fraction with more runs than factors has resolution 3")


def _fractions(count: int, base: int, resolution: int) -> Iterator[tuple[int, ...]]:
    """Sets of generators of at least this resolution, by depth-first search.

    A branch ends as soon as one product of its words is too short. Large searches are cut off
    after a fixed number of steps: deterministic, and the resolution printed is always that of the
    design returned.
    """
    products = [bits for bits in range(1 << base) if bits.bit_count() >= resolution - 1]
    products.sort(key=lambda bits: (-bits.bit_count(), bits))
    steps = 0
    stack: list[tuple[tuple[int, ...], int, Array]] = [((), 0, np.zeros(1, dtype=np.int64))]
    while stack and steps < _SEARCH_STEPS:
        chosen, start, group = stack.pop()
        if len(chosen) == count - base:
            yield chosen
            continue
        # Pushed last to first, so that they are visited first to last.
        for position in range(len(products) - 1, start - 1, -1):
            steps += 1
            new = group ^ (products[position] | 1 << (base + len(chosen)))
            if _weights(new).min() >= resolution:
                grown = np.concatenate([group, new])
                stack.append(((*chosen, products[position]), position + 1, grown))


def _word_lengths(count: int, base: int, chosen: Sequence[int]) -> tuple[int, ...]:
    """(A₃, A₄, …): how many words of each length the defining relation has."""
    words = _products([bits | 1 << (base + index) for index, bits in enumerate(chosen)])
    return tuple(int(number) for number in np.bincount(_weights(words), minlength=count + 1)[3:])


def _products(words: Sequence[int]) -> Array:
    """All 2^p − 1 products of the words; a product of sets of factors is their XOR."""
    products = np.zeros(1, dtype=np.int64)
    for word in words:
        products = np.concatenate([products, products ^ word])
    return products[1:]


def _weights(words: Array) -> Array:
    return np.bitwise_count(words).astype(np.int64)


def _defining_words(generators: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    words = {0: 1}
    for target, (bits, sign) in generators.items():
        word = bits | 1 << target
        words |= {other ^ word: sign * other_sign for other, other_sign in words.items()}
    del words[0]
    return words


def _rows(count: int, generators: Mapping[int, tuple[int, int]]) -> Iterator[list[int]]:
    free = [index for index in range(count) if index not in generators]
    for signs in itertools.product((-1, 1), repeat=len(free)):
        row = dict(zip(free, signs, strict=True))
        for target, (bits, sign) in generators.items():
            row[target] = sign
            for index in _members(bits):
                row[target] *= row[index]
        yield [row[index] for index in range(count)]


def _regular_aliases(
    names: Sequence[str], words: Words
) -> dict[tuple[str, ...], tuple[AliasTerm, ...]]:
    """effect · word for every word, shortest first.

    All effects and all their aliases for up to ten factors; beyond, effects of one or two factors
    with their aliases of up to three.
    """
    full = len(names) <= _FULL_ALIASES_UP_TO
    largest, longest = (len(names), len(names)) if full else (2, 3)
    aliases = {}
    for order in range(1, largest + 1):
        for members in itertools.combinations(range(len(names)), order):
            effect = sum(1 << index for index in members)
            products = {effect ^ word: sign for word, sign in words.items() if effect != word}
            terms = sorted(
                (product for product in products if product.bit_count() <= longest),
                key=lambda product: (product.bit_count(), _members(product)),
            )
            aliases[tuple(names[index] for index in members)] = tuple(
                _term(names, product, products[product]) for product in terms
            )
    return aliases


def _members(bits: int) -> tuple[int, ...]:
    return tuple(index for index in range(bits.bit_length()) if bits >> index & 1)


def _term(names: Sequence[str], bits: int, sign: int) -> AliasTerm:
    return AliasTerm(tuple(names[index] for index in _members(bits)), float(sign))


def _equation(names: Sequence[str], target: int, bits: int, sign: int) -> str:
    product = "*".join(names[index] for index in _members(bits))
    return f"{names[target]} = {'-' if sign < 0 else ''}{product}"


# Plackett and Burman ----------------------------------------------------------------------------


def _hadamard_above(factors: int) -> Array:
    """The smallest Hadamard matrix built here with more rows than factors; first column all +."""
    for size in range(4, 4 * factors + 8, 4):
        if size > factors and (matrix := _hadamard(size)) is not None:
            return matrix * matrix[:, :1]
    raise DesignError(f"no Plackett–Burman design for {factors} factors")


def _hadamard(size: int) -> Array | None:
    """Paley's constructions over a prime field, doubled where size is twice a known one."""
    if size == 2:
        return np.array([[1, 1], [1, -1]], dtype=np.int64)
    if size % 4:
        return None
    if _is_prime(size - 1) and (size - 1) % 4 == 3:
        # H = I + S with S skew: [[0, 1], [−1, Q]].
        return np.eye(size, dtype=np.int64) + _bordered(size - 1, -1)
    if _is_prime(size // 2 - 1) and (size // 2 - 1) % 4 == 1:
        # H = S ⊗ [[1, 1], [1, −1]] + I ⊗ [[1, −1], [−1, −1]] with S symmetric.
        symmetric = _bordered(size // 2 - 1, 1)
        identity = np.eye(size // 2, dtype=np.int64)
        first, second = np.array([[1, 1], [1, -1]]), np.array([[1, -1], [-1, -1]])
        return np.asarray(np.kron(symmetric, first) + np.kron(identity, second), dtype=np.int64)
    half = _hadamard(size // 2)
    return None if half is None else np.block([[half, half], [half, -half]])


def _bordered(prime: int, corner: int) -> Array:
    """[[0, 1], [corner, Q]] with Q_ij = χ(i − j), χ the quadratic character."""
    squares = {x * x % prime for x in range(1, prime)}
    character = np.array([0, *(1 if x in squares else -1 for x in range(1, prime))])
    index = np.arange(prime)
    matrix = np.zeros((prime + 1, prime + 1), dtype=np.int64)
    matrix[0, 1:], matrix[1:, 0] = 1, corner
    matrix[1:, 1:] = character[(index[:, None] - index) % prime]
    return matrix


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _partial_aliases(
    names: Sequence[str], columns: Array
) -> dict[tuple[str, ...], tuple[AliasTerm, ...]]:
    """Alias matrix (X₁ᵀX₁)⁻¹X₁ᵀX₂ of main effects against two-way interactions, zeros left out."""
    pairs = list(itertools.combinations(range(len(names)), 2))
    aliases: dict[tuple[str, ...], tuple[AliasTerm, ...]] = {}
    for index, name in enumerate(names):
        terms = []
        for a, b in pairs:
            share = float((columns[:, index] * columns[:, a] * columns[:, b]).mean())
            if share:
                terms.append(AliasTerm((names[a], names[b]), share))
        aliases[(name,)] = tuple(terms)
    return aliases


def _two_levels(factors: Sequence[Factor]) -> None:
    check_factors(factors)
    wide = [factor.name for factor in factors if len(factor.levels) != 2]
    if wide:
        raise DesignError(f"a fraction needs two levels; {', '.join(wide)} has more")
    if len(factors) < 2:
        raise DesignError("a fraction needs at least two factors")
