"""The table of a factorial: effects with intervals, corrected p, and their aliases."""

from __future__ import annotations

import math

from sweeper.ablation.captions import TEST_NAMES, measured_text, protocol_notes
from sweeper.ablation.column import Column
from sweeper.ablation.design import Design
from sweeper.ablation.effects import Goal
from sweeper.ablation.factorial import Effects
from sweeper.ablation.intervals import METHOD_NAMES
from sweeper.ablation.tables import Table
from sweeper.wording import NONE, decimals, p_text, seeds_text, with_interval

_METHODS = {
    **{name: f"estimated seed by seed, {text} intervals" for name, text in METHOD_NAMES.items()},
    "least squares": "least squares with a constant for each seed, t intervals",
    "lenth": "a single seed: margins by Lenth's pseudo standard error, no tests",
}


def effect_table(
    estimated: Effects,
    design: Design,
    *,
    metric: str = "objective",
    goal: Goal = "minimize",
    name: str = "effects",
    level: float = 0.95,
    alias_order: int = 2,
) -> Table:
    """Effects in the order of the design, largest orders of alias left to `design.aliases`."""
    effects = estimated.effects
    places = decimals([(e.high - e.low) / 4 for e in effects], [e.estimate for e in effects])
    aliases = [
        ", ".join(str(term) for term in e.aliases if len(term.factors) <= alias_order)
        for e in effects
    ]
    columns = [
        Column(
            "effect", "effect", [e.name for e in effects], {"effect": [e.name for e in effects]}
        ),
        Column(
            "estimate",
            f"change of {metric}\n[{level:.0%}]",
            [with_interval(e.estimate, e.low, e.high, places, signed=True) for e in effects],
            {
                "estimate": [e.estimate for e in effects],
                "low": [e.low for e in effects],
                "high": [e.high for e in effects],
            },
            "right",
        ),
    ]
    if any(not math.isnan(e.p) for e in effects):
        columns.append(
            Column(
                "p",
                "p (Holm)",
                [p_text(e.p_holm) for e in effects],
                {"p": [e.p for e in effects], "p_holm": [e.p_holm for e in effects]},
                "right",
            )
        )
    if any(aliases):
        texts = [text or NONE for text in aliases]
        columns.append(Column("aliases", "aliased with", texts, {"aliases": aliases}))
    return Table(
        name=name,
        columns=tuple(columns),
        best=None,
        equals=frozenset(),
        caption=_caption(estimated, design, metric, goal),
        notes=_notes(estimated, design),
    )


def _caption(estimated: Effects, design: Design, metric: str, goal: Goal) -> str:
    better = "lower" if goal == "minimize" else "higher"
    kind = design.kind.replace("_", " ")
    resolution = f" of resolution {design.resolution}" if design.resolution else ""
    method = _METHODS[estimated.effects[0].method] if estimated.effects else "no effects"
    seeds = (
        f"seed {estimated.outcomes.seeds[0]}"
        if estimated.seeds == 1
        else f"seeds {seeds_text(estimated.outcomes.seeds)}"
    )
    return (
        f"Effects on {metric} ({better} is better) in a {kind}{resolution}, "
        f"{estimated.runs} runs on {seeds}; {method}. A main effect is the mean "
        "change from switching the factor on (or from its first level); an interaction is half the "
        "change that one factor makes to the effect of the other. "
        f"{_tests(estimated)}{measured_text(estimated.outcomes)}."
    )


def _tests(estimated: Effects) -> str:
    if estimated.test is None:
        return ""
    test = (
        "t test" if estimated.test == "pooled" else f"{TEST_NAMES[estimated.test]} over the seeds"
    )
    count = len(estimated.effects)
    return f"p: {test}, Holm-corrected over {count} effect{'' if count == 1 else 's'}. "


def _notes(estimated: Effects, design: Design) -> tuple[str, ...]:
    notes = [
        f"Impossible: {cell.label} ({cell.impossible})"
        for cell in design.cells
        if cell.impossible is not None
    ]
    if design.generators:
        notes.append(f"Generators: {'; '.join(design.generators)}")
    if estimated.confounded:
        notes.append(f"Not separable from the others: {', '.join(estimated.confounded)}")
    if estimated.dropped:
        notes.append(f"Runs that failed or have not finished, left out: {estimated.dropped}")
    return (*notes, *protocol_notes(estimated.outcomes))
