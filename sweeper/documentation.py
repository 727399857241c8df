"""Every page that is made from the code, and one command that makes them all: `make docs`.

    python -m sweeper.documentation [FOLDER]

A page that is made whole is a function; of others a part is made, and the rest is written by hand.
A test holds all of them to what the code says now.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from sweeper.sweepfile import documentation as sweep_file
from sweeper.sweepfile.schema import schema_text
from sweeper.tracking.foreign import Meanings
from trials import documentation as tricks
from trials.data import documentation as data
from trials.health import documentation as health
from trials.metrics import documentation as measures

WHOLE: Mapping[str, Callable[[], str]] = {
    "sweep-file.md": sweep_file.page,
    "sweep.schema.json": schema_text,
    "tricks.md": tricks.page,
    "measures.md": measures.page,
}
"""Files of `docs/` that are made from the first line to the last."""


def _with_mapping_keys(page: str) -> str:
    """docs/import-mlflow.md with its table of keys made anew: the end of the page."""
    head, rule, _ = page.partition("|---|---|---|\n")
    rows = [
        f"| `{key}` | {_default_of(field)} | {' '.join((field.description or '').split())} |\n"
        for key, field in Meanings.model_fields.items()
    ]
    return head + rule + "".join(rows)


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return f"`{field.default}`" if field.default else "none"


IN_PART: Mapping[str, Callable[[str], str]] = {
    "health.md": health.page_with_symptoms,
    "data.md": data.page_with_options,
    "extractors.md": measures.page_with_extractors,
    "import-mlflow.md": _with_mapping_keys,
}
"""Files of `docs/` of which a part is made: from the file as it is to the file as it should be."""


def made(name: str, folder: Path) -> str:
    """A file of `docs/` as the code has it; `folder` has it as it is."""
    if name in WHOLE:
        return WHOLE[name]()
    return IN_PART[name]((folder / name).read_text(encoding="utf-8"))


def make(folder: Path) -> list[str]:
    """Write every page again. Returns the names of those that have changed."""
    changed = []
    for name in (*WHOLE, *IN_PART):
        file, text = folder / name, made(name, folder)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    for name in make(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")):
        print(name)
