"""The generator that a training has kept, back in the game that it was trained in.

A network alone makes images of z. What counts as a sample of a training is what its evaluations
measured: z, labels and conditions as the game draws them, batch statistics by the rule of the
evaluation, with every trick's say. So the game is set up again, and never played.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from trials.config import TrialConfig, load_config
from trials.data import open_data
from trials.devices import pick_device
from trials.engine.composed_game import ComposedGame
from trials.errors import CheckpointError
from trials.evaluation.export import load_generator, saved_header
from trials.part import using


class Kept(NamedTuple):
    """A `network` as it is sampled in its `game`, and what its file says beside the weights."""

    header: Mapping[str, Any]
    config: TrialConfig
    game: ComposedGame
    network: nn.Module


@contextmanager
def kept_generator(
    folder: Path, *, cache: Path | None = None, device: str | None = None
) -> Iterator[Kept]:
    """The best generator of the trial in `folder`; on its own device, or on the one called so.

    Raises:
        CheckpointError: the trial has saved none, or its data are others by now.
        DataError: they cannot be read.
    """
    header = saved_header(folder)
    config = load_config(header["config"])
    dataset = open_data(config.data, cache=cache)
    # A generator that was saved before its data were noted in it is taken on trust.
    if header.get("data", dataset.fingerprint) != dataset.fingerprint:
        raise CheckpointError(
            f"{folder}: the data are others than those that the generator was trained on; nothing"
            " that is drawn or measured with these could stand beside what was"
        )
    chosen = pick_device(device or config.device)
    # At step 0, at which no training measures, so that whatever a trick draws while sampling is
    # fresh as well.
    with using({"parts": config.parts}):
        game = ComposedGame(config, config.build_tricks(), dataset, chosen)
        with game.as_sampled(load_generator(folder).network.to(chosen)) as network:
            yield Kept(header, config, game, network)
