"""What the files in a trial's folder are called, and what each of them is.

    checkpoint.pt             the newest checkpoint
    previous_checkpoint.pt    the one before it
    generator.safetensors     the best generator
    samples/000250.png        pictures of a step

What a file is follows from how its name begins: how it ends is its trainer's matter.
"""

from __future__ import annotations

import posixpath
from typing import Literal

CHECKPOINT = "checkpoint.pt"
GENERATOR = "generator.safetensors"
PREVIOUS = "previous_"
"""Before the name of a file that a newer one has replaced."""
SAMPLES = "samples"
"""The folder of the pictures."""

NEWEST_CHECKPOINT = "checkpoint."
PREVIOUS_CHECKPOINT = f"{PREVIOUS}{NEWEST_CHECKPOINT}"
ANY_GENERATOR = "generator."
"""How names begin: of the newest checkpoint, of the one before it, and of a generator."""


def kind_of(path: str) -> Literal["checkpoints", "generators", "samples", "others"]:
    """What a file of a trial is, by its path or its key in a bucket."""
    folder, name = posixpath.split(path)
    if name.startswith((NEWEST_CHECKPOINT, PREVIOUS_CHECKPOINT)):
        return "checkpoints"
    if name.removeprefix(PREVIOUS).startswith(ANY_GENERATOR):
        return "generators"
    return "samples" if posixpath.basename(folder) == SAMPLES else "others"
