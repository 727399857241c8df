"""Training a trial of a sweep again, and saying whether it comes to the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.cli.options import print_json
from sweeper.cli.printing import say
from sweeper.errors import UserError
from sweeper.home import Home
from sweeper.wording import plural

if TYPE_CHECKING:
    from sweeper.provenance.recipe import Deviation, Recipe
    from trials.config import TrialConfig
    from trials.evaluation import Evaluation
    from trials.trainer import Training

_LINEAGE = "lineage"
"""In the folder of a trial that is trained again: what its weights went through before."""


def train_like(
    like: str,
    home: Path | None,
    out: Path | None,
    report: Callable[[Evaluation], None],
    *,
    json: bool,
) -> int:
    """Train NAME/N once more as it was trained. The exit status is 1 where the numbers differ."""
    from sweeper.provenance.attempts import read_attempts
    from sweeper.provenance.commands import UNRECORDED
    from sweeper.provenance.recipe import deviations, recipe_of, trial_and_number, unlike

    name, number = trial_and_number(like)
    here = Home.at(home)
    recipe = recipe_of(here.existing(name), number)
    folder = out or Path("trained") / recipe.name
    if not recipe.attempts:
        say(f"the environment of trial {recipe.trial.name} is not known: {UNRECORDED}", err=True)
    say(_opening(recipe, folder), err=json)
    training = _train(recipe, folder, here.cache, (lambda evaluation: None) if json else report)
    made = read_attempts(folder)[-1]
    different = deviations(recipe.measured, training.history)
    reasons = unlike(recipe.attempts, made)
    if json:
        print_json(_as_dict(recipe, folder, different, reasons))
    else:
        _print_verdict(recipe, different, reasons)
    return 1 if different else 0


def _train(
    recipe: Recipe, folder: Path, cache: Path, report: Callable[[Evaluation], None]
) -> Training:
    """Train what its weights came from, one after the other, and the trial last."""
    import torch

    from trials.config import load_config
    from trials.errors import ConfigError
    from trials.trainer import Training

    torch.set_num_threads(recipe.threads)
    before: Path | None = None
    for place, segment in enumerate(recipe.segments):
        last = place == len(recipe.segments) - 1
        there = folder if last else folder / _LINEAGE / f"{place:02d}-{segment.number:05d}"
        try:
            config = load_config(segment.config)
        except ConfigError as error:
            raise UserError(_refusal(recipe, str(error))) from error
        refuse_another(config, there)
        training = Training(config, there, cache=cache)
        if not training.restore() and before is not None:
            training.take_over(before)
        note(there, training)
        until = segment.until or config.steps
        while training.step < until and not training.finished:
            evaluation = training.advance()
            if last:
                report(evaluation)
        due = training.settle()
        if last and due is not None:
            report(due)
        before = there
    return training


def note(folder: Path, training: Training) -> None:
    """Write down beside a training that no sweep runs what it is made of."""
    from sweeper.provenance.attempts import attempt_at, note_attempt

    attempt = attempt_at(
        training.config.as_dict(),
        run="",
        step=training.step,
        donor="",
        protocol=training.protocol,
    )
    note_attempt(folder, attempt)


def refuse_another(config: TrialConfig, folder: Path) -> None:
    """See that a folder holds no training by another configuration; on another device, or as a
    former version wrote it down, it is the same.

    Raises:
        UserError: it does.
    """
    import json as json_module

    from trials.config import fingerprint_of

    file = folder / "config.json"
    if not file.exists():
        return
    try:
        record = json_module.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return  # damaged: the checkpoint beside it says which configuration it is of
    if not isinstance(record, dict):
        return
    if fingerprint_of(record) not in config.fingerprints(record):
        raise UserError(
            f"{folder} holds a training with another configuration; "
            "choose another folder with --out"
        )


def _opening(recipe: Recipe, folder: Path) -> str:
    steps = f"{recipe.until} steps" if recipe.until else "all its steps"
    words = f"training trial {recipe.trial.name} of {recipe.sweep.name} again for {steps} by "
    words += f"{plural(recipe.threads, 'thread')}, in {folder}"
    if donors := [f"{part.number:05d}" for part in recipe.segments[:-1]]:
        words += f"; first what its weights came from: {', '.join(donors)}"
    return words


def _refusal(recipe: Recipe, problem: str) -> str:
    if absent := recipe.absent_parts:
        return (
            f"trial {recipe.trial.name} was trained with the {', '.join(absent)}, which no "
            "installed distribution provides: it was defined in a script or a notebook"
        )
    return f"the configuration of trial {recipe.trial.name} is not valid here: {problem}"


def _print_verdict(recipe: Recipe, different: list[Deviation], reasons: list[str]) -> None:
    from sweeper.provenance.recipe import numbers

    count = len(numbers(recipe.measured))
    if not count:
        say("nothing to compare: the trial was never evaluated")
        return
    if not different:
        where = plural(len(recipe.measured), "evaluation")
        say(f"the same: {plural(count, 'number')} of {where}, bit for bit")
        return
    of = f"; {len(different)} of {count} numbers differ" if count > 1 else ""
    say(f"not the same: {_first(recipe, different)}{of}")
    if reasons:
        say("differences from the recorded environment:")
        for reason in reasons:
            say(f"  {reason}")
    elif recipe.attempts:
        say(
            "no difference between this environment and the recorded one"
            + (": a GPU adds up sums in no fixed order" if _was_on_gpu(recipe) else "")
        )


def _first(recipe: Recipe, different: list[Deviation]) -> Deviation:
    """The deviation to tell: the objective's, at the first step that has any."""
    step, metric = different[0].step, recipe.sweep.objective[0].metric
    there = [one for one in different if one.step == step]
    return next((one for one in there if one.metric == metric), there[0])


def _was_on_gpu(recipe: Recipe) -> bool:
    return any("gpu" in attempt.surroundings for attempt in recipe.attempts)


def _as_dict(
    recipe: Recipe, folder: Path, different: list[Deviation], reasons: list[str]
) -> dict[str, Any]:
    return {
        "trial": f"{recipe.sweep.name}/{recipe.trial.number}",
        "folder": folder,
        "same": not different,
        "compared": [one.step for one in recipe.measured],
        "deviations": [vars(one) for one in different],
        "unlike": reasons,
    }
