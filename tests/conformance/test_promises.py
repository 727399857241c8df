"""Our own parts of every kind, held to what `sweeper.testing` holds other people's to."""

from __future__ import annotations

from pathlib import Path

import pytest

import trials.config  # noqa: F401 - it brings the trainer's kinds
from sweeper.parts import BASES, base_of
from sweeper.testing import promises_of
from sweeper.testing.promises import Promise
from trials.part import Part, bases

for kind in BASES:
    base_of(kind)

CASES = [
    pytest.param(promise, part, id=f"{kind.replace(' ', '_')}-{key}-{promise.__name__}")
    for kind, base in sorted(bases().items())
    for key, part in base.all().items()
    for promise in promises_of(kind)
]


@pytest.mark.parametrize(("promise", "part"), CASES)
def test_it_keeps_its(promise: Promise, part: type[Part], tmp_path: Path) -> None:
    promise(part, tmp_path)
