"""Experience replay: past generated images are shown to the discriminator again.

    a share p of each generated batch is replaced by images drawn from a buffer of earlier ones

(Shrivastava et al. 2017, arXiv:1612.07828, section 2.3, with half of the batch.) After each
discriminator step a share of the fresh images takes the places of random old ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round
from trials.part import PartConfig, knob
from trials.trick import Trick

MADE = ("fake", "fake_labels", "z", "condition")
"""What stays together in the buffer: an image, and what it was made from. Code that asks the
discriminator for an image's codes (InfoGAN) must be given those of this image."""


def mixed(fresh: Tensor, old: Tensor) -> Tensor:
    """The batch with its last `len(old)` rows replaced by old ones: (N, …), (K, …) → (N, …)."""
    return torch.cat([fresh[: len(fresh) - len(old)], old])


class ExperienceReplay(Trick):
    """Keeps the discriminator from forgetting."""

    key = "experience_replay"
    group = "judgement"
    summary = "mixes earlier generated images into the discriminator's batch"
    formula = "fake batch = (1-p) fresh + p drawn from a buffer of past images"
    paper = "Shrivastava et al. 2017, arXiv:1612.07828"
    not_capturable = "its buffer grows, and is made anew with every batch"

    class Config(PartConfig):
        share: float = knob(
            0.5, "p, share of old images", gt=0, lt=1, search={"min": 0.1, "max": 0.7}
        )
        size: int = knob(1024, "images in the buffer", ge=1, le=100_000)
        renew: float = knob(0.5, "share of each fresh batch that enters the buffer", gt=0, le=1)

    def prepare(self, game: Game) -> None:
        self.device = game.device
        self.memory: dict[str, Tensor] = {}  # by name of the round's field, (B, …) each

    def dealt(self, game: Game, round: Round) -> None:
        if round.player == "discriminator":
            self._mix(game, round)

    def _mix(self, game: Game, table: Round) -> None:
        made = {name: getattr(table, name) for name in MADE}
        fresh = {name: value for name, value in made.items() if value is not None}
        if self.memory:
            count = len(table.fake)
            wanted = min(count - 1, max(1, round(count * self.config.share)))
            chosen = self._draw(game, wanted, len(self.memory["fake"]))
            for name, value in fresh.items():
                setattr(table, name, mixed(value, self.memory[name][chosen]))
        self._keep(game, fresh)

    def _draw(self, game: Game, count: int, below: int) -> Tensor:
        stream = game.streams.augmentation
        return torch.randint(below, (count,), generator=stream, device=stream.device)

    def _keep(self, game: Game, fresh: dict[str, Tensor]) -> None:
        """A share of the fresh batch fills the room that is left, then takes random places."""
        count = max(1, round(len(fresh["fake"]) * self.config.renew))
        fresh = {name: value[:count].detach() for name, value in fresh.items()}
        if not self.memory:
            self.memory = {name: value[: self.config.size].clone() for name, value in fresh.items()}
            return
        held = len(self.memory["fake"])
        room = min(self.config.size - held, count)
        self.memory = {
            name: torch.cat([old, fresh[name][:room]]) for name, old in self.memory.items()
        }
        if room < count:
            places = self._draw(game, count - room, held + room)
            for name, old in self.memory.items():
                old[places] = fresh[name][room:]

    def state(self) -> dict[str, Any]:
        return {"memory": dict(self.memory)}

    def load_state(self, state: dict[str, Any]) -> None:
        self.memory = {name: kept.to(self.device) for name, kept in state["memory"].items()}
