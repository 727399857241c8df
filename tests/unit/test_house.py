"""The house keeps its own rules: sizes, docstrings, and a map that shows every room."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("sweeper", "trials")
FILES = sorted(
    file
    for folder in (*PACKAGES, "benchmarks", "examples")
    for file in (ROOT / folder).rglob("*.py")
)
FILE_LINES, CLASS_LINES, FUNCTION_LINES = 350, 250, 60


def _relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _nodes(kind: type | tuple[type, ...]) -> Iterator[tuple[str, ast.AST]]:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield f"{_relative(file)}:{node.lineno} {node.name}", node


def test_no_file_class_or_function_is_too_long_to_read() -> None:
    long = [
        f"{_relative(file)}: {lines} lines"
        for file in FILES
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > FILE_LINES
    ]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for kind, limit in ((ast.ClassDef, CLASS_LINES), (functions, FUNCTION_LINES)):
        for place, node in _nodes(kind):
            size = node.end_lineno - node.lineno + 1
            if size > limit:
                long.append(f"{place}: {size} lines")
    assert not long, "\n".join(long)


def _public_without_docstring(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if not ast.get_docstring(tree) and file.name != "__init__.py":
        yield f"{_relative(file)}: the file"
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, definitions) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield f"{_relative(file)}:{node.lineno} {node.name}"
            # What overrides a method of a base is described there.
            if isinstance(node, ast.ClassDef) and not node.bases:
                for inner in node.body:
                    public = isinstance(inner, definitions) and not inner.name.startswith("_")
                    if public and not ast.get_docstring(inner) and not _is_field_like(inner):
                        yield f"{_relative(file)}:{inner.lineno} {node.name}.{inner.name}"


def _is_field_like(node: ast.AST) -> bool:
    """A property of one line says by its name what it is, as a field does."""
    decorated = [ast.unparse(one) for one in getattr(node, "decorator_list", ())]
    return any(name in ("property", "cached_property") or "overload" in name for name in decorated)


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_says_what_it_is(package: str) -> None:
    silent = [
        told
        for file in FILES
        if _relative(file).startswith(f"{package}/")
        for told in _public_without_docstring(file)
    ]
    assert not silent, "\n".join(silent)


def test_docstrings_have_one_dialect() -> None:
    """Google's sections in Markdown: `code` in single backticks, errors under `Raises:`."""
    foreign = re.compile(r"``|:(?:func|class|meth|mod|attr|data):`|:(?:param|raises?|returns?)\b")
    prose = re.compile(r"\bRaises (?!:)\w")
    wrong = []
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if foreign.search(text) or prose.search(text):
                    wrong.append(f"{_relative(file)}: {getattr(node, 'name', 'the file')}")
    assert not wrong, "\n".join(wrong)


def test_what_something_is_taken_from_has_a_name() -> None:
    """A paper by authors, year and arXiv number, a post by its title; never a number in a list."""
    numbered = re.compile(r"\bsources?\b[^.\n]{0,20}\b0\d\d\b|\(0\d\d(, 0\d\d)*\)", re.IGNORECASE)
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("search_spaces/*.yaml")]
    pages += (ROOT / "trials/presets").glob("*.yaml")
    found = [
        f"{_relative(file)}: {match.group()}"
        for file in (*FILES, *pages)
        for match in numbered.finditer(file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def _rooms() -> set[str]:
    """Every folder of both packages that holds code, and every file beside the rooms."""
    rooms = {"sweeper/", "trials/"}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            folder = path.parent.relative_to(ROOT).as_posix()
            rooms.add(f"{folder}/")
            if path.parent == ROOT / package and path.name != "__init__.py":
                rooms.add(_relative(path))
    return rooms


def test_the_map_shows_the_rooms_that_there_are() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `((?:sweeper|trials)/[\w/.]*)`", page, flags=re.MULTILINE))
    assert shown == _rooms()
