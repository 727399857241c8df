"""What the watcher saves: the quickstart's space, searched with it and without.

    python -m benchmarks.watcher [--folder watcher] [--trials 60] [--seeds 0 1 2]
                                 [--wide] [--sampler tpe] [--steps 1600]

Each of the search's seeds runs twice over the same budget of trials: without a watcher every
training goes on to its last step or to NaN; with it, the symptoms of `STOP_ON` end a trial, and
the study is told as the sweep's own driver would tell it. No scheduler takes part, which would
stop many of the same trials, so that what is saved is the watcher's doing alone. FID is the only
metric, since the watcher needs no other; the samples behind it are the same.

Trials run one after another in this process. A training is kept in FOLDER under a hash of its
configuration, and one that both searches ask for is run once; so an interrupted benchmark goes on
where it stood.

The last line says how much any rule could save here that spares every trial's best FID: the share
of the steps that were trained after it.

The quickstart's ranges are narrow, and nearly every GAN in them is healthy. `--wide` searches
where GANs fail: learning rates over four decades and losses that need a control they may not get,
at half the width, by random draws, so that both searches train the same GANs. `--sampler tpe`
searches there as a sweep would: it learns where GANs fail, and goes there less and less.

Targets: the best FID is no worse, within the spread over the search's seeds, and at least 35 % of
the training steps are saved.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sweeper.home import Home
from sweeper.scheduling.conducting.endings import verdict_of
from sweeper.search.ledger import Ledger
from sweeper.sweepfile import Sweep, load_sweep
from sweeper.trial import Trial
from trials.config import load_config
from trials.evaluation.results import Evaluation
from trials.health import HealthConfig, Signals, Symptom, Watcher
from trials.trainer import Training

SPACE = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"
EVERY = 50
STOP_ON = (
    "divergence",
    "convergence_failure",
    "mode_collapse",
    "diminished_gradient",
    "oscillation",
    "past_best",
)
ARMS: Mapping[str, tuple[str, ...]] = {"without": (), "with": STOP_ON}
SAVED = 0.35

RATE = "{distribution: log_uniform, min: 1.0e-5, max: 1.0e-1}"
WIDE = (
    f"parameters.optimizer.generator.lr={RATE}",
    f"parameters.optimizer.discriminator.lr={RATE}",
    "parameters.loss={values: [non_saturating, minimax, hinge, lsgan, wgan]}",
    "base.networks.generator.width=12",
    "base.networks.discriminator.width=12",
)


def sweep_of(
    arm: str,
    seed: int,
    trials: int,
    wide: bool = False,
    sampler: str | None = None,
    steps: int | None = None,
) -> Sweep:
    """The quickstart as this benchmark searches it."""
    kind = "".join(f"{part}-" for part in ("wide" if wide else "", sampler, steps) if part)
    sampler = sampler or ("random" if wide else None)
    return load_sweep(
        SPACE,
        [
            f"name={kind}{arm}-{seed}",
            f"search.seed={seed}",
            f"limits.trials={trials}",
            "limits.parallel=1",
            "scheduler={name: none}",
            "seeds.confirm_top=0",
            "base.evaluation.metrics=[fid]",
            f"base.evaluation.every={EVERY}",
            f"health.stop_on=[{', '.join(ARMS[arm])}]",
            *((f"search={{sampler: {sampler}, seed: {seed}}}",) if sampler else ()),
            *(WIDE if wide else ()),
            *((f"base.steps={steps}",) if steps else ()),
        ],
    )


class Trainings:
    """Trainings by configuration, run only as far as somebody has looked at them."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder = folder
        self._cache = cache

    def evaluations(self, mapping: Mapping[str, Any]) -> Iterator[tuple[Evaluation, Signals]]:
        """Every evaluation of a training that nothing stops, with what a watcher would see."""
        config = load_config({**mapping, "health": {"stop_on": []}})
        training = Training(config, self._folder / config.fingerprint()[:16], cache=self._cache)
        training.restore()
        seen = 0
        while seen < len(training.history) or not training.finished:
            if seen == len(training.history):
                training.advance()
            yield training.history[seen], training.monitor.watcher.history[seen]
            seen += 1


def followed(
    evaluations: Iterator[tuple[Evaluation, Signals]], health: HealthConfig
) -> Iterator[tuple[Evaluation, Sequence[Symptom], Symptom | None]]:
    """Evaluations up to the one at which the watcher, or NaN, ends the training: each with the
    symptoms that set in and the one that ends it, if any."""
    watcher = Watcher(health)
    for evaluation, signals in evaluations:
        symptoms = watcher.observe(signals)
        fatal = [s for s in symptoms if s.name in health.stop_on]
        if not signals.finite:
            fatal += [s for s in symptoms if s.name == "divergence"]
        yield evaluation, symptoms, fatal[0] if fatal else None
        if fatal:
            return


