"""What an installed package has that is no Python: a checkout has it anyway."""

from __future__ import annotations

import fnmatch
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    file
    for package in ("sweeper", "trials")
    for file in sorted((ROOT / package).rglob("*"))
    if file.is_file() and file.suffix not in (".py", ".pyc")
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_that_the_code_reads_is_in_the_wheel(file: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    package = next(folder for folder in file.parents if (folder / "__init__.py").exists())
    name = package.relative_to(ROOT).as_posix().replace("/", ".")
    patterns = [*settings["package-data"]["*"], *settings["package-data"].get(name, [])]
    path = file.relative_to(package).as_posix()
    assert any(
        fnmatch.fnmatch(path, pattern.replace("**/", "")) and ("/" in pattern) == ("/" in path)
        for pattern in patterns
    )
