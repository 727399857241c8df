"""The stand-in for a capture refuses what a CUDA graph would not repeat, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sweeper.testing.capture import refusals
from sweeper.testing.small import SMALL, loop_of
from trials.part import temporary_parts
from trials.presets import merge
from trials.state.streams import stream
from trials.trick import Trick

See = Callable[[Any, Any, Tensor], Tensor]


def reads(trick: Any, game: Any, images: Tensor) -> Tensor:
    return images * float(images.mean() < 1e9)


def branches(trick: Any, game: Any, images: Tensor) -> Tensor:
    return images if images.mean() < 1e9 else -images


def from_numpy(trick: Any, game: Any, images: Tensor) -> Tensor:
    return images + torch.from_numpy(np.zeros(1, np.float32))


def changes_a_number(trick: Any, game: Any, images: Tensor) -> Tensor:
    return images * (1 + game.step)


def changes_a_shape(trick: Any, game: Any, images: Tensor) -> Tensor:
    return images + images[: game.step].sum()


def has_a_stream_of_its_own(trick: Any, game: Any, images: Tensor) -> Tensor:
    return images + torch.rand((), generator=stream("cpu", 0, "its own"))


def remembers_elsewhere(trick: Any, game: Any, images: Tensor) -> Tensor:
    trick.kept = trick.kept + images.detach().mean()
    return images


def counts_on_the_host(trick: Any, game: Any, images: Tensor) -> Tensor:
    trick.kept += 1
    return images


def is_fine(trick: Any, game: Any, images: Tensor) -> Tensor:
    trick.kept.add_(images.detach().mean())
    return images + torch.rand((), generator=game.streams.augmentation)


def told(see: See, kept: Any = None) -> list[str]:
    with temporary_parts():

        class Odd(Trick):
            key = "test_only_odd"
            group = "judgement"
            summary = "does something to what the discriminator sees"
            formula = "none"
            paper = "none"

            def prepare(self, game: Any) -> None:
                self.kept = kept

            def see(self, game: Any, images: Tensor, real: bool) -> Tensor:
                return see(self, game, images)

            def state(self) -> dict[str, Any]:
                return {"kept": self.kept}

        return refusals(loop_of(merge(SMALL, {"tricks": {Odd.key: {}}})))


@pytest.mark.parametrize(
    ("see", "kept", "why"),
    [
        (reads, None, "reads a number"),
        (branches, None, "reads a number"),
        (from_numpy, None, "makes a tensor of what the host has"),
        (changes_a_number, None, "in one round and"),
        (changes_a_shape, None, "in one round and"),
        (has_a_stream_of_its_own, None, "a stream that is none of the game's"),
        (remembers_elsewhere, torch.zeros(()), "test_only_odd.kept in another place"),
        (counts_on_the_host, 0, "test_only_odd.kept on the host"),
    ],
)
def test_what_a_replay_would_not_repeat_is_told(see: See, kept: Any, why: str) -> None:
    found = told(see, kept)
    assert any(why in reason for reason in found), found


def test_a_step_that_a_replay_repeats_is_left_alone() -> None:
    assert told(is_fine, torch.zeros(())) == []
