"""One evaluation: measure the generator, draw it, keep it if it is the best, watch the health.

look        what needs the training as it is now: samples through the extractor, a picture
judge       every measure of the samples; needs no network, and may run beside the next steps
conclude    the verdict: the best generator is kept, the health watched
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trials.config import TrialConfig
from trials.devices import peak_memory_mib
from trials.engine.composed_game import ComposedGame
from trials.engine.loop import Loop
from trials.evaluation.best_generator import merit, ranked_by, value_of
from trials.evaluation.evaluators import evaluator_of
from trials.evaluation.export import PackedGenerator, pack_generator, save_generator
from trials.evaluation.pictures import SamplePictures
from trials.evaluation.results import Evaluation
from trials.health import Signals, Symptom, Watcher
from trials.metrics.evaluator import Measured, Sampled
from trials.metrics.progress import Throttled
from trials.state.names import SAMPLES
from trials.state.streams import derive, stream


@dataclass(frozen=True)
class Samples:
    """What an evaluation has of the generator: `sampled` for the measures, the `picture` in the
    trial's folder, and the generator itself, in case it is the best."""

    sampled: Sampled
    picture: str
    generator: PackedGenerator


@dataclass(frozen=True)
class Sight:
    """What an evaluation has seen of a training at a step. `samples` is None where a number of the
    training was not finite."""

    step: int
    metrics: Mapping[str, float]
    samples: Samples | None


class Monitor:
    """What looks at one training from beside the loop; it trains nothing."""

    def __init__(
        self, config: TrialConfig, folder: Path, game: ComposedGame, *, cache: Path | None
    ) -> None:
        self.config = config
        self.folder = folder
        self.game = game
        self._progress = Throttled(_say)
        self.evaluator = evaluator_of(config, game, cache=cache, tell=self._progress)
        self.watcher = Watcher(config.health)
        self.pictures = SamplePictures(game, config.evaluation.grid)

    @property
    def protocol(self) -> dict[str, str]:
        """By which the next evaluation will be measured."""
        count = self.config.evaluation.samples
        return self.evaluator.protocol(self.game.samples_from, count).as_dict()

    def evaluate(self, loop: Loop, history: Sequence[Evaluation]) -> Evaluation:
        """Measure the generator as it is now; `history` are the evaluations before."""
        sight = self.look(loop)
        return self.conclude(sight, self.judge(sight), history)

    def look(self, loop: Loop) -> Sight:
        """What is to be judged, and what the loop has gathered since the last time."""
        samples = self.sample() if loop.probe.healthy else None
        return Sight(self.game.step, self.gather(loop), samples)

    def gather(self, loop: Loop) -> dict[str, float]:
        """What is known without any sample; the loop begins to gather anew."""
        metrics = loop.probe.take() | self.game.hooks.signals(self.game)
        metrics["system/images_per_second"] = loop.images_per_second
        return metrics

    def sample(self) -> Samples:
        """Samples of the generator as it is now; the same at the same step, however often."""
        self._progress.begin()
        game, seed, step = self.game, self.config.seed, self.game.step
        with game.as_sampled(game.sampling_network()) as network:
            sampled = self.evaluator.look(
                game.drawer(network, stream(game.device, seed, "evaluation", step)),
                weights=game.samples_from,
                seed=derive(seed, "measures", step),
            )
            picture = f"{SAMPLES}/{step:06d}.png"
            self.pictures.draw(network, self.folder / picture)
            return Samples(sampled, picture, pack_generator(network, self.config, game))

    def judge(self, sight: Sight) -> Measured | None:
        """Every measure of what was sampled; None where nothing was."""
        return None if sight.samples is None else self.evaluator.judge(sight.samples.sampled)

    def conclude(
        self, sight: Sight, measured: Measured | None, history: Sequence[Evaluation]
    ) -> Evaluation:
        """The evaluation; `history` are those before it, all of them concluded."""
        step, samples = sight.step, sight.samples
        metrics = {**sight.metrics, "system/peak_memory_mb": peak_memory_mib(self.game.device)}
        protocol: dict[str, str] = {}
        if samples is not None and measured is not None:
            self._keep_if_best(samples.generator, step, measured.values, history)
            metrics |= measured.values
            protocol = {k: str(v) for k, v in measured.protocol.as_dict().items()}
        symptoms = tuple(self.watcher.observe(self._signals(step, metrics, measured)))
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        picture = None if samples is None else samples.picture
        return Evaluation(step, time.time(), finite, protocol, symptoms, picture)

    def _signals(
        self, step: int, metrics: Mapping[str, float], measured: Measured | None
    ) -> Signals:
        finite = measured is not None and all(map(math.isfinite, measured.values.values()))
        return Signals.collect(step, finite, metrics, measured)

    def fatal(self, evaluation: Evaluation) -> Symptom | None:
        """The symptom that ends this training: one of `health.stop_on`, or no finite numbers."""
        for symptom in evaluation.symptoms:
            if symptom.name in self.config.health.stop_on:
                return symptom
        if evaluation.samples is None:
            return next(one for one in evaluation.symptoms if one.name == "divergence")
        return None

    def best(self, history: Sequence[Evaluation]) -> Evaluation | None:
        """The evaluation whose generator is the best; None where none could be ranked."""
        ranked = [(rank, e) for e in history if (rank := self._merit(e.metrics))]
        return min(ranked, key=lambda pair: pair[0], default=(None, None))[1]

    def _keep_if_best(
        self,
        generator: PackedGenerator,
        step: int,
        metrics: Mapping[str, float],
        history: Sequence[Evaluation],
    ) -> None:
        mine, best = self._merit(metrics), self.best(history)
        earlier = None if best is None else self._merit(best.metrics)
        if mine is None or (earlier is not None and earlier <= mine):
            return
        name = ranked_by(metrics, self.config.evaluation.keep_by)
        save_generator(self.folder, generator, {"step": step, name: value_of(metrics, name)})

    def _merit(self, metrics: Mapping[str, float]) -> tuple[float, float] | None:
        return merit(metrics, self.config.evaluation.keep_by)


def _say(progress: str) -> None:
    # Beside the next steps the log that it goes to may be closed meanwhile (`evaluation.lag`).
    with contextlib.suppress(ValueError):
        print(f"evaluation: {progress}", flush=True)
