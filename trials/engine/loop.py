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

Measuring, watching and saving, every `evaluation.every` steps, is `trials.trainer`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from trials.devices import wait_for
from trials.engine.compiled import calls_of
from trials.engine.composed_game import ComposedGame
from trials.engine.graphs import stepper_of
from trials.engine.probe import Probe
from trials.game import Round, Terms, Trial

PROBE_EVERY = 10
"""Steps between two looks at scores, gradient norms and finiteness."""


def _repeated(part: Tensor | None, times: int) -> Tensor | None:
    """(N, …) → (times · N, …); itself where `times` is 1."""
    return part if part is None or times == 1 else torch.cat([part] * times)


class Loop:
    """Trains one game. `images_per_second` is the speed of the last run. `tell` is given what a
    reader of the log should know of how the steps are taken, in sentences."""

    def __init__(
        self,
        trial: Trial,
        game: ComposedGame,
        tell: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        self.trial = trial
        self.game = game
        game.calls = calls_of(trial, game, tell)
        self.probe = Probe(game)
        self.stepper = stepper_of(trial, game, tell)
        self.images_per_second = 0.0
        self.real: tuple[Tensor, Tensor | None] | None = None
        """The discriminator's last batch, which the generator's step is given too."""

    def next_evaluation(self) -> int:
        """The step at which the game is measured next."""
        every = self.trial.evaluation.every
        return min(self.trial.steps, (self.game.step // every + 1) * every)

    def rehearse(self, steps: int, left: int | None) -> bool:
        """Train some steps, of the last `left` ones where that is asked for. Whether there are
        more to train."""
        last = self.trial.steps
        if left is not None:
            self.game.step = max(self.game.step, last - left)
        self.run_to(min(self.game.step + steps, last))
        return self.game.step < last and self.probe.healthy

    def run_to(self, step: int, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Train up to `step`; stops early once a number is known not to be finite, and after any
        step where `should_stop` says so."""
        started, before = time.perf_counter(), self.game.step
        with self.at_work():
            while self.game.step < step and self.probe.healthy and not should_stop():
                self.play()
        self.probe.settle()
        wait_for(self.game.device)
        seconds = time.perf_counter() - started
        trained = (self.game.step - before) * self.trial.batch_size
        self.images_per_second = trained / seconds if seconds > 0 else 0.0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Inside, rounds are played: the device computes as the trial says."""
        with self.game.arithmetic.steps(), self.stepper.working():
            yield

    def play(self) -> None:
        """One round: the discriminator's steps, then the generator's."""
        game = self.game
        steps = game.steps()
        self._set_rates()
        # Before an evaluation too: without scores and gradients the watcher would see nothing.
        next_probe = (game.step // PROBE_EVERY + 1) * PROBE_EVERY
        probing = game.step + 1 in (next_probe, self.next_evaluation())
        for _ in range(steps.discriminator):
            self.discriminator_step(probing)
        for _ in range(steps.generator):
            self.generator_step(probing)
        if probing:
            self.probe.turn()
        game.step += 1

    def discriminator_step(self, probing: bool) -> None:
        """The discriminator learns from one real and one generated batch."""
        self.real = self.stepper.dealt(self.game.real_batch())
        self.stepper.take("discriminator", probing, lambda: self._teach_discriminator(probing))

    def generator_step(self, probing: bool) -> None:
        """The generator learns from what the discriminator says of one generated batch."""
        if self.real is None:  # the discriminator has not had its first step yet
            self.real = self.stepper.dealt(self.game.real_batch())
        self.stepper.take("generator", probing, lambda: self._teach_generator(probing))

    def _teach_discriminator(self, probing: bool) -> None:
        game, optimizer = self.game, self.game.optimizers["discriminator"]
        assert self.real is not None
        real, labels = self.real
        z, fake_labels = game.noise_to_learn_from(len(real))
        optimizer.zero_grad(set_to_none=True)
        for x, y, z_part, fake_y in self._parts(real, labels, z, fake_labels):
            with torch.no_grad():
                condition = game.condition(x, game.streams.augmentation)
                fake = game.generate(z_part, fake_y, condition)
            round = Round("discriminator", x, y, z_part, fake_y, fake, condition)
            self._descend("discriminator", game.discriminator_loss(round))
        self.probe.note(game.arithmetic.step("discriminator", optimizer))
        if probing:
            self.probe.discriminator(round)
        game.hooks.after_discriminator_step(game, round)

    def _teach_generator(self, probing: bool) -> None:
        game, optimizer = self.game, self.game.optimizers["generator"]
        assert self.real is not None
        real, labels = (_repeated(part, self.trial.generator_batch) for part in self.real)
        assert real is not None
        z, fake_labels = game.noise_to_learn_from(len(real))
        optimizer.zero_grad(set_to_none=True)
        with game.discriminator_frozen():
            for x, y, z_part, fake_y in self._parts(real, labels, z, fake_labels):
                condition = game.condition(x, game.streams.augmentation)
                fake = game.generate(z_part, fake_y, condition)
                round = Round("generator", x, y, z_part, fake_y, fake, condition)
                self._descend("generator", game.generator_loss(round))
        self.probe.note(game.arithmetic.step("generator", optimizer))
        if probing:
            self.probe.generator()
        game.hooks.after_generator_step(game, round)

    def _parts(
        self, real: Tensor, labels: Tensor | None, z: Tensor, fake_labels: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor | None, Tensor, Tensor | None]]:
        """The batch in `accumulate` equal parts, whose gradients add up to the whole's."""
        count = self.trial.accumulate
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

    def _descend(self, player: str, terms: Terms) -> None:
        loss: Tensor = (
            torch.stack(list(terms.values())).sum()
            if len(terms) > 1
            else next(iter(terms.values()))
        )
        parts = self.trial.accumulate
        with self.game.calls.descending():
            self.game.arithmetic.descend(player, loss / parts if parts > 1 else loss)
        self.probe.terms(player, terms)

    def _set_rates(self) -> None:
        for name, optimizer in self.game.optimizers.items():
            settings = getattr(self.trial.optimizer, name)
            if settings.decay != "none":
                for group in optimizer.param_groups:
                    group["lr"] = settings.part(settings).rate(self.game.progress)
