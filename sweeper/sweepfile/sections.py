"""The small sections of a sweep file: what each key means, its default and its limits."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from sweeper.parts import base_of
from sweeper.sweepfile.resources import Resources
from sweeper.sweepfile.section import Section
from trials.by_name import ByName
from trials.problems import nearest
from trials.validation import PROBLEM, short

Goal = Literal["minimize", "maximize"]


class Objective(Section):
    """What is optimised, and in which direction. Two stand in a list, `[{metric: fid}, {metric:
    recall}]`, for a sampler that takes two."""

    metric: str = "fid"
    """Name of a measure that every evaluation records; of a class its number too: class_fid/3."""
    goal: Goal = "minimize"
    """By default the direction in which the measure improves."""


class Seeds(Section):
    """How many seeds a configuration is tried on."""

    confirm_top: int = Field(default=0, ge=0, le=1000)
    """Best configurations that run again after the search, on fresh seeds; 0: none."""
    confirm_base: bool = True
    """Whether the base configuration runs on the same fresh seeds, beside them: what the winner
    gains is then a difference over paired seeds."""
    replicates: int = Field(default=5, ge=2, le=1000)
    """Fresh seeds of each confirmed configuration, the same for all of them."""
    screen: int = Field(default=3, ge=2, le=1000)
    """Of those, the first that every one gets; after each further one, a configuration that can no
    longer win is given up and gets no more. The base gets all of them."""


def _check_silence(given: Any) -> Any:
    """`auto`, or a number of seconds, as it is."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if given == "auto" or (number and 0 < given < float("inf")):
        return given
    told = {"message": f"{short(given)} is wrong", "expected": "auto, or a number of seconds"}
    raise PydanticCustomError(PROBLEM, "{message}", {**told, "nearest": ""})


Silence = Annotated[
    Literal["auto"] | float,
    BeforeValidator(_check_silence),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "number", "exclusiveMinimum": 0}]}),
]


class Limits(Section):
    """When the sweep ends. All of it may be raised later, and the sweep goes on."""

    trials: int | None = Field(default=None, ge=1, le=1_000_000)
    """Trials of the search; the grid sampler runs every point when it is not given."""
    parallel: int = Field(default=1, ge=1, le=10_000)
    """Trials that run at the same time."""
    failed: int | None = Field(default=None, ge=1)
    """Failed trials after which the sweep stops; by default it never does for that."""
    hours: float | None = Field(default=None, gt=0)
    """Hours by the clock after which no new trial starts. Time in which the sweep is paused, or
    waits for its turn, does not count, nor does that between two runs of it."""
    gpu_hours: float | None = Field(default=None, gt=0)
    """The same in hours of GPU: each trial counts as many as its resources while it is at work."""
    cpu_hours: float | None = Field(default=None, gt=0)
    """The same in hours of CPU."""
    landing: Literal["finish", "evaluation"] = "finish"
    """What becomes of the trials that run when hours are used up: they may `finish`, or stand still
    at their next `evaluation` and go on from there when the limit is raised."""
    trial_silence: Silence = "auto"
    """Seconds without an evaluation after which a trial hangs: its process is ended, its log says
    where each thread stood, and it goes on from its checkpoint once. By default twenty times what
    an evaluation of the sweep took, and ten minutes at least."""


class Tracking(Section):
    """Where runs are recorded, and what of them."""

    uri: str | None = None
    """MLflow's tracking server or store; by default an SQLite file in the sweeps' home."""
    patch: bool = True
    """Whether changes that are not committed in the git repository which the sweep is started in
    are recorded; its commit always is."""


_BEST = re.compile(r"best ([1-9][0-9]{0,4})")


def _check_share(words: tuple[str, ...], given: Any) -> Any:
    """One of these words, or `best N`, as it is."""
    if isinstance(given, str) and (given in words or _BEST.fullmatch(given)):
        return given
    told = {"message": f"{short(given)} is not possible"}
    told["expected"] = f"{', '.join(words)}, or best N, such as best 3"
    told["nearest"] = nearest(str(given), (*words, "best 3"))
    raise PydanticCustomError(PROBLEM, "{message}", told)


def _share_schema(words: tuple[str, ...]) -> dict[str, Any]:
    return {"anyOf": [{"enum": list(words)}, {"type": "string", "pattern": f"^{_BEST.pattern}$"}]}


_OF_CHECKPOINTS, _OF_GENERATORS = ("all", "unfinished"), ("all", "none")
Checkpoints = Annotated[
    str,
    BeforeValidator(partial(_check_share, _OF_CHECKPOINTS)),
    WithJsonSchema(_share_schema(_OF_CHECKPOINTS)),
]
Generators = Annotated[
    str,
    BeforeValidator(partial(_check_share, _OF_GENERATORS)),
    WithJsonSchema(_share_schema(_OF_GENERATORS)),
]


class Keep(Section):
    """What stays of trials that have ended; the rest is let go of while the sweep goes on, in
    MLflow too. Of a trial that may still go on, everything stays: one that has not ended, one that
    failed by something that can be mended, one that was stopped by hand."""

    checkpoints: Checkpoints = "best 3"
    """Of which trials the checkpoint stays: of the N best, of none that has ended (`unfinished`),
    or of all. Under `pbt` the N best of each milestone stay as well, for trials that come later."""
    generators: Generators = "best 10"
    """Of which trials the best generator stays, without which no more samples can be drawn. The
    winner's stays in any case until its final score is measured."""
    samples: Literal["every", "last"] = "every"
    """Of the pictures that its evaluations drew, `every` one of a trial or the `last`."""

    @staticmethod
    def best(share: str) -> int | None:
        """How many of the best trials a word of these means; None: all of them."""
        found = _BEST.fullmatch(share)
        return int(found[1]) if found else None if share == "all" else 0


SECTIONS: dict[str, type[Section]] = {
    "seeds": Seeds,
    "limits": Limits,
    "resources": Resources,
    "tracking": Tracking,
    "keep": Keep,
}
CHOICES: dict[str, ByName] = {
    "search": ByName(partial(base_of, "sampler"), tag="sampler", default="tpe"),
    "scheduler": ByName(partial(base_of, "stopping rule"), default="none"),
    "ablation": ByName(partial(base_of, "ablation design"), tag="design"),
}
"""Sections that choose a part, and what of a part they hold."""

KEYS = (
    *("name", "description", "base", "parameters", "objective", "health", "parts"),
    *CHOICES,
    *SECTIONS,
)
"""The keys of a sweep file."""

ON_TOP = (("health",), ("parts",))
"""Sections of the base that a file may have at its top."""
