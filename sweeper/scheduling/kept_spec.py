"""What a folder keeps of its sweep: the spec, and the file as it was given."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import yaml

from sweeper.errors import SpecConflict, UserError
from sweeper.home import SweepFolder, writing
from sweeper.sweepfile.load import load_sweep, read_stored
from sweeper.sweepfile.model import Sweep
from trials.files import atomic_write


def keep_spec(sweep: Sweep, folder: SweepFolder, source: Path | None) -> Sweep:
    """Write the spec down, or compare it with the one that is there. Returns the sweep to run.

    Raises:
        SpecConflict: the name exists with another search.
        SpecError: the spec that is there is damaged.
        UserError: the folder cannot be written.
    """
    if folder.exists():
        begun = read_stored(folder.spec_json)
        sweep = sweep.going_on(begun)
        difference = begun.difference(sweep)
        if difference.refused:
            raise SpecConflict(
                f"a sweep named {sweep.name!r} exists in {folder.path.parent} and differs in "
                f"{', '.join(difference.refused)}: give this one another name, or change nothing "
                "but its limits, resources, tracking, confirmation and description"
            )
        if not difference:
            return sweep
    # The spec last: once it is the new one, the file is not compared again. And the file may be
    # given as it lies here.
    with writing(folder.path):
        if source is not None and source.is_file():
            atomic_write(folder.sweep_yaml, _kept_text(sweep, source))
        atomic_write(folder.spec_json, json.dumps(sweep.to_dict(), indent=2) + "\n")
    return sweep


def _kept_text(sweep: Sweep, source: Path) -> bytes | str:
    """The file as it was given if it alone makes this sweep, from any folder; else all of it."""
    with contextlib.suppress(UserError):
        if load_sweep(source).difference(sweep):
            full = yaml.safe_dump(sweep.to_dict(), sort_keys=False, allow_unicode=True)
            return f"# {source.name}, and what was set beside it\n{full}"
    return source.read_bytes()
