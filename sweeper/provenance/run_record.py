"""What a sweep was run with, written down by its driver before the first trial.

A record is a folder named by a digest of what is in it, so that a sweep that is run again as before
adds nothing, and trials name the record that they were made under. `run.json` is written last: a
folder without it was cut short by a kill, and is written again.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from sweeper.foreign_parts import ForeignParts
from sweeper.home import SweepFolder, writing
from sweeper.provenance.checkout import Checkout, look
from sweeper.provenance.installed import requirements
from sweeper.secrets import redacted_command
from sweeper.sweepfile.model import Sweep
from trials.distributions import OURS, version_of
from trials.errors import encodable
from trials.files import atomic_write
from trials.origins import origin_of
from trials.surroundings import code

RUN, REQUIREMENTS, PATCH = "run.json", "requirements.txt", "changes.patch"

LIBRARIES = (OURS, "torch", "numpy", "ray", "optuna", "mlflow")
"""Distributions whose versions a record names; it lists all of them beside."""


@dataclass(frozen=True)
class Start:
    """How a sweep was started by hand: the words of the command, and the folder it was given in."""

    command: tuple[str, ...]
    folder: Path

    @classmethod
    def here(cls) -> Self:
        """By this process."""
        return cls(tuple(sys.orig_argv), Path.cwd())


class RunRecord(BaseModel):
    """One way in which a sweep was run.

    `command` holds no secret, and is empty where a service ran the sweep, as `checkout` is None
    there. `parts` are the search's own by kind, and those of other people by name, with versions or
    hashes of their source. `patch` and `requirements` are sha256 of the files beside; of no patch
    it is empty.
    """

    model_config = ConfigDict(frozen=True)

    command: tuple[str, ...] = ()
    folder: str = ""
    machine: str = ""
    system: str = ""
    python: str = ""
    code: str = ""
    versions: Mapping[str, str] = {}
    parts: Mapping[str, str] = {}
    seeds: Mapping[str, int] = {}
    fingerprint: str = ""
    checkout: Checkout | None = None
    patch: str = ""
    requirements: str = ""


@dataclass(frozen=True)
class Kept:
    """A record in the sweep's folder; `digest` names it."""

    digest: str
    record: RunRecord
    place: Path

    @property
    def files(self) -> dict[str, Path]:
        """All of it, by the names that they have below the sweep's folder."""
        names = (RUN, REQUIREMENTS, *((PATCH,) if self.record.patch else ()))
        return {
            f"{self.place.parent.name}/{self.digest}/{name}": self.place / name for name in names
        }

    @property
    def tags(self) -> dict[str, str]:
        """What a listing of runs can be filtered by."""
        checkout = self.record.checkout
        told = {"sweeper.run": self.digest, "sweeper.code": self.record.code}
        if checkout is not None and checkout.commit:
            told["sweeper.commit"] = checkout.commit + (" and changes" if checkout.changed else "")
        return told


def keep_run(sweep: Sweep, folder: SweepFolder, foreign: ForeignParts, start: Start | None) -> Kept:
    """Write down what the sweep is run with now; `start` is None where a service runs it."""
    checkout, patch = None, b""
    if start is not None:
        checkout, patch = look(start.folder, folder.path.parent, patch=sweep.tracking.patch)
    listed = requirements()
    record = RunRecord(
        command=tuple(map(encodable, redacted_command(start.command))) if start else (),
        folder=encodable(str(start.folder)) if start else "",
        machine=platform.node(),
        system=platform.platform(),
        python=platform.python_version(),
        code=code(),
        versions={name: version for name in LIBRARIES if (version := version_of(name))},
        parts=_parts(sweep, foreign),
        seeds=_seeds(sweep),
        fingerprint=sweep.fingerprint,
        checkout=checkout,
        patch=hashlib.sha256(patch).hexdigest() if patch else "",
        requirements=hashlib.sha256(listed.encode()).hexdigest(),
    )
    text = record.model_dump_json(indent=2) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    kept = Kept(digest, record, folder.provenance / digest)
    if not (kept.place / RUN).is_file():
        with writing(folder.path):
            kept.place.mkdir(parents=True, exist_ok=True)
            atomic_write(kept.place / REQUIREMENTS, listed)
            if patch:
                atomic_write(kept.place / PATCH, patch)
            atomic_write(kept.place / RUN, text)
    return kept


def read_run(folder: SweepFolder, digest: str) -> Kept | None:
    """The record of this name; None where there is none that can be read."""
    place = folder.provenance / digest
    try:
        text = (place / RUN).read_bytes()
        return Kept(digest, RunRecord.model_validate_json(text), place)
    except (OSError, ValidationError):
        return None


def _parts(sweep: Sweep, foreign: ForeignParts) -> dict[str, str]:
    of_the_driver = [sweep.ablation] if sweep.ablation else [sweep.search, sweep.scheduler]
    parts = [config.part for config in of_the_driver]
    return {f"{part.kind} {part.key}": str(origin_of(part)) for part in parts} | foreign.as_dict()


def _seeds(sweep: Sweep) -> dict[str, int]:
    seed = sweep.base.get("seed")
    base = {"base": seed} if isinstance(seed, int) else {}
    return base if sweep.is_ablation else {"search": sweep.search.seed, **base}
