"""The symptoms as Markdown: a part of docs/health.md (`make docs`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trials.health.sign import Sign


def page() -> str:
    """Every symptom with its thresholds, in Markdown."""
    return "\n\n".join("\n".join(_symptom(sign)) for sign in Sign.all().values())


def page_with_symptoms(whole: str) -> str:
    """docs/health.md with the part on the symptoms made anew: from the first of them down to the
    next heading."""
    first = next(iter(Sign.all()))
    part = re.compile(rf"^### `{first}`\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
    return part.sub(lambda _: f"{page()}\n\n", whole)


def _symptom(sign: type[Sign]) -> Iterator[str]:
    yield f"### `{sign.key}`\n"
    yield f"{sign.summary}. Sources: {sign.source}.\n"
    yield f"*What may help.* {sign.advice}\n"
    yield "| `health." + sign.key + ".…` | default | meaning |\n|---|---|---|"
    for name, field in sign.Config.model_fields.items():
        yield f"| `{name}` | {field.default:g} | {field.description} |"
