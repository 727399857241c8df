"""One evaluation: measure the generator, draw it, keep it if it is the best, watch the health."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from trials.config import TrialConfig
from trials.data import reference_of
from trials.devices import peak_memory_mb
from trials.engine.composed_game import ComposedGame
from trials.engine.loop import Loop
from trials.evaluation.best_generator import merit, ranked_by, value_of
from trials.evaluation.export import save_generator
from trials.evaluation.pictures import SamplePictures
from trials.evaluation.results import Evaluation
from trials.health import Signals, Symptom, Watcher
from trials.metrics.evaluator import Evaluator, Measured
from trials.state.streams import derive, stream


class Monitor:
    """What looks at one training from beside the loop; it trains nothing."""

    def __init__(
        self, config: TrialConfig, folder: Path, game: ComposedGame, *, cache: Path | None
    ) -> None:
        self.config = config
        self.folder = folder
        self.game = game
        rules = config.evaluation
        reference = reference_of(config.data, game.dataset, rules.reference, cache)
        self.evaluator = Evaluator(
            rules, reference, game.device, cache=cache, conditional=game.labelled
        )
        self.watcher = Watcher(config.health)
        self.pictures = SamplePictures(game, config.evaluation.grid)

    @property
    def protocol(self) -> dict[str, str]:
        """By which the next evaluation will be measured."""
        count = self.config.evaluation.samples
        return self.evaluator.protocol(self.game.samples_from, count).as_dict()

    def evaluate(self, loop: Loop, history: Sequence[Evaluation]) -> Evaluation:
        """Measure the generator as it is now; `history` are the evaluations before."""
        measured, samples = None, None
        if loop.probe.healthy:
            measured, samples = self._sample(history)
        metrics = loop.probe.take() | self.game.hooks.signals(self.game)
        metrics["system/images_per_second"] = loop.images_per_second
        metrics["system/peak_memory_mb"] = peak_memory_mb(self.game.device)
        if measured is not None:
            metrics |= measured.values
        symptoms = tuple(self.watcher.observe(self._signals(loop, metrics, measured)))
        protocol = {k: str(v) for k, v in measured.protocol.as_dict().items()} if measured else {}
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return Evaluation(self.game.step, time.time(), finite, protocol, symptoms, samples)

    def _sample(self, history: Sequence[Evaluation]) -> tuple[Measured, str]:
        """What is measured of the sampling network, and where its picture lies."""
        game, seed, step = self.game, self.config.seed, self.game.step
        with game.as_sampled(game.sampling_network()) as network:
            measured = self.evaluator.measure(
                game.drawer(network, stream(game.device, seed, "evaluation", step)),
                weights=game.samples_from,
                seed=derive(seed, "measures", step),
            )
            samples = f"samples/{step:06d}.png"
            self.pictures.draw(network, self.folder / samples)
            self._keep_if_best(network, measured.values, history)
        return measured, samples

    def _signals(
        self, loop: Loop, metrics: Mapping[str, float], measured: Measured | None
    ) -> Signals:
        finite = loop.probe.healthy and (
            measured is None or all(map(math.isfinite, measured.values.values()))
        )
        return Signals.collect(self.game.step, finite, metrics, measured)

    def fatal(self, symptoms: Sequence[Symptom], *, healthy: bool) -> Symptom | None:
        """The symptom that ends this training: one of `health.stop_on`, or no finite numbers."""
        for symptom in symptoms:
            if symptom.name in self.config.health.stop_on:
                return symptom
        if not healthy:
            return next(symptom for symptom in symptoms if symptom.name == "divergence")
        return None

    def best(self, history: Sequence[Evaluation]) -> Evaluation | None:
        """The evaluation whose generator is the best; None where none could be ranked."""
        ranked = [(rank, e) for e in history if (rank := self._merit(e.metrics))]
        return min(ranked, key=lambda pair: pair[0], default=(None, None))[1]

    def _keep_if_best(
        self, network: nn.Module, metrics: Mapping[str, float], history: Sequence[Evaluation]
    ) -> None:
        mine, best = self._merit(metrics), self.best(history)
        earlier = None if best is None else self._merit(best.metrics)
        if mine is None or (earlier is not None and earlier <= mine):
            return
        name = ranked_by(metrics, self.config.evaluation.keep_by)
        measured = {"step": self.game.step, name: value_of(metrics, name)}
        save_generator(self.folder, network, self.config, self.game, measured)

    def _merit(self, metrics: Mapping[str, float]) -> tuple[float, float] | None:
        return merit(metrics, self.config.evaluation.keep_by)
