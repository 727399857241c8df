"""What a trial was made of, written down by its workers where they ran.

An attempt that goes on from the trial's own checkpoint, with all as it was, is one with the one
before it. One that begins where the trial begins, or from another trial's checkpoint, makes what
was there before no part of what the trial comes to.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from trials.files import atomic_write
from trials.origins import origin_of, source_hash
from trials.part import Part, PartConfig, everything, using
from trials.surroundings import surroundings

FILE = "provenance.json"
NOT_INSTALLED = ", not installed"
"""After the version of a part that a script or a notebook has defined."""


class Attempt(BaseModel):
    """Part of one training: from `step` on, up to the next attempt's, in one place.

    `run` names the driver's record (`run_record`). `donor` is another trial's checkpoint that it
    began from, such as `00003/kept/000500`. `protocol` says how it is measured, hashes of data and
    extractor among it.
    """

    model_config = ConfigDict(frozen=True)

    run: str = ""
    step: int = 0
    donor: str = ""
    seed: int | None = None
    surroundings: Mapping[str, str] = {}
    parts: Mapping[str, str] = {}
    protocol: Mapping[str, str] = {}


_ATTEMPTS = TypeAdapter(tuple[Attempt, ...])


def attempt_at(
    config: Mapping[str, Any], *, run: str, step: int, donor: str, protocol: Mapping[str, str]
) -> Attempt:
    """An attempt that begins in this process now, by a trial's configuration."""
    seed = config.get("seed", 0)
    return Attempt(
        run=run,
        step=step,
        donor=donor,
        seed=seed if isinstance(seed, int) else None,
        surroundings=surroundings(),
        parts=parts_of(config) if "torch" in sys.modules else {},
        protocol=protocol,
    )


def note_attempt(folder: Path, attempt: Attempt) -> None:
    """Write down in a trial's folder that an attempt begins."""
    begins = attempt.step == 0 or bool(attempt.donor)
    before = () if begins else read_attempts(folder)
    if before:
        kept = before[-1].model_copy(update={"step": attempt.step, "donor": attempt.donor})
        if kept == attempt:
            return
    atomic_write(folder / FILE, _ATTEMPTS.dump_json((*before, attempt), indent=2) + b"\n")


def read_attempts(folder: Path) -> tuple[Attempt, ...]:
    """What is known of the attempts that have made a trial, in their order; empty where nothing is,
    or what was written is damaged."""
    try:
        return _ATTEMPTS.validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return ()


def parts_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Kind and key → version of every part that a trial's configuration holds or that acts without
    being named, with a hash of its source beside the version of its distribution."""
    from trials.config import load_config
    from trials.errors import ConfigError

    with using({"parts": config.get("parts")}):
        used = {part for part in everything() if part.acts_unnamed()}
    with contextlib.suppress(ConfigError):  # a caller's own configurations are not ours
        used |= set(_held(load_config(config)))
    return dict(sorted((f"{part.kind} {part.key}", _version(part)) for part in used))


def _held(value: Any) -> Iterator[type[Part]]:
    """The parts whose knobs stand anywhere in a configuration."""
    if isinstance(value, PartConfig) and value.part.key:
        yield value.part
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _held(inner)


_VERSIONS: dict[type[Part], str] = {}


def _version(part: type[Part]) -> str:
    if part not in _VERSIONS:  # a hash takes some milliseconds
        origin = origin_of(part)
        source = f" sha256:{source_hash(part)[:12]}" if origin.installed else NOT_INSTALLED
        _VERSIONS[part] = f"{origin}{source}"
    return _VERSIONS[part]
