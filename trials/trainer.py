"""The training loop.

    for every step:
        steps                        how many steps each player takes (two time scales, balance)
        for every discriminator step:
            x, y  ← next real batch      z ← noise      G(z) without gradient
            terms ← game.discriminator_loss     dealt, see, judged, discriminator_terms
            descend on Σ terms                  after_discriminator_step
        for every generator step:
            z ← noise      G(z) with gradient, D frozen
            terms ← game.generator_loss         dealt, see, judged, generator_terms
            descend on Σ terms                  after_generator_step
        every `evaluation.every` steps: sample, measure, watch, save

A :class:`Training` is driven from outside by :meth:`Training.advance`, one evaluation at a time;
:func:`train` drives it to its end.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trials.config import TrialConfig
from trials.data import open_data
from trials.errors import CheckpointError
from trials.evaluation import Evaluation, TrialResult, TrialState
from trials.evaluation.best_generator import judged_by, merit, value_of
from trials.evaluation.export import adopt_generator, save_generator
from trials.evaluation.pictures import image_grid, save_picture, scatter
from trials.evaluation.running_means import Meter, gradient_norm, layer_gradient_norms
from trials.evaluation.sampling import drawer, sampling_network, shown
from trials.files import atomic_write
from trials.game import Game, Round, Steps
from trials.health import SYMPTOMS, Signals, Symptom, Watcher
from trials.metrics.evaluator import Evaluator, Measured
from trials.state import checkpoint
from trials.state.streams import derive, stream
from trials.trick import Terms

PROBE_EVERY = 10
"""Steps between two looks at scores, gradient norms and finiteness."""


class Training:
    """One training in one folder, which :meth:`restore` can take up at its last checkpoint."""

    def __init__(self, config: TrialConfig, folder: Path, *, cache: Path | None = None) -> None:
        self.config = config
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = pick_device(config.device)
        self.dataset = open_data(config.data, cache=cache)
        self.game = Game(config, self.dataset, self.device)
        self.evaluator = Evaluator(
            config.evaluation,
            self.dataset,
            self.device,
            cache=cache,
            conditional=self.game.labelled,
        )
        self.watcher = Watcher(config.health)
        self.history: list[Evaluation] = []
        self.stopped_by: Symptom | None = None
        self._meter = Meter()
        self._real: tuple[Tensor, Tensor | None] | None = None
        self._healthy = True
        self._speed = 0.0
        self._fixed = self._fixed_noise()
        config_file = self.folder / "config.json"
        text = json.dumps(config.as_dict(), indent=2)
        atomic_write(config_file, text)

    # What it is asked from outside -----------------------------------------------------------

    @property
    def step(self) -> int:
        """Generator steps done."""
        return self.game.step

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train: done, or stopped by a symptom."""
        return self.stopped_by is not None or (
            self.step >= self.config.steps
            and bool(self.history)
            and self.history[-1].step == self.step
        )

    def advance(self) -> Evaluation:
        """Train to the next evaluation, measure, save, and say what was found."""
        self.run_to(self._next_evaluation())
        evaluation = self.evaluate()
        self.history.append(evaluation)
        self.save()
        return evaluation

    def _next_evaluation(self) -> int:
        every = self.config.evaluation.every
        return min(self.config.steps, (self.step // every + 1) * every)

    def run_to(self, step: int) -> None:
        """Train up to ``step`` without evaluating; stops early where a loss is not finite."""
        started, before = time.perf_counter(), self.step
        while self.step < step and self._healthy:
            self._play()
        seconds = time.perf_counter() - started
        trained = (self.step - before) * self.config.batch_size
        self._speed = trained / seconds if seconds > 0 else 0.0

    def save(self) -> None:
        """Write the checkpoint; afterwards a kill loses nothing up to this step."""
        state = {
            "game": self.game.state(),
            "meter": self._meter.state(),
            "watcher": self.watcher.state_dict(),
            "healthy": self._healthy,
            "real": self._real,
            "history": json.dumps([evaluation.as_dict() for evaluation in self.history]),
        }
        checkpoint.save(self.checkpoint_file, self.config.fingerprint(), state)

    def restore(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none."""
        state = checkpoint.load(self.checkpoint_file, self.config.fingerprint(), self.device)
        if state is None:
            return False
        self._load(state)
        return True

    def adopt(self, folder: Path) -> None:
        """Go on from the checkpoint in another training's ``folder``, with one's own settings.

        Weights, moments, random streams, history and the best generator so far are the other's;
        learning rates and knobs are one's own (the exploiting step of population based training,
        arXiv 1711.09846). A symptom that the other showed last is judged anew.

        Raises:
            CheckpointError: there is none, or its networks or tricks are others.
        """
        file = Path(folder) / self.checkpoint_file.name
        own = {
            name: [_without_tensors(group) for group in optimizer.param_groups]
            for name, optimizer in self.game.optimizers.items()
        }
        state = checkpoint.load(file, None, self.device)
        if state is None:
            raise CheckpointError(f"{file}: there is no checkpoint")
        try:
            self._load(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{file}: does not fit this configuration ({error})") from error
        for name, optimizer in self.game.optimizers.items():
            for group, settings in zip(optimizer.param_groups, own[name], strict=True):
                group.update(settings)
        self.watcher.present.clear()
        self.stopped_by = None
        if self.history:
            self.history[-1] = replace(self.history[-1], symptoms=())
        adopt_generator(Path(folder), self.folder)
        self.save()

    def _load(self, state: dict[str, Any]) -> None:
        self.game.load_state(state["game"])
        self._meter.load_state(state["meter"], self.device)
        self.watcher.load_state_dict(state["watcher"])
        self._healthy = state["healthy"]
        self._real = state["real"]
        self.history = [Evaluation.from_dict(given) for given in json.loads(state["history"])]
        self.stopped_by = self._fatal(self.history[-1].symptoms) if self.history else None

    @property
    def checkpoint_file(self) -> Path:
        """Where the checkpoint lies."""
        return self.folder / "checkpoint.pt"

    def result(self) -> TrialResult:
        """How it ended, or how far it is."""
        state: TrialState = "completed" if self.finished else "running"
        if self.stopped_by is not None:
            state = SYMPTOMS[self.stopped_by.name].ends_as
        merits = [(found, e) for e in self.history if (found := self._merit(e.metrics))]
        best = min(merits, key=lambda pair: pair[0], default=(None, None))[1]
        return TrialResult(state, self.folder, tuple(self.history), best, self.stopped_by)

    # One round -------------------------------------------------------------------------------

    def _play(self) -> None:
        game = self.game
        steps = Steps(self.config.critic_steps, 1)
        for trick in game.using("steps"):
            steps = trick.steps(game, steps)
        self._set_rates()
        # Before an evaluation too: without scores and gradients the watcher would see nothing.
        probing = game.step + 1 in (self._next_probe(), self._next_evaluation())
        for _ in range(steps.discriminator):
            self._discriminator_step(probing)
        for _ in range(steps.generator):
            self._generator_step(probing)
        game.step += 1

    def _next_probe(self) -> int:
        return (self.step // PROBE_EVERY + 1) * PROBE_EVERY

    def _discriminator_step(self, probing: bool) -> None:
        game, optimizer = self.game, self.game.optimizers["discriminator"]
        real, labels = self._real = game.real_batch()
        z, fake_labels = game.noise(len(real), game.streams.noise)
        optimizer.zero_grad(set_to_none=True)
        for x, y, z_part, fake_y in self._parts(real, labels, z, fake_labels):
            with torch.no_grad():
                condition = game.condition(x, game.streams.augmentation)
                fake = game.generate(z_part, fake_y, condition)
            round = Round("discriminator", x, y, z_part, fake_y, fake, condition)
            self._descend(game.discriminator_loss(round), "loss/discriminator/")
        optimizer.step()
        if probing:
            self._probe_discriminator(round)
        for trick in game.using("after_discriminator_step"):
            trick.after_discriminator_step(game, round)

    def _generator_step(self, probing: bool) -> None:
        game, optimizer = self.game, self.game.optimizers["generator"]
        if self._real is None:  # the discriminator has not had its first step yet
            self._real = game.real_batch()
        real, labels = self._real
        z, fake_labels = game.noise(len(real), game.streams.noise)
        optimizer.zero_grad(set_to_none=True)
        with game.discriminator_frozen():
            for x, y, z_part, fake_y in self._parts(real, labels, z, fake_labels):
                condition = game.condition(x, game.streams.augmentation)
                fake = game.generate(z_part, fake_y, condition)
                round = Round("generator", x, y, z_part, fake_y, fake, condition)
                self._descend(game.generator_loss(round), "loss/generator/")
        optimizer.step()
        if probing:
            norm = gradient_norm(game.generator)
            self._meter.add("gradient_norm/", {"generator": norm})
            self._healthy = self._healthy and bool(torch.isfinite(norm))
        for trick in game.using("after_generator_step"):
            trick.after_generator_step(game, round)

    def _parts(
        self, real: Tensor, labels: Tensor | None, z: Tensor, fake_labels: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor | None, Tensor, Tensor | None]]:
        """The batch in ``accumulate`` equal parts, whose gradients add up to the whole's."""
        count = self.config.accumulate
        if count == 1:
            yield real, labels, z, fake_labels
            return
        nothing = [None] * count
        yield from zip(
            real.chunk(count),
            labels.chunk(count) if labels is not None else nothing,
            z.chunk(count),
            fake_labels.chunk(count) if fake_labels is not None else nothing,
            strict=True,
        )

    def _descend(self, terms: Terms, prefix: str) -> None:
        loss: Tensor = (
            torch.stack(list(terms.values())).sum()
            if len(terms) > 1
            else next(iter(terms.values()))
        )
        (loss / self.config.accumulate if self.config.accumulate > 1 else loss).backward()  # type: ignore[no-untyped-call]
        self._meter.add(prefix, terms)

    def _set_rates(self) -> None:
        for name, optimizer in self.game.optimizers.items():
            settings = getattr(self.config.optimizer, name)
            if settings.decay != "none":
                for group in optimizer.param_groups:
                    group["lr"] = settings.rate(self.game.progress)

    @torch.no_grad()
    def _probe_discriminator(self, round: Round) -> None:
        r, f, border = round.r, round.f, self.game.border(round)
        norm = gradient_norm(self.game.discriminator)
        self._meter.add(
            "",
            {
                "score/real": r.mean(),
                "score/fake": f.mean(),
                "score/largest": torch.maximum(r.abs().max(), f.abs().max()),
                "accuracy/real": (r > border).float().mean(),
                "accuracy/fake": (f < border).float().mean(),
                "gradient_norm/discriminator": norm,
            },
        )
        self._healthy = self._healthy and bool(torch.isfinite(norm + r.sum() + f.sum()))

    # One evaluation --------------------------------------------------------------------------

    def evaluate(self) -> Evaluation:
        """Measure the generator as it is now; trains and saves nothing."""
        game, seed = self.game, self.config.seed
        measured, samples = None, None
        if self._healthy:
            with sampling_network(game) as network:
                draw = drawer(game, network, stream(self.device, seed, "evaluation", self.step))
                measured = self.evaluator.measure(
                    draw, weights=game.samples_from, seed=derive(seed, "measures", self.step)
                )
                samples = self._draw_picture(network)
                self._keep_best(network, measured.values)
        metrics = self._collect(measured)
        symptoms = tuple(self.watcher.observe(self._signals(metrics, measured)))
        self.stopped_by = self._fatal(symptoms)
        protocol = {k: str(v) for k, v in measured.protocol.as_dict().items()} if measured else {}
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return Evaluation(game.step, time.time(), finite, protocol, symptoms, samples)

    def _collect(self, measured: Measured | None) -> dict[str, float]:
        metrics = self._meter.take()
        for player in ("generator", "discriminator"):
            norms = layer_gradient_norms(getattr(self.game, player))
            metrics |= {f"gradient_norm/{player}/{layer}": norm for layer, norm in norms.items()}
        for trick in self.game.using("signals"):
            named = trick.signals(self.game)
            metrics |= {f"{trick.key}/{name}": value for name, value in named.items()}
        metrics["system/images_per_second"] = self._speed
        metrics["system/peak_memory_mb"] = peak_memory_mb(self.device)
        if measured is not None:
            metrics |= measured.values
        return metrics

    def _signals(self, metrics: dict[str, float], measured: Measured | None) -> Signals:
        finite = self._healthy and (
            measured is None or all(map(math.isfinite, measured.values.values()))
        )
        return Signals.collect(self.step, finite, metrics, measured)

    def _fatal(self, symptoms: tuple[Symptom, ...]) -> Symptom | None:
        """The symptom that ends this training: one of ``health.stop_on``, or no finite numbers."""
        for symptom in symptoms:
            if symptom.name in self.config.health.stop_on:
                return symptom
        if not self._healthy:
            return next(symptom for symptom in symptoms if symptom.name == "divergence")
        return None

    def _keep_best(self, network: torch.nn.Module, metrics: dict[str, float]) -> None:
        mine = self._merit(metrics)
        earlier = [found for e in self.history if (found := self._merit(e.metrics))]
        if mine is None or any(found <= mine for found in earlier):
            return
        name = judged_by(metrics, self.config.evaluation.keep_by)
        measured = {"step": self.step, name: value_of(metrics, name)}
        save_generator(self.folder, network, self.game, measured)

    def _merit(self, metrics: Mapping[str, float]) -> tuple[float, float] | None:
        return merit(metrics, self.config.evaluation.keep_by)

    def _fixed_noise(self) -> tuple[Tensor, Tensor | None]:
        """The z and labels of every picture: one row a class where labels are used, or one image
        for each of some classes, evenly chosen, where there are more than images."""
        noise = stream(self.device, self.config.seed, "picture")
        count = self.config.evaluation.grid
        z, labels = self.game.noise(count, noise)
        if labels is not None:
            classes = self.dataset.classes
            shown = torch.arange(min(classes, count), device=self.device) * classes
            labels = (shown // min(classes, count)).repeat_interleave(max(1, count // classes))
            z, _ = self.game.noise(len(labels), noise)
        return z, labels

    def _draw_picture(self, network: torch.nn.Module) -> str:
        z, labels = self._fixed
        images = shown(
            self.game, network, z, labels, stream(self.device, self.config.seed, "shown")
        )
        relative = f"samples/{self.step:06d}.png"
        if self.dataset.kind == "point":
            picture = scatter(images, self.dataset.modes)
        else:
            row_a_class = labels is not None and self.dataset.classes <= len(z)
            columns = len(z) // self.dataset.classes if row_a_class else round(len(z) ** 0.5)
            picture = image_grid(images, columns)
        save_picture(picture, self.folder / relative)
        return relative


def train(
    config: TrialConfig,
    *,
    folder: Path | str,
    report: Callable[[Evaluation], bool | None] | None = None,
    cache: Path | None = None,
) -> TrialResult:
    """Train to the end, taking up ``folder`` where it was left.

    ``report`` hears every evaluation as it is made; it ends the training by returning False.
    """
    training = Training(config, Path(folder), cache=cache)
    training.restore()
    while not training.finished:
        evaluation = training.advance()
        if report is not None and report(evaluation) is False:
            break
    return training.result()


def _without_tensors(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def pick_device(name: str) -> torch.device:
    """``auto``: the first GPU if there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def peak_memory_mb(device: torch.device) -> float:
    """The most memory held so far, in MiB: of the GPU, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
