"""What the sections of a sweep file must satisfy beyond what each key says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from sweeper.errors import Problem
from sweeper.parts import DesignConfig, base_of
from sweeper.secrets import secrets_in
from sweeper.sweepfile.document import Document, Path, one_of
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.resources import Given, Resources
from sweeper.sweepfile.sections import Objective

_COPIED = "in an address, which would be copied into logs and records"
_CREDENTIALS = (
    "credentials in the environment: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN, for a server; a libpq password file for PostgreSQL"
)


def check_sections(document: Document, sections: Mapping[str, Any]) -> None:
    """Problems inside single sections, beyond what each key says of itself."""
    tracking = sections["tracking"]
    if tracking is not None and tracking.uri is not None:
        try:
            urlsplit(tracking.uri)
        except ValueError as error:
            document.add(("tracking", "uri"), f"is not an address: {error}")


def check_resources(
    document: Document, resources: Resources | None, base: Mapping[str, Any]
) -> None:
    """What is asked for and would not be used, or is used and not asked for. A sweep that was
    stored with it can be listed."""
    if resources is None:
        return
    _check_device(document, resources, base.get("device"))
    if resources.whole == Given(cpu=0.0, gpu=0.0):
        document.add(
            ("resources", "cpu"),
            "0 is too little: a trial without a GPU would have nothing to compute on",
            "auto, or cores above 0; a share of one, such as 0.5, lets trials take turns on it",
        )
    if resources.whole.gpu > 1:
        document.add(
            ("resources", "gpu"),
            f"{resources.gpu:g} is too many: a training uses one GPU, and the others would idle",
            "1, or a share of one GPU; `limits.parallel` trains several trials at a time",
        )
    if resources.mps and resources.gpu in (0, 1):
        has = "have a GPU each" if resources.gpu else "use no GPU"
        document.add(
            ("resources", "mps"),
            f"has no effect: trials {has} here",
            "`gpu: auto`, or a share of a GPU such as `gpu: 0.5`",
        )


def _check_device(document: Document, resources: Resources, device: Any) -> None:
    """A GPU that the base asks for by name is one that its trials are given."""
    if not isinstance(device, str) or not device.startswith("cuda"):
        return
    if resources.gpu == 0:
        document.add(
            ("base", "device"),
            "is a GPU, but `resources.gpu` gives the trials of this sweep none",
            "`resources: {gpu: 1}`, a share of one such as 0.5, or auto",
        )
    elif device not in ("cuda", "cuda:0"):
        document.add(
            ("base", "device"),
            f"{device} is not visible to a trial: it is given one GPU, which it sees as its first",
            "cuda",
        )


def check_lag(document: Document, base: Mapping[str, Any], scheduler: Any) -> None:
    """A checkpoint that others go on from is one that was measured."""
    from trials.config import default_at  # imports torch

    # One that cannot be read is reported where it stands.
    if scheduler is not None and scheduler.part.copies and default_at(base, "evaluation.lag"):
        document.add(
            ("base", "evaluation", "lag"),
            f"{scheduler.name} copies weights as they were measured, but with a lag they have"
            " trained on by then",
            "0",
        )


def check_secrets(document: Document, text: str) -> None:
    """Refuse secrets in addresses anywhere in a file, comments too: all of it is recorded.

    `text` is what the document was read from; overrides are values that it does not hold.
    """
    told: set[str] = set()
    lines: set[int | None] = set()
    for path, value in document.texts():
        for secret in secrets_in(value):
            told.add(value[secret.start : secret.end])
            lines.add(document.place(path).line)
            document.add(path, f"holds {secret.what} {_COPIED}", _CREDENTIALS)
    for number, line in enumerate(text.splitlines(), 1):
        for secret in secrets_in(line):
            is_comment = "#" in line[: secret.start] and number not in lines
            if is_comment or line[secret.start : secret.end] not in told:
                document.problems.append(
                    Problem(
                        "",
                        f"the text here holds {secret.what} {_COPIED}",
                        _CREDENTIALS,
                        file=document.file,
                        line=number,
                    )
                )


def check_together(
    document: Document,
    parameters: Sequence[Parameter],
    objective: Sequence[Objective] | None,
    sections: Mapping[str, Any],
) -> None:
    """Problems between sections that are each fine alone."""
    search, scheduler, limits = sections["search"], sections["scheduler"], sections["limits"]
    if objective is not None and len(objective) == 2:
        if search is not None and search.part.objectives < 2:
            samplers = base_of("sampler").all().items()
            document.add(
                ("search", "sampler"),
                f"{search.name} optimises one objective, but there are two",
                one_of(key for key, part in samplers if part.objectives >= 2),
            )
        if scheduler is not None and scheduler.part.decides:
            document.add(
                ("scheduler", "name"),
                f"{scheduler.name} decides by one objective, but there are two",
                "none",
            )
    ablation = sections["ablation"]
    if ablation is not None:
        _check_ablation(document, parameters, ablation, sections)
    if document.root.get("ablation") is not None:
        return  # whatever is wrong with it, this is no search
    if search is not None:
        if limits is not None and limits.trials is None and not search.part.ends:
            document.add(("limits", "trials"), "is missing", "the number of trials to search")
        if search.part.needs_rungs and scheduler is not None and not scheduler.part.has_rungs:
            rules = base_of("stopping rule").all().items()
            document.add(
                ("search", "sampler"),
                f"{search.name} learns at the rungs of a stopping rule, and `{scheduler.name}` has "
                "no rungs",
                f"`scheduler` {one_of(key for key, rule in rules if rule.has_rungs)}",
            )
        for fault in search.part.check(search, parameters):
            if not _is_of_unread(document, fault.path):
                document.add(*fault)
    if scheduler is not None:
        for fault in scheduler.part.check(scheduler, parameters):
            document.add(*fault)


def _is_of_unread(document: Document, path: Path) -> bool:
    """Whether a path names a parameter that is reported already, so that it may be unknown here."""
    wrong = [problem.path for problem in document.problems]
    places = [f"parameters.{key}" for key in path]
    return any(one == place or one.startswith(f"{place}.") for one in wrong for place in places)


def _check_ablation(
    document: Document,
    parameters: Sequence[Parameter],
    ablation: DesignConfig,
    sections: Mapping[str, Any],
) -> None:
    """What a designed study cannot have: it runs every cell, to its end, on the given seeds."""
    for parameter in parameters:
        at = ("parameters", parameter.path)
        if isinstance(parameter.domain, Range):
            document.add(at, "a factor of an ablation has levels, but this is a range", "`values`")
        if parameter.path == "seed":
            document.add(at, "seeds are not a factor", "`ablation.seeds`")
        if parameter.when:
            message = "every cell of a design sets every factor, so there is no condition to meet"
            document.add((*at, "when"), message, "the trick's knobs in `base`")
    if not parameters:
        document.add(("parameters",), "is missing", "the factors of the ablation")
    search = sections["search"]
    if search is not None and search.tries:
        message = "an ablation runs the cells of its design, and nothing else"
        document.add(("search", "try"), message, "no such key")
    for fault in ablation.part.check(ablation):
        document.add(*fault)
    scheduler, limits, seeds = sections["scheduler"], sections["limits"], sections["seeds"]
    if scheduler is not None and scheduler.part.decides:
        message = f"{scheduler.name} would compare half-trained cells with finished ones"
        document.add(("scheduler", "name"), message, "none")
    if limits is not None and limits.trials is not None:
        message = "the design and its seeds say how many trials there are"
        document.add(("limits", "trials"), message, "no such key")
    if seeds is not None and seeds.confirm_top:
        message = "an ablation has seeds of its own"
        document.add(("seeds", "confirm_top"), message, "`ablation.seeds`")
    if isinstance(ablation.seeds, int):
        if ablation.seeds < 1:
            document.add(("ablation", "seeds"), f"{ablation.seeds} is too few", "at least 1")
    elif not ablation.seeds or len(set(ablation.seeds)) < len(ablation.seeds):
        message = "is empty or names a seed twice"
        document.add(("ablation", "seeds"), message, "different seeds")
