"""The symptoms as Markdown: a part of docs/health.md is what this prints.

python -m trials.health.documentation
"""

from __future__ import annotations

from collections.abc import Iterator

from trials.health.sign import Sign


def page() -> str:
    """Every symptom with its thresholds, in Markdown."""
    return "\n\n".join("\n".join(_symptom(sign)) for sign in Sign.all().values())


def _symptom(sign: type[Sign]) -> Iterator[str]:
    yield f"### `{sign.key}`\n"
    yield f"{sign.summary}. Sources: {sign.source}.\n"
    yield f"*What may help.* {sign.advice}\n"
    yield "| `health." + sign.key + ".…` | default | meaning |\n|---|---|---|"
    for name, field in sign.Config.model_fields.items():
        yield f"| `{name}` | {field.default:g} | {field.description} |"


if __name__ == "__main__":
    print(page())
