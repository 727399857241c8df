"""What a table says of itself: metric, replicates, tests, marks, protocol; and its footnotes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweeper.ablation.column import Column, Context
from sweeper.ablation.comparison import BestSet
from sweeper.ablation.intervals import METHOD_NAMES
from sweeper.ablation.matrix import Outcomes, took_over
from sweeper.protocols import CONFIGURED
from sweeper.wording import few, seeds_text

TEST_NAMES = {"sign_flip": "exact paired sign-flip test", "t": "paired t test"}


UNLIKE = 3.0
"""How many times the deviation of one cell is another's before a table speaks of it. With equal
normal noise it happens by chance in 5.6% of pairs of five runs, in 0.3% of ten (F test)."""
FEWEST_FOR_SPREAD = 5
"""Completed runs of a cell below which its deviation says too little."""


def caption_of(context: Context, columns: Sequence[Column]) -> str:
    """One paragraph that makes the table readable on its own."""
    keys = {column.key for column in columns}
    outcomes = context.outcomes
    better = "lower" if outcomes.goal == "minimize" else "higher"
    replicated = bool((outcomes.completed.sum(axis=1) > 1).any())
    sentences = [f"{context.metric} ({better} is better)"]
    if replicated:
        sentences[0] += f", mean ± standard deviation (number of {_repeats(outcomes)})"
    if 0 < len(outcomes.seeds) <= 50:
        sentences[0] += f"; seeds {seeds_text(outcomes.seeds)}"
    if any(column.key.startswith("trick.") for column in columns):
        sentences.append("✓: on, –: off")
    if "difference" in keys:
        sentences.append(_difference(context))
    if "p" in keys:
        sentences.append(_tests(context))
    if keys & {"p_worst", "improvement", "median", "iqm"}:
        sentences.append("Failures worst: a failed run ranks below every run that completed")
    if context.best is not None and any(column.marked for column in columns):
        sentences.append(_marks(context, context.best))
        if "objective_2" in keys:
            marked = "marked" if any(context.cells) else "ordered and marked"
            sentences.append(f"Rows are {marked} by {context.metric} alone, the first objective")
    return ". ".join([*sentences, measured_text(outcomes)]) + "."


def _marks(context: Context, best: BestSet) -> str:
    """What bold and underlined mean; the best may be in a row that is not shown."""
    shown = best.best in context.index
    if best.tested.sum() < 2:
        return "Bold: best" if shown else "The best is not among these rows"
    told = "Bold: best; underlined: cannot be told from it"
    if not shown:
        told = "Underlined: cannot be told from the best, which is not among these rows"
    how = f"{context.level:.0%} confidence set of the best, one-sided paired tests, Bonferroni"
    return f"{told} ({how})"


def notes_of(context: Context, columns: Sequence[Column], shown: int) -> tuple[str, ...]:
    """What a reader must know beside the numbers: failures, gaps, impossible cells, limits."""
    outcomes = context.outcomes
    notes = [
        f"Impossible: {cell.label} ({cell.impossible})"
        for cell in context.cells
        if cell is not None and cell.impossible is not None
    ]
    failed, total = int(outcomes.failed.sum()), int((outcomes.failed | outcomes.completed).sum())
    if failed:
        by: dict[str, int] = {}
        for counts in outcomes.symptoms:
            for name, count in counts.items():
                by[name] = by.get(name, 0) + count
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(by.items()))
        notes.append(
            f"{failed} of {total} runs failed ({reasons}); means and differences are over the runs "
            "that completed, and a failure counts as the worst value seen when the best is chosen"
        )
    if lost := int(outcomes.lost.sum()):
        notes.append(f"{_runs(lost)} lost with their worker: left out")
    if pruned := int(outcomes.pruned.sum()):
        notes.append(f"{_runs(pruned)} pruned, without a final value: left out")
    if unfinished := int(outcomes.unfinished.sum()):
        notes.append(f"{_runs(unfinished)} not finished yet")
    if outcomes.repeated:
        notes.append(
            f"{_runs(outcomes.repeated)} on a seed that the configuration had already: left out"
        )
    if outcomes.left_out:
        notes.append(
            f"{_runs(outcomes.left_out)} measured by another protocol than the sweep is now: "
            "left out"
        )
    if outcomes.without_cell:
        notes.append(f"{_runs(outcomes.without_cell)} without a cell: left out")
    notes += _take_overs(context)
    told = any(column.key == "p" for column in columns)
    if told and context.comparisons is not None and "t" in context.comparisons.test:
        tests = zip(_pairs(context), context.comparisons.test, strict=True)
        pairs = {n for n, test in tests if test == "t"}
        ends = sorted({min(pairs), max(pairs)})
        finest = " to ".join(f"{2.0 ** (1 - n):.3g}" for n in ends)
        notes.append(
            f"with {' to '.join(map(str, ends))} pairs a sign-flip p cannot be below {finest}, "
            f"too coarse for {_comparisons(context.comparisons.family)}: Student's t is used there"
        )
    if any(column.key == "difference" for column in columns):
        notes += _unlike_noise(context)
    if 0 < shown < len(outcomes.cells) and not any(context.cells):
        notes.append(f"the first {shown} of {len(outcomes.cells)} configurations")
    notes += protocol_notes(outcomes)
    return tuple(note[0].upper() + note[1:] for note in notes)


def _take_overs(context: Context) -> list[str]:
    """Rows of trials that took weights over in the search, and what their numbers are of."""
    first = context.outcomes.first_rows
    if first is None or context.kind == "cells":
        return []
    key = "of" if context.kind == "confirmation" else "number"
    taken = np.asarray(context.data["number"])[took_over(context.data)]
    rows = np.isin(context.data[key].take(first).to_pylist(), taken)
    shown = [context.outcomes.cells[row] for row in context.index if row >= 0 and rows[row]]
    if not shown:
        return []
    named = few(shown)
    if context.kind == "trials":
        return [
            f"took weights over on the way: {named}; the value is of several settings, of which "
            "the last are shown, and such a trial is a run of no configuration"
        ]
    return [
        f"took weights over in the search: {named}; fresh seeds trained the last settings from the "
        "first step, without these weights"
    ]


def _unlike_noise(context: Context) -> list[str]:
    """Cells whose runs scatter so unlike the reference's that intervals may cover too little.

    Where one arm is much noisier, differences are as skewed as its noise (docs/statistics.md).
    """
    outcomes, comparisons = context.outcomes, context.comparisons
    if comparisons is None:
        return []
    spread = {
        cell: float(values[done].std(ddof=1))
        for cell, values, done in zip(
            outcomes.cells, outcomes.values, outcomes.completed, strict=True
        )
        if done.sum() >= FEWEST_FOR_SPREAD
    }
    reference = outcomes.cells[comparisons.reference]
    base = spread.pop(reference, 0.0)
    unlike = [
        f"{cell} ({deviation / base:.2g} times)"
        for cell, deviation in spread.items()
        if base > 0 and not 1 / UNLIKE < deviation / base < UNLIKE
    ]
    if not unlike:
        return []
    return [
        f"scatter much unlike {reference}: {', '.join(unlike)}; if the noisier side is skewed, "
        "the interval covers less than it says, the studentised bootstrap comes nearer"
    ]


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _repeats(outcomes: Outcomes) -> str:
    return "seeds" if outcomes.paired else "runs"


def _comparisons(count: int) -> str:
    return "1 comparison" if count == 1 else f"{count} comparisons"


def _pairs(context: Context) -> list[int]:
    assert context.comparisons is not None
    return [int(n) for n in context.comparisons.pairs]


def _difference(context: Context) -> str:
    comparisons = context.comparisons
    assert comparisons is not None
    kinds = sorted({METHOD_NAMES[name] for name in comparisons.interval if name})
    reference = context.outcomes.cells[comparisons.reference]
    return f"Δ: paired difference to {reference} with its {context.level:.0%} " + (
        f"interval ({' or '.join(kinds)})" if kinds else "interval"
    )


def _tests(context: Context) -> str:
    comparisons = context.comparisons
    assert comparisons is not None
    kinds = sorted({name for name in comparisons.test if name})
    if not kinds:
        return "p: no pair of runs to test yet"
    used = " or ".join(TEST_NAMES[name] for name in kinds)
    return f"p: {used}, two-sided, Holm-corrected over {_comparisons(comparisons.family)}"


def measured_text(outcomes: Outcomes) -> str:
    """How the runs were measured, as short as a caption has room for."""
    if not outcomes.protocols:
        return "No run has completed"
    fields = outcomes.protocols[0][0]
    if not fields and not outcomes.free_fields:
        return "The measurement protocol was not recorded"
    counts = [
        f"{int(fields[name]):,} {words}" if fields[name].isdigit() else f"{fields[name]} {words}"
        for name, words in (("fake_count", "generated"), ("real_count", "real"))
        if name in fields
    ]
    through = [f"extractor {fields['extractor']}"] if "extractor" in fields else []
    told = ", ".join([*through, *([" against ".join(counts) + " images"] if counts else [])])
    return f"Measured: {told}" if told else "The protocol stands below"


def protocol_notes(outcomes: Outcomes) -> list[str]:
    """How the runs were measured, all of it, for the foot of a table; nothing where unknown."""
    fields = outcomes.protocols[0][0] if outcomes.protocols else {}
    if not fields and not outcomes.free_fields:
        return []
    details = [f"{name} {_short(name, text)}" for name, text in fields.items()]
    for name, texts in outcomes.free_fields.items():
        chosen = name in CONFIGURED and len(texts) > 1
        as_configured = " as each configuration has it" if chosen else ""
        details.append(f"{name} {' or '.join(texts)}{as_configured}")
    return [f"Protocol {' and '.join(outcomes.protocol_keys)}: {', '.join(details)}"]


def _short(name: str, text: str) -> str:
    """Hashes by their first twelve digits."""
    return text[:12] if name.endswith("_hash") else text
