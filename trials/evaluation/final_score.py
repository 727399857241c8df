"""A winner's final score: the generator it kept, measured once more on noise that chose nothing.

The evaluation with the lowest FID of a training, and the training with the lowest FID of a sweep,
are partly the luckiest draws of samples. So what is reported of a winner is measured again, on
noise of a stream of its own and on `evaluation.final_samples` images. The same folder always
gives the same score.
"""

from __future__ import annotations

import math
from pathlib import Path

from trials.evaluation.evaluators import evaluator_of
from trials.evaluation.kept import kept_generator
from trials.evaluation.results import FinalScore
from trials.metrics.progress import Tell, quiet
from trials.metrics.protocol import counted
from trials.state.streams import derive, stream


def final_score(folder: Path, *, cache: Path | None = None, tell: Tell = quiet) -> FinalScore:
    """Measure the best generator of the trial in `folder`; `tell` hears how far that is.

    Raises:
        CheckpointError: the trial has saved none, or its data are others by now.
    """
    with kept_generator(folder, cache=cache) as (header, config, game, network):
        count = config.evaluation.final_samples
        measured = evaluator_of(config, game, cache=cache, tell=tell).measure(
            game.drawer(network, stream(game.device, config.seed, "final")),
            weights=header["weights"],
            seed=derive(config.seed, "measures", "final"),
            count=count,
        )
    return FinalScore(
        step=header["step"],
        metrics={
            counted(name, count): value
            for name, value in measured.values.items()
            if math.isfinite(value)
        },
        protocol=measured.protocol.as_dict(),
    )
