"""What a trial's `evaluation` section may say, and which metrics the data allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from trials.by_name import ByName
from trials.choices import Key, Several
from trials.metrics.extractor import Extractor, check_extractor, decided
from trials.metrics.measure import Measure
from trials.metrics.needs import NEIGHBOURS, REAL_SAMPLES, REASONS, Need, taken_by_itself
from trials.metrics.seeing import ExtractorPrecision
from trials.part import PartConfig
from trials.problems import Problem
from trials.settings import Settings


def _keeper(value: str) -> str:
    """`auto`, or the name of a measure, perhaps with a part of it: `class_fid/3`."""
    if value != "auto":
        Key(Measure).read(value.partition("/")[0])
    return value


class EvaluationConfig(Settings):
    """When and how a trial is measured."""

    model_config = ConfigDict(validate_default=True)

    every: int = Field(default=250, ge=1, description="Steps between evaluations")
    lag: Literal[0, 1] = Field(
        default=0,
        description="1: an evaluation is measured beside the next training steps, and told when the"
        " next one is due; the same numbers, later",
    )
    samples: int = Field(default=1024, ge=2, description="Generated images of one evaluation")
    final_samples: int = Field(
        default=5000, ge=2, description="Generated images behind a winner's final score"
    )
    reference: Literal["train", "test"] = Field(
        default="train",
        description="Real images that are measured against: those trained on, or their test split",
    )
    real_samples: int = Field(
        default=REAL_SAMPLES,
        ge=1000,
        description="Real images, at most, among which measures look for neighbours and pairs: kid,"
        " precision, recall, density, coverage",
    )
    batch: int = Field(default=256, ge=1, description="Images generated at a time")
    metrics: Annotated[Any, Several(Measure)] = Field(
        default="auto", description="What is measured; auto takes what suits the data"
    )
    keep_by: Annotated[str, AfterValidator(_keeper)] = Field(
        default="auto",
        description="The metric whose best generator is kept; auto takes a sweep's objective, or"
        " fid, or the first that is measured",
    )
    extractor: Annotated[Any, ByName(Extractor, default="auto")] = Field(
        default="auto", description="What images are measured through"
    )
    extractor_precision: ExtractorPrecision = Field(
        default=ExtractorPrecision(),
        description="What the extractor computes in: anything but the default is another protocol",
    )
    batch_statistics: Literal["running", "standing"] = Field(
        default="running",
        description="How normalisation layers are set when sampling: their running averages,"
        " or the average over standing_batches seeded batches",
    )
    standing_batches: int = Field(default=16, ge=1, description="Batches of standing statistics")
    grid: int = Field(default=64, ge=1, description="Images in the sample grid")

    @property
    def batch_statistics_rule(self) -> str:
        """`running`, or `standing:BATCHESxSIZE`: the protocol's words for it."""
        if self.batch_statistics == "running":
            return "running"
        return f"standing:{self.standing_batches}x{self.batch}"


def choose_measures(
    config: EvaluationConfig, kind: str, met: frozenset[Need]
) -> tuple[Measure.Config, ...]:
    """The measures to take of data of this `kind` that meet these needs, with their knobs: those
    that are asked for, else what suits, and what the best generator is kept by."""
    if config.metrics != "auto":
        chosen: tuple[Measure.Config, ...] = config.metrics
        return chosen
    kept_by = config.keep_by.partition("/")[0]
    return tuple(
        measure.Config()
        for name, measure in Measure.all().items()
        if kind in measure.kinds
        and (taken_by_itself(measure.needs, met) or (name == kept_by and measure.needs <= met))
    )


def check_metrics(
    config: EvaluationConfig, met: frozenset[Need], path: str = "evaluation.metrics"
) -> list[Problem]:
    """A problem for each metric asked for by name that this trial cannot measure."""
    asked = () if config.metrics == "auto" else config.metrics
    problems = [
        Problem(path, f"{knobs.name} needs {REASONS[need]}")
        for knobs in asked
        for need in sorted(knobs.part.needs - met)
    ]
    for place, knobs in enumerate(asked):
        if any(knobs.name == other.name and knobs != other for other in asked[:place]):
            problems.append(Problem(path, f"{knobs.name} is asked for twice, with other knobs"))
    return problems


def wrong_part(measure: type[Measure]) -> tuple[str, str, str]:
    """What is wrong with a part that a measure has not, or with the lack of one; what would be
    right; the nearest name."""
    key = measure.key
    if not measure.of_parts:
        return f"{key} is one number, and has no parts", key, key
    several = "is a number for each of several parts, and none for all of them"
    return f"{key} {several}", f"one of its parts, such as {key}/0", ""


def _check_keeper(
    config: EvaluationConfig, measured: Sequence[PartConfig], path: str
) -> list[Problem]:
    name, slash, _ = config.keep_by.partition("/")
    names = [knobs.name for knobs in measured]
    if slash and not Measure.named(name).may_have_parts():
        return [Problem(path, *wrong_part(Measure.named(name)))]
    if name == "auto" or name in names:
        return []
    return [Problem(path, f"{name} is not measured here", "one of " + ", ".join(names))]


def foreign_classes(config: EvaluationConfig, data: str, kind: str) -> str:
    """The extractor whose classes, if it has any, are not those of the data, which are of this
    source and `kind`; empty where they are or may be."""
    extractor = decided(config.extractor, data, kind).part
    return "" if extractor.own_classes or data in extractor.classes_of else extractor.key


def advice_on_measures(config: EvaluationConfig, data: str, kind: str) -> list[str]:
    """Warnings of measures that are asked for and are over classes which are not the data's."""
    foreign = foreign_classes(config, data, kind)
    asked = () if config.metrics == "auto" else config.metrics
    return [
        f"evaluation.metrics: {knobs.name} is over the classes of the {foreign} extractor, which "
        f"are not those of {data}"
        for knobs in (asked if foreign else ())
        if "logits" in knobs.part.needs
    ]


def check_evaluation(
    config: EvaluationConfig,
    *,
    data: str,
    kind: str,
    modes: bool,
    held_out: bool,
    conditional: bool,
    test_split: bool = False,
    shape: tuple[int, ...] | None = None,
    path: str = "evaluation",
) -> list[Problem]:
    """Everything wrong with an evaluation that can be seen before the data are open.

    `data` is the source's name, `kind` `image` or `point`, `shape` that of one item where it is
    known; the rest says whether the data have known modes, held-out images and a test split, and
    whether the generator takes their labels.
    Whether a TorchScript module has classes is known only when it runs.
    """
    wrong = check_extractor(config.extractor, data, kind, f"{path}.extractor", shape=shape)
    extractor = None if wrong else decided(config.extractor, data, kind).part
    holds: dict[Need, bool] = {
        "logits": extractor is None or extractor.classifies,
        "classes": extractor is None or data in extractor.classes_of,
        "modes": modes,
        "held_out": held_out and config.reference == "train",
        "conditional": conditional,
        "neighbours": min(config.samples, config.final_samples) > NEIGHBOURS,
    }
    met = frozenset(need for need, held in holds.items() if held)
    if config.reference == "test" and not test_split:
        wrong = [*wrong, Problem(f"{path}.reference", f"{data} has no test split here", "train")]
    if kind == "point" and config.extractor_precision != ExtractorPrecision():
        what = "points are measured as they are, in whatever an extractor would compute"
        wrong = [*wrong, Problem(f"{path}.extractor_precision", what, "no such key")]
    return [
        *wrong,
        *check_metrics(config, met, f"{path}.metrics"),
        *_check_keeper(config, choose_measures(config, kind, met), f"{path}.keep_by"),
    ]
