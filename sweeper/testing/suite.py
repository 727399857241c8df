"""The suite of a part: as one call, and as a class of tests to inherit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from sweeper.errors import SweeperError
from sweeper.testing import (  # noqa: F401 - each adds its promises
    ablation_design,
    data_source,
    decay,
    every_part,
    extractor,
    measure,
    network_family,
    optimizer,
    sampler,
    sign,
    stopping_rule,
    table_format,
    trick,
)
from sweeper.testing.promises import Broken, Promise, registered_for
from trials.errors import TrialError, in_one_line
from trials.origins import raised_by_another
from trials.part import Part


def promises_of(kind: str) -> tuple[Promise, ...]:
    """What every part of a kind is held to, each a function of the part and an empty folder."""
    return registered_for(kind)


def check_part(part: type[Part], folder: Path | None = None) -> None:
    """Hold a part to all promises of its kind; what it trains goes to `folder`, or is forgotten.

    Takes seconds to a minute, on the CPU.

    Raises:
        Broken: with a line for each promise that is not kept.
    """
    faults = []
    with tempfile.TemporaryDirectory() as scratch:
        for promise in promises_of(part.kind):
            place = (folder or Path(scratch)) / promise.__name__
            place.mkdir(parents=True)
            try:
                promise(part, place)
            except Exception as error:  # the part's own code may raise anything
                faults.append(f"{promise.__name__.replace('_', ' ')}: {_told(error)}")
    if faults:
        raise Broken(f"{part.kind} '{part.key}'\n" + "\n".join(f"  {fault}" for fault in faults))


def _told(error: Exception) -> str:
    """What is wrong: a sentence of ours, or what the part raised and where."""
    if isinstance(error, Broken | TrialError | SweeperError):
        return "; ".join(str(error).splitlines())
    return raised_by_another(error) or in_one_line(error)


class PartSuite:
    """A class of tests: subclass it, name it `Test…`, and say which `part`."""

    part: ClassVar[type[Part]]

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test for each promise of the part's kind."""
        promises = promises_of(self.part.kind)
        names = [promise.__name__ for promise in promises]
        metafunc.parametrize("promise", promises, ids=names)

    def test_it_keeps_its(self, promise: Promise, tmp_path: Path) -> None:
        """The promise holds for the part."""
        promise(self.part, tmp_path)