def search(sweep: Sweep, home: Home, trainings: Trainings) -> list[Trial]:
    """Search to the end of the budget, or go on with it."""
    folder = home.sweep(sweep.name)
    folder.create()
    with folder.lock():
        ledger = Ledger.open(sweep, folder)
        waiting = ledger.interrupted()
        while (asked := waiting.pop(0) if waiting else _next(ledger, sweep)) is not None:
            _run(ledger, sweep, asked, trainings)
            record = ledger.trial(asked.number)
            ending = record.cause or record.objective
            print(f"{sweep.name} {record.name} {record.state} {record.steps} {ending}", flush=True)
        return ledger.trials()


def _next(ledger: Ledger, sweep: Sweep) -> Trial | None:
    trials = sweep.limits.trials
    return None if trials is not None and ledger.counts()["search"] >= trials else ledger.ask()


def _run(ledger: Ledger, sweep: Sweep, asked: Trial, trainings: Trainings) -> None:
    health = HealthConfig.model_validate(asked.config["health"])
    ledger.started(asked.number)
    fatal: Symptom | None = None
    for evaluation, symptoms, fatal in followed(trainings.evaluations(asked.config), health):  # noqa: B007
        ledger.report(asked.number, replace(evaluation, symptoms=tuple(symptoms)))
    end = verdict_of(sweep, ledger.trial(asked.number), fatal)
    if end.state == "completed":
        ledger.complete(asked.number, end.values)
    elif end.state == "pruned":
        ledger.prune(asked.number, end.cause, end.reason)
    else:
        ledger.fail(asked.number, end.cause, end.reason)


# What came of it ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """One search. `best` is the best final FID of a trial that reached its last step, `kept`
    the best FID of any generator that was kept on the way. Steps are those of all its trials."""

    best: float
    kept: float
    steps: int
    after_best: int
    stops: Mapping[str, int]


def outcome(records: Sequence[Trial]) -> Outcome:
    """What a search came to."""
    curves = [curve for record in records if (curve := record.curve("fid"))]
    at_best = [min(curve, key=curve.__getitem__) for curve in curves]
    steps = sum(record.steps for record in records)
    return Outcome(
        best=min(record.objective[0] for record in records if record.objective is not None),
        kept=min(min(curve.values()) for curve in curves),
        steps=steps,
        after_best=steps - sum(at_best),
        stops=Counter(record.cause for record in records if record.cause),
    )


def saved(arms: Mapping[str, Outcome]) -> float:
    """The share of the steps without a watcher that the search with it did not train."""
    return 1 - arms["with"].steps / arms["without"].steps


def table(found: Mapping[int, Mapping[str, Outcome]]) -> str:
    """One row a seed of the search."""
    lines = [
        "| search seed | best FID without | with | best kept FID without | with | steps saved "
        "| trials stopped |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed, arms in found.items():
        bare, watched = arms["without"], arms["with"]
        stops = ", ".join(f"{count} {name}" for name, count in sorted(watched.stops.items()))
        lines.append(
            f"| {seed} | {bare.best:.2f} | {watched.best:.2f} | {bare.kept:.2f}"
            f" | {watched.kept:.2f} | {saved(arms):.1%} | {stops or 'none'} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("watcher"))
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--wide", action="store_true", help="search where GANs fail")
    parser.add_argument("--sampler", help="where not tpe, or with --wide not random")
    parser.add_argument(
        "--steps", type=int, help="of each training, where not the quickstart's 800"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)  # the networks are too small for more
    home = Home.at(given.folder.absolute())
    trainings = Trainings(home.path / "trainings", home.cache)
    found: dict[int, dict[str, Outcome]] = {}
    for seed in given.seeds:
        for arm in ARMS:
            sweep = sweep_of(arm, seed, given.trials, given.wide, given.sampler, given.steps)
            found.setdefault(seed, {})[arm] = outcome(search(sweep, home, trainings))
    print(table(found))
    bests = {arm: [arms[arm].best for arms in found.values()] for arm in ARMS}
    means = {arm: statistics.fmean(values) for arm, values in bests.items()}
    spread = statistics.stdev(bests["without"]) if len(found) > 1 else 0.0
    share = statistics.fmean(saved(arms) for arms in found.values())
    bound = statistics.fmean(
        arms["without"].after_best / arms["without"].steps for arms in found.values()
    )
    print(
        f"\nMean best FID {means['without']:.2f} ± {spread:.2f} without, {means['with']:.2f} with;"
        f" {share:.1%} of the steps saved (target {SAVED:.0%})."
        f"\nWithout the watcher {bound:.1%} of the steps came after their trial's best FID."
    )
    return 0 if means["with"] <= means["without"] + spread and share >= SAVED else 1


if __name__ == "__main__":
    sys.exit(main())
