"""What a trial's ``evaluation`` section may say, and which metrics the data allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from trials.metrics.extractors import AnyExtractor, ExtractorConfig, check_extractor
from trials.metrics.extractors.config import resolve
from trials.metrics.measures import MEASURES, Need
from trials.metrics.neighbours import NEIGHBOURS
from trials.problems import Problem, nearest


def _known(value: Any) -> Any:
    for name in value if isinstance(value, list | tuple) else ():
        if isinstance(name, str) and name not in MEASURES:
            close = nearest(name, MEASURES)
            hint = f"; did you mean '{close}'?" if close else ""
            raise ValueError(f"unknown metric '{name}'{hint} (known: {', '.join(MEASURES)})")
    return value


def _keeper(value: Any) -> Any:
    if isinstance(value, str) and value != "auto":
        _known([value.partition("/")[0]])
    return value


class EvaluationConfig(BaseModel):
    """When and how a trial is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int = Field(default=250, ge=1, description="Steps between evaluations")
    samples: int = Field(default=1024, ge=2, description="Generated images of one evaluation")
    final_samples: int = Field(
        default=5000, ge=2, description="Generated images behind a winner's final score"
    )
    batch: int = Field(default=256, ge=1, description="Images generated at a time")
    metrics: Annotated[Literal["auto"] | tuple[str, ...], BeforeValidator(_known)] = Field(
        default="auto", description="What is measured; auto takes what suits the data"
    )
    keep_by: Annotated[str, BeforeValidator(_keeper)] = Field(
        default="auto",
        description="The metric whose best generator is kept; auto takes a sweep's objective, or"
        " fid, or the first that is measured",
    )
    extractor: AnyExtractor = ExtractorConfig()
    batch_statistics: Literal["running", "standing"] = Field(
        default="running",
        description="How normalisation layers are set when sampling: their running averages,"
        " or the average over standing_batches seeded batches",
    )
    standing_batches: int = Field(default=16, ge=1, description="Batches of standing statistics")
    grid: int = Field(default=64, ge=1, description="Images in the sample grid")

    @property
    def batch_statistics_rule(self) -> str:
        """``running``, or ``standing:BATCHESxSIZE``: the protocol's words for it."""
        if self.batch_statistics == "running":
            return "running"
        return f"standing:{self.standing_batches}x{self.batch}"


REASONS: dict[Need, str] = {
    "logits": "an extractor with classes (digits or inception)",
    "modes": "data with known modes (ring or grid)",
    "held_out": "held-out images: set data.holdout",
    "conditional": "labelled data and a generator that takes labels",
    "neighbours": f"more than {NEIGHBOURS} images on each side",
}


def choose_metrics(config: EvaluationConfig, kind: str, met: frozenset[Need]) -> tuple[str, ...]:
    """The metrics to measure on data of this ``kind`` that meet these needs."""
    if config.metrics != "auto":
        return config.metrics
    return tuple(m.name for m in MEASURES.values() if kind in m.kinds and m.needs <= met)


def check_metrics(
    config: EvaluationConfig, met: frozenset[Need], path: str = "evaluation.metrics"
) -> list[Problem]:
    """A problem for each metric asked for by name that this trial cannot measure."""
    return [
        Problem(path, f"{name} needs {REASONS[need]}")
        for name in (() if config.metrics == "auto" else config.metrics)
        for need in sorted(MEASURES[name].needs - met)
    ]


def _check_keeper(config: EvaluationConfig, measured: Sequence[str], path: str) -> list[Problem]:
    name = config.keep_by.partition("/")[0]
    if name == "auto" or name in measured:
        return []
    return [Problem(path, f"{name} is not measured here", "one of " + ", ".join(measured))]


def check_evaluation(
    config: EvaluationConfig,
    *,
    data: str,
    kind: str,
    modes: bool,
    held_out: bool,
    conditional: bool,
    path: str = "evaluation",
) -> list[Problem]:
    """Everything wrong with an evaluation that can be seen before the data are open.

    ``data`` is the source's name, ``kind`` ``image`` or ``point``; the rest says whether the
    data have known modes and held-out images, and whether the generator takes their labels.
    Whether a TorchScript module has classes is known only when it runs.
    """
    extractor = resolve(config.extractor, data, kind)
    holds: dict[Need, bool] = {
        "logits": extractor != "identity",
        "modes": modes,
        "held_out": held_out,
        "conditional": conditional,
        "neighbours": min(config.samples, config.final_samples) > NEIGHBOURS,
    }
    met = frozenset(need for need, held in holds.items() if held)
    return [
        *check_extractor(config.extractor, data, kind, f"{path}.extractor"),
        *check_metrics(config, met, f"{path}.metrics"),
        *_check_keeper(config, choose_metrics(config, kind, met), f"{path}.keep_by"),
    ]
