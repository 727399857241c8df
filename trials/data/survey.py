"""What data are once they are open: how many, of which kinds, what was left out, what is double."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from trials.data.dataset import Dataset
from trials.data.intake import OTHERS

FEW = 5
"""Sizes and classes that a line names."""

BLOCK = 1024


def survey(data: Dataset) -> dict[str, Any]:
    """Plain facts of opened data, for a report.

    Beside those of `Dataset.describe`: `class_counts` by name, `sizes` and `modes` of the pictures
    as they were stored, `skipped_for` (reason → count), `duplicates` (items equal to an earlier
    one), `leaked` (items kept out that are also trained on) and `warnings`.
    """
    seen: set[bytes] = set()
    duplicates = sum(_seen_before(seen, data.images))
    kept = () if data.held_out is None else _digests(data.held_out)
    counts = Counter(data.labels.tolist()) if data.labels is not None else {}
    return {
        **data.describe(),
        "class_counts": {name: counts[number] for number, name in enumerate(data.class_names)}
        if counts
        else {},
        "sizes": dict(data.intake.sizes),
        "modes": dict(data.intake.modes),
        "rule": data.intake.rule,
        "skipped_for": dict(data.intake.skipped),
        "skipped_first": list(data.intake.examples),
        "duplicates": duplicates,
        "leaked": sum(digest in seen for digest in kept),
        "warnings": data.intake.warnings(),
    }


def survey_in_words(facts: Mapping[str, Any]) -> list[str]:
    """The facts of `survey`, a line each."""
    shape = " × ".join(map(str, facts["shape"]))
    kept = f", {facts['held_out']} kept out" if facts["held_out"] else ""
    lines = [f"{facts['count']} {facts['kind']}s of {shape}{kept}"]
    if counts := facts["class_counts"]:
        lines.append(f"{len(counts)} classes: {_most(counts)}")
    if sizes := dict(facts["sizes"]):
        others = sizes.pop(OTHERS, 0)
        lines.append(f"stored as {_most(sizes, others)}; mode {_most(facts['modes'])}")
    if facts["rule"]:
        lines.append(facts["rule"])
    lines.append(f"{facts['skipped']} skipped")
    lines += [f"  {where}" for where in facts["skipped_first"]]
    doubles = f"{facts['duplicates']} duplicate{'' if facts['duplicates'] == 1 else 's'}"
    if facts["leaked"]:
        doubles += f", and {facts['leaked']} of those kept out are also trained on"
    return [*lines, doubles, f"hash {facts['fingerprint']}"]


def _most(counts: Mapping[str, int], uncounted: int = 0) -> str:
    """The most frequent few: `RGB (40), L (2) and 3 more`; `uncounted` items are of yet others,
    and then it is the items that are more: `32 × 32 (7), 40 × 32 (2) and 280 of other sizes`."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    told = ", ".join(f"{name} ({count})" for name, count in ranked[:FEW])
    if uncounted:
        rest = uncounted + sum(count for _, count in ranked[FEW:])
        return f"{told} and {rest} of other sizes"
    return told + (f" and {len(ranked) - FEW} more" if len(ranked) > FEW else "")


def _seen_before(seen: set[bytes], items: Tensor) -> Iterable[bool]:
    for digest in _digests(items):
        yield digest in seen
        seen.add(digest)


def _digests(items: Tensor) -> Iterable[bytes]:
    """A hash of each item, of sixteen bytes: of millions no two are equal by chance."""
    for start in range(0, len(items), BLOCK):
        for item in items[start : start + BLOCK].numpy():
            yield hashlib.blake2b(item.tobytes(), digest_size=16).digest()
