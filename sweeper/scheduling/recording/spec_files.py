"""What a sweep was begun with, kept in its folder: `sweep.yaml` for people, `spec.json` for us."""

from __future__ import annotations

import json
import time
from pathlib import Path

import yaml

from sweeper.errors import SpecConflict, UserError
from sweeper.home import Home, SweepFolder, writing
from sweeper.permissions import private
from sweeper.removal import is_empty, remove_sweep
from sweeper.scheduling.recording.events import Listener, Noted
from sweeper.sweepfile.load import load_sweep, read_stored
from sweeper.sweepfile.model import ABLATION_MAY_CHANGE, MAY_CHANGE, Sweep
from trials.files import atomic_write


def going_on(sweep: Sweep, folder: SweepFolder, begun: Sweep | None) -> Sweep:
    """The sweep to run, where one of its name has `begun` in the folder.

    Raises:
        SpecConflict: that is another sweep.
    """
    if begun is None:
        return sweep
    sweep = sweep.going_on(begun)
    if refused := begun.difference(sweep).refused:
        raise SpecConflict(
            f"a sweep named {sweep.name!r} exists in {folder.path.parent} and differs in "
            f"{', '.join(refused)}: give this one another name, or change nothing but its "
            f"{_what_may_change(sweep)}"
        )
    return sweep


def _what_may_change(sweep: Sweep) -> str:
    """`description, limits, ... and seeds.screen`: what a file may change of a sweep like it."""
    *others, last = ABLATION_MAY_CHANGE if sweep.is_ablation else MAY_CHANGE
    return f"{', '.join(others)} and {last}"


def make_way(sweep: Sweep, home: Home, folder: SweepFolder, tell: Listener | None) -> None:
    """Take away what was begun under the sweep's name where that is another sweep which has nothing
    yet, as where not even its base could be trained; and `tell` of it.

    Raises:
        SpecConflict: it is still being recorded.
        SweepBusy: another process runs it.
        SweeperError: it cannot be read or removed.
    """
    begun = read_stored(folder.spec_json) if folder.exists() else None
    if begun is None or not begun.difference(sweep.going_on(begun)).refused:
        return
    with private(home.path), folder.lock():
        if not is_empty(folder, begun):
            return
        if not remove_sweep(home, folder, begun):
            raise SpecConflict(
                f"a sweep named {sweep.name!r} without any trial, which this one would replace, is "
                "still being sent to MLflow: run this again in a minute"
            )
    if tell is not None:
        told = f"it replaces another {sweep.name!r}, which had no trial yet"
        tell(Noted(told, time.time()))


def keep_spec(
    sweep: Sweep, folder: SweepFolder, source: Path | None, begun: Sweep | None = None
) -> None:
    """Write the spec down where it is not that of the sweep as it has `begun`. It comes last: once
    it is the new one, the file is not compared again; and the file may be given as it lies here.

    A sweep that was given without one, from Python or through a pipe, goes on by the file that it
    has, or by one that is made."""
    if begun is not None and not begun.difference(sweep) and folder.sweep_yaml.exists():
        return
    given = source if source is not None and source.is_file() else folder.sweep_yaml
    with writing(folder.path):
        atomic_write(folder.sweep_yaml, _kept_text(sweep, given))
        atomic_write(folder.spec_json, json.dumps(sweep.to_dict(), indent=2) + "\n")


def _kept_text(sweep: Sweep, source: Path) -> bytes | str:
    """The file as it was given if it alone makes this sweep, from any folder; else all of it."""
    full = yaml.safe_dump(sweep.to_dict(), sort_keys=False, allow_unicode=True)
    if not source.exists():
        return f"# the whole sweep: it was given without a file\n{full}"
    if not _makes(source, sweep):
        return f"# {source.name}, and what was set beside it\n{full}"
    return source.read_bytes()


def _makes(source: Path, sweep: Sweep) -> bool:
    try:
        return not load_sweep(source).difference(sweep)
    except UserError:  # it is valid only with what was set beside it
        return False
