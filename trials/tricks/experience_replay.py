"""Experience replay: past generated images are shown to the discriminator again.

    a share p of each generated batch is replaced by images drawn from a buffer of earlier ones

(Shrivastava et al. 2017, arXiv:1612.07828, section 2.3, with half of the batch.) After each
discriminator step a share of the fresh images takes the places of random old ones. Source: 000.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round
from trials.trick import Trick, TrickConfig, knob


def mixed(fresh: Tensor, old: Tensor) -> Tensor:
    """The batch with its last ``len(old)`` images replaced by old ones: (N, …), (K, …) → (N, …)."""
    return torch.cat([fresh[: len(fresh) - len(old)], old])


class ExperienceReplay(Trick):
    """Keeps the discriminator from forgetting."""

    key = "experience_replay"
    group = "judgement"
    summary = "mixes earlier generated images into the discriminator's batch"
    formula = "fake batch = (1-p) fresh + p drawn from a buffer of past images"
    paper = "Shrivastava et al. 2017, arXiv:1612.07828"
    source = "000"

    class Config(TrickConfig):
        share: float = knob(
            0.5, "p, share of old images", gt=0, lt=1, search={"min": 0.1, "max": 0.7}
        )
        size: int = knob(1024, "images in the buffer", ge=1, le=100_000)
        renew: float = knob(0.5, "share of each fresh batch that enters the buffer", gt=0, le=1)

    def prepare(self, game: Game) -> None:
        self.device = game.device
        self.images: Tensor | None = None
        self.labels: Tensor | None = None

    def dealt(self, game: Game, round: Round) -> None:
        if round.player == "discriminator":
            self._mix(game, round)

    def _mix(self, game: Game, table: Round) -> None:
        fresh, fresh_labels = table.fake, table.fake_labels
        if self.images is not None:
            wanted = min(len(fresh) - 1, max(1, round(len(fresh) * self.config.share)))
            chosen = self._draw(game, wanted, len(self.images))
            table.fake = mixed(fresh, self.images[chosen])
            if fresh_labels is not None and self.labels is not None:
                table.fake_labels = mixed(fresh_labels, self.labels[chosen])
        self._keep(game, fresh, fresh_labels)

    def _draw(self, game: Game, count: int, below: int) -> Tensor:
        stream = game.streams.augmentation
        return torch.randint(below, (count,), generator=stream, device=stream.device)

    def _keep(self, game: Game, fresh: Tensor, labels: Tensor | None) -> None:
        count = max(1, round(len(fresh) * self.config.renew))
        fresh = fresh[:count].detach()
        labels = None if labels is None else labels[:count]
        if self.images is None:
            self.images, self.labels = fresh.clone(), None if labels is None else labels.clone()
            return
        room = max(0, min(self.config.size - len(self.images), len(fresh)))
        self.images = torch.cat([self.images, fresh[:room]])[: self.config.size]
        if self.labels is not None and labels is not None:
            self.labels = torch.cat([self.labels, labels[:room]])[: self.config.size]
        if room < len(fresh):
            places = self._draw(game, len(fresh) - room, len(self.images))
            self.images[places] = fresh[room:]
            if self.labels is not None and labels is not None:
                self.labels[places] = labels[room:]

    def state(self) -> dict[str, Any]:
        return {"images": self.images, "labels": self.labels}

    def load_state(self, state: dict[str, Any]) -> None:
        images, labels = state["images"], state["labels"]
        self.images = None if images is None else images.to(self.device)
        self.labels = None if labels is None else labels.to(self.device)
