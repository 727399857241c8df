"""A winner's final score: the generator it kept, measured once more on noise that chose nothing.

The evaluation with the lowest FID of a training, and the training with the lowest FID of a sweep,
are partly the luckiest draws of samples. So what is reported of a winner is measured again, on
noise of a stream of its own and on `evaluation.final_samples` images. The same folder always
gives the same score.
"""

from __future__ import annotations

import math
from pathlib import Path

from trials.config import load_config
from trials.data import open_data, reference_of
from trials.devices import pick_device
from trials.engine.composed_game import ComposedGame
from trials.errors import CheckpointError
from trials.evaluation.export import load_generator, saved_header
from trials.evaluation.results import FinalScore
from trials.metrics.evaluator import Evaluator
from trials.metrics.protocol import counted
from trials.state.streams import derive, stream


def final_score(folder: Path, *, cache: Path | None = None) -> FinalScore:
    """Measure the best generator of the trial in `folder`.

    Raises:
        CheckpointError: the trial has saved none, or its data are others by now.
    """
    header = saved_header(folder)
    config = load_config(header["config"])
    device = pick_device(config.device)
    dataset = open_data(config.data, cache=cache)
    # A generator that was saved before its data were noted in it is taken on trust.
    if header.get("data", dataset.fingerprint) != dataset.fingerprint:
        raise CheckpointError(
            f"{folder}: the data are others than those that the generator was trained on; no score"
            " of it on these could stand beside its own"
        )
    # A game that is never played: at step 0, at which no training measures, so that whatever a
    # trick draws while sampling is fresh as well.
    game = ComposedGame(config, config.build_tricks(), dataset, device)
    rules = config.evaluation
    reference = reference_of(config.data, dataset, rules.reference, cache)
    evaluator = Evaluator(rules, reference, device, cache=cache, conditional=game.labelled)
    with game.as_sampled(load_generator(folder).network.to(device)) as network:
        measured = evaluator.measure(
            game.drawer(network, stream(device, config.seed, "final")),
            weights=header["weights"],
            seed=derive(config.seed, "measures", "final"),
            count=config.evaluation.final_samples,
        )
    count = config.evaluation.final_samples
    return FinalScore(
        step=header["step"],
        metrics={
            counted(name, count): value
            for name, value in measured.values.items()
            if math.isfinite(value)
        },
        protocol=measured.protocol.as_dict(),
    )
