"""What a sweep would do, before anything of it runs: how much, what first, for how long."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.home import Home, SweepFolder
from sweeper.permissions import private
from sweeper.sweepfile.resources import Given
from sweeper.wording import plural

if TYPE_CHECKING:
    from sweeper.sharing.gauges import ProcessGauge
    from sweeper.sharing.shares import Taken
    from sweeper.sweepfile.model import Sweep
    from trials.config import TrialConfig
    from trials.trainer import Training

PLACES = {0.0: 1 / 6, 1 / 3: 1 / 3, 2 / 3: 1 / 3, 1.0: 1 / 6}
"""Where in a training steps are timed, for a forecast, and how much each place counts: networks
that grow take longer at their end."""

SHORT = 100
"""A training of fewer steps is timed at its beginning alone."""

WARM, SECONDS = 5, 0.75
"""At each place so many steps come first, and then those of so many seconds count."""


def overview_of(sweep: Sweep, home: Home, cache: Path | None = None) -> dict[str, Any]:
    """How many trials and replicates a sweep will have at most, the plan in words, and what to be
    warned of; with a `cache`, its data too, decoded there.

    Raises:
        DataError: the data cannot be read, or have not the class that is an objective.
        ExtractorError: nor the extractor.
        SpecError: the sweep cannot learn from what its file names in this home.
    """
    from sweeper.search.budget import budget_of
    from sweeper.search.learning import gathered, otherwise_in_words
    from sweeper.search.repeats import repeats_in_words
    from sweeper.search.sampler import at_random_in_words
    from sweeper.search.stopping_rule import StoppingRule
    from sweeper.sweepfile.rungs import idle_in_words
    from trials.config import load_config
    from trials.data import cheap_warnings, open_data, survey
    from trials.metrics.measure import require_part

    learned = gathered(sweep, home)  # what the study would refuse to learn from is told now
    config, trials = load_config(sweep.base), budget_of(sweep)
    found: dict[str, Any] = {
        "trials": trials,
        "replicates": sweep.replicates(trials),
        "plan": plan_in_words(sweep, trials),
        "warnings": _advice(sweep) + _of_an_extractor_on_strange_data(config, cache),
    }
    sentences: tuple[str, ...] = (
        repeats_in_words(sweep),
        at_random_in_words(sweep),
        idle_in_words(sweep),
        _fresh_seeds_in_words(sweep),
    )
    if not sweep.is_ablation:
        sentences += tuple(StoppingRule.of(sweep).doubts(trials))
    found["warnings"] += [*filter(None, sentences), *otherwise_in_words(learned)]
    if cache is None:
        found["warnings"] += cheap_warnings(config.data)
    else:
        with private(cache.parent):
            data = open_data(config.data, cache=cache)
        for metric in (config.evaluation.keep_by, *(one.metric for one in sweep.objective)):
            require_part(metric, data)
        found["data"] = survey(data)
        found["warnings"] += found["data"]["warnings"]
    return found


def _fresh_seeds_in_words(sweep: Sweep) -> str:
    """That a confirmation repeats no take-over; empty where there is none to repeat."""
    if not (sweep.seeds.confirm_top and sweep.scheduler.part.copies):
        return ""
    return (
        f"seeds.confirm_top: fresh seeds train the last settings of a {sweep.scheduler.name} trial "
        "from the first step, without the weights that it took over"
    )


def _advice(sweep: Sweep) -> list[str]:
    """What the base is advised against, and what each trick that the sweep tries brings to that."""
    from sweeper.sweepfile.domains import Toggle
    from sweeper.sweepfile.space import apply
    from sweeper.sweepfile.ties import with_ties
    from trials.config import load_config, warnings_of
    from trials.errors import ConfigError

    told = warnings_of(load_config(sweep.base))
    for parameter in sweep.parameters:
        if isinstance(parameter.domain, Toggle):
            values = with_ties(sweep.parameters, {parameter.path: True})
            with contextlib.suppress(ConfigError):  # one that needs others beside it
                told += warnings_of(load_config(apply(sweep.base, values)))
    return list(dict.fromkeys(told))


def preview_of(sweep: Sweep, count: int, home: Home) -> dict[str, Any]:
    """What a sweep searches, how, its first `count` configurations and how many there will be."""
    from sweeper.sweepfile.space import count_points

    first, budget = first_points(sweep, count, home)
    searches_grid = sweep.search.part.ends and not sweep.is_ablation
    points = count_points(sweep) if searches_grid else None
    return {
        "name": sweep.name,
        "searched_by": (sweep.ablation or sweep.search).name,
        "is_ablation": sweep.is_ablation,
        "parameters": len(sweep.parameters),
        "parallel": sweep.limits.parallel,
        "scheduler": sweep.scheduler.name,
        "first": first,
        "trials": budget or points or 0,
        "replicates": sweep.replicates(budget or points),
        "grid_cells": points,
    }


def plan_in_words(sweep: Sweep, trials: int | None) -> str:
    """`20 trials, then up to 12 runs on fresh seeds (the best 3 and the base, 3 seeds each)`."""
    what = "run" if sweep.is_ablation else "trial"
    words = plural(trials, what) if trials else f"{what}s without a limit"
    replicates = sweep.replicates(trials)
    if not replicates:
        return words
    best = sweep.confirmed(trials) - sweep.confirms_base
    named = ["the best" if best == 1 else f"the best {best}"] if best else []
    named += ["the base"] if sweep.confirms_base else []
    return (
        f"{words}, then up to {replicates:,} runs on fresh seeds ({' and '.join(named)}, "
        f"{sweep.seeds.replicates} seeds each)"
    )


def first_points(sweep: Sweep, count: int, home: Home) -> tuple[list[dict[str, Any]], int | None]:
    """What a new study in this home would ask for first (later ones depend on the results of
    these), and how many trials it would have, where that is known."""
    from sweeper.search.address import JOURNAL
    from sweeper.search.ledger import Ledger

    with tempfile.TemporaryDirectory() as path:
        folder = SweepFolder(Path(path) / sweep.name)
        folder.create()
        ledger = Ledger.open(sweep, folder, JOURNAL, home=home)
        asked: list[dict[str, Any]] = []
        while len(asked) < min(count, sweep.limits.trials or count):
            trial = ledger.ask()
            if trial is None:
                break
            asked.append(dict(trial.values))
        return asked, ledger.budget


def timed_forecast(sweep: Sweep, trials: int, replicates: int, cache: Path) -> dict[str, float]:
    """Seconds for one trial and for the sweep, from some steps of the base configuration."""
    import time

    import torch

    from sweeper.sharing.gauges import ProcessGauge
    from sweeper.sharing.learnt import Learnt
    from sweeper.sharing.shape import shape_of
    from trials.config import load_config
    from trials.trainer import Training

    config = load_config(sweep.base)
    threads = torch.get_num_threads()
    torch.set_num_threads(sweep.resources.threads)
    gauge = ProcessGauge()
    gauge.start()
    try:
        with private(cache.parent), tempfile.TemporaryDirectory() as folder:
            training = Training(config, Path(folder), cache=cache, part=sweep.resources.part)
            per_step = _seconds_of_a_step(training, gauge)
            began = time.perf_counter()
            training.evaluate()
            per_evaluation = time.perf_counter() - began
            seen = Learnt(cache).of(shape_of(config.as_dict())) or gauge.taken()
    finally:
        torch.set_num_threads(threads)
    evaluations = -(-config.steps // config.evaluation.every)
    seconds = per_step * config.steps + per_evaluation * evaluations
    given, at_once = _given(sweep, seen)
    rounds = -(-trials // at_once) + -(-replicates // at_once)
    hours = seconds * (trials + replicates) / 3600
    return {
        "seconds_per_step": per_step,
        "seconds_per_evaluation": per_evaluation,
        "seconds_per_trial": seconds,
        "seconds": seconds * rounds,
        "hours": seconds * rounds / 3600,
        "gpu_hours": hours * given.gpu,
        "cpu_hours": hours * given.cpu,
        "at_once": at_once,
    }


def _seconds_of_a_step(training: Training, gauge: ProcessGauge) -> float:
    """How long a step takes, on average over a training."""
    steps = training.config.steps
    if steps < SHORT:
        return _timed(training, gauge, steps, steps)
    return sum(
        share * _timed(training, gauge, int((1 - place) * steps), steps // 8)
        for place, share in PLACES.items()
    )


def _timed(training: Training, gauge: ProcessGauge, left: int, most: int) -> float:
    """How long a step takes where so many steps are left, by so many steps at `most`."""
    import time

    training.rehearse(WARM, max(left, 2 * WARM))  # the first ones allocate and are no measure
    # As a sweep's first probe has the GPU, so that what its context takes is known to either.
    with gauge.watching(alone=True):
        began, first, goes_on = time.perf_counter(), training.step, True
        while goes_on and training.step - first < most and time.perf_counter() - began < SECONDS:
            goes_on = training.rehearse()
        return (time.perf_counter() - began) / max(1, training.step - first)


def _given(sweep: Sweep, seen: Taken) -> tuple[Given, int]:
    """What a trial is given, and how many run at the same time: as the file says, or as many of
    them as this machine holds of trials that take as much as one was `seen` to."""
    asked = sweep.resources
    if not asked.shares:
        return asked.whole, sweep.limits.parallel
    import psutil
    import torch

    from sweeper.sharing.shares import share, together

    machine = Given(
        os.cpu_count() or 1, torch.cuda.device_count(), psutil.virtual_memory().available
    )
    given = share(seen, asked, machine)
    return given, min(sweep.limits.parallel, together(given, machine))


def _of_an_extractor_on_strange_data(config: TrialConfig, cache: Path | None) -> list[str]:
    """Whether the extractor is far from what it was trained on. Only where it was made for other
    data are these opened for that."""
    from trials.data import open_data
    from trials.metrics.config import foreign_classes
    from trials.metrics.extractor import Extractor
    from trials.metrics.familiarity import warnings_of_data
    from trials.part import using

    with using({"parts": config.parts}):
        foreign = foreign_classes(config.evaluation, config.data.name, config.source.items)
        if not foreign or not Extractor.named(foreign).classes_of:
            return []
        return warnings_of_data(config.evaluation, open_data(config.data, cache=cache))
