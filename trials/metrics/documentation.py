"""Measures and extractors as a page: docs/measures.md is what this prints.

python -m trials.metrics.documentation > docs/measures.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic.fields import FieldInfo

from trials.metrics.extractor import Extractor
from trials.metrics.measure import Measure
from trials.metrics.needs import REASONS
from trials.part import Part

OPENING = """\
# Measures and extractors

What an evaluation measures and through which network, made from the classes by
`python -m trials.metrics.documentation`. [Health and scores](health.md) says what a value is
recorded with and when two may be compared.

```yaml
evaluation:
  metrics: [fid, kid, memorisation]   # auto: those below that are measured by themselves
  extractor: {name: inception, weights: ~/inception.pth}
  keep_by: kid                        # whose best generator is kept
```
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([OPENING, *_measures(), "", *_extractors(), ""])


def _measures() -> Iterator[str]:
    yield "## Measures\n"
    yield "| `evaluation.metrics` | what it is | better | measured by itself on | needs | paper |"
    yield "|---|---|---|---|---|---|"
    for key, measure in Measure.all().items():
        by_itself = _kinds(measure.kinds)
        if by_itself and "logits" in measure.needs:
            by_itself += " of the extractor's classes"
        needs = "; ".join(REASONS[need] for need in sorted(measure.needs))
        yield _row(
            [f"`{key}`", measure.summary, measure.better, by_itself, needs],
            measure.paper,
        )
    yield from _settings(Measure)


def _extractors() -> Iterator[str]:
    yield "## Extractors\n"
    yield "| `evaluation.extractor` | what it is | looks at | `auto` takes it for | classes |"
    yield "|---|---|---|---|---|"
    for key, extractor in Extractor.all().items():
        suits = [f"`{source}`" for source in sorted(extractor.suits_sources)]
        suits += [_kinds(extractor.suits_kinds)] if extractor.suits_kinds else []
        classes = "yes" if extractor.classifies else ""
        takes = _kinds(extractor.takes)
        yield _row([f"`{key}`", extractor.summary, takes, ", ".join(suits)], classes)
    yield from _settings(Extractor)


def _settings(kind: type[Part]) -> Iterator[str]:
    """A table of the knobs of every part of a kind, if any has one."""
    rows = [
        _row([f"`{key}.{name}`", _default(field)], field.description or "")
        for key, part in kind.all().items()
        for name, field in part.Config.model_fields.items()
    ]
    if rows:
        yield from ("", "| setting | default | meaning |", "|---|---|---|", *rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    return "none" if field.default is None else f"`{field.default}`"


def _kinds(kinds: Iterable[str]) -> str:
    return ", ".join(f"{kind}s" for kind in sorted(kinds))


def _row(cells: Iterable[str], last: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (*cells, last)) + " |"


if __name__ == "__main__":
    print(page(), end="")
