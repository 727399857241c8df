"""Measures and extractors as a page: docs/measures.md (`make docs`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic.fields import FieldInfo

from trials.metrics.extractor import Extractor
from trials.metrics.measure import Measure
from trials.metrics.needs import REASONS
from trials.part import Part

OPENING = """\
# Measures and extractors

What an evaluation measures and through which network, made from the classes (`make docs`).
[Feature extractors](extractors.md) says what each network is worth, [health and scores](health.md)
what a value is recorded with and when two may be compared.

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
    rows = [row for part in kind.all().values() for row in settings_of(part)]
    if rows:
        yield from ("", "| setting | default | meaning |", "|---|---|---|", *rows)


def page_with_extractors(whole: str) -> str:
    """docs/extractors.md with the part made anew in which each extractor has the text of its file:
    from the first that has a heading down to the end."""
    written = whole.partition("\n## `")[0].rstrip("\n")
    made = "\n".join(line for key in Extractor.all() for line in _about(key))
    return f"{written}\n\n{made.rstrip()}\n"


def _about(key: str) -> Iterator[str]:
    extractor = Extractor.named(key)
    yield f"## `{key}`\n"
    yield f"{extractor.description()}\n"
    if rows := list(settings_of(extractor)):
        yield from ("| setting | default | meaning |", "|---|---|---|", *rows, "")


def settings_of(part: type[Part]) -> Iterator[str]:
    """A row for every knob of a part."""
    for name, field in part.Config.model_fields.items():
        yield _row([f"`{part.key}.{name}`", _default(field)], field.description or "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    return "none" if field.default is None else f"`{field.default}`"


def _kinds(kinds: Iterable[str]) -> str:
    return ", ".join(f"{kind}s" for kind in sorted(kinds))


def _row(cells: Iterable[str], last: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (*cells, last)) + " |"
