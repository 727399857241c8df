"""What a training is measured by: the evaluator that its configuration, data and task give."""

from __future__ import annotations

from pathlib import Path

from trials.config import TrialConfig
from trials.data import reference_of
from trials.engine.composed_game import ComposedGame
from trials.fields import Role
from trials.metrics.evaluator import Evaluator
from trials.metrics.progress import Tell, quiet
from trials.origins import foreign_in_words


def evaluator_of(
    config: TrialConfig, game: ComposedGame, *, cache: Path | None = None, tell: Tell = quiet
) -> Evaluator:
    """The evaluator of a training, and of what it has kept.

    Raises:
        ExtractorError: the extractor cannot be built for these data.
        ConfigError: with every metric that these data cannot give.
    """
    rules = config.evaluation
    return Evaluator(
        *(rules, reference_of(config.data, game.dataset, rules.reference, cache), game.device),
        cache=cache,
        conditional=game.labelled,
        asked=asked_in_words(config),
        tell=tell,
    )


def asked_in_words(config: TrialConfig) -> str:
    """What the protocol says of a task other than images from noise: `; inpaint hole=centre
    size=0.5`. Who is given most of a true image has made little of what is measured."""
    task = config.task
    if task.name == type(config).model_fields["task"].default:
        return ""
    asked = {
        name: value
        for name, value in task.model_dump(mode="json").items()
        if Role.TRAINS_ONLY not in type(task).model_fields[name].metadata
    }
    knobs = "".join(f" {name}={value}" for name, value in asked.items())
    return f"; {task.name}{knobs}{foreign_in_words([task.part])}"
