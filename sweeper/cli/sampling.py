"""The verb `sample`: images of a trial's generator, as a picture or as an array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import HomeOption, RefusedServer, SweepName
from sweeper.cli.printing import say
from sweeper.cli.source import Sight, server_meant
from sweeper.errors import UserError
from sweeper.home import Home, SweepFolder
from sweeper.trial import trial_name

if TYPE_CHECKING:
    from trials.evaluation.drawing import Drawn

MOST_IN_A_PICTURE = 4096


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(sample)


def sample(
    name: SweepName,
    trial: Annotated[
        int | None,
        typer.Argument(min=0, help="Number of a trial.  [the best]", metavar="TRIAL"),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of samples.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    label: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="CLASS", help="Only this class, by number or name.  [as in the data]"
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            metavar="T", help="Truncation threshold of z: higher quality, less diversity."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help=".png or .npz.  [./NAME-TRIAL.png]"),
    ] = None,
    home: HomeOption = None,
    server: RefusedServer = None,
) -> None:
    """Draw samples of a trial's best generator.

    They are drawn as in its evaluations: with the averaged weights if it was measured with them. A
    .png is a grid of images, or a scatter plot of points; an .npz has `images` as bytes
    (N, C, H, W), or `points`, and `labels` for a conditional generator. This verb reads local
    files: after `sweeper login`, give --home.
    """
    if server_meant(home, server):
        raise UserError(
            "samples are drawn from a trial's files, and a server keeps those to itself: run this "
            "on its machine with `--home`, or look at the trial's page"
        )
    if truncation is not None and not truncation > 0:
        raise UserError(f"--truncation {truncation:g}: expected a number above 0, such as 0.7")
    _check_file(out or Path("NAME.png"), count)
    from sweeper.bucket.copies import is_drawn_from, trial_folder
    from sweeper.cli.local import HomeSource

    here = Home.at(home)
    sight = HomeSource(here).sight(name)
    number = _winner(sight) if trial is None else sight.record(trial).number
    file = out or Path(f"{name}-{trial_name(number)}.png")
    from trials.evaluation.drawing import draw_samples  # and torch, for which no refusal waits

    trained = trial_folder(SweepFolder(sight.folder), number, is_drawn_from)
    _check_generator(trained, f"{name}/{number}{here.flag}")
    drawn = draw_samples(
        trained, count, seed=seed, label=label, truncation=truncation, cache=here.cache
    )
    _write(drawn, file)
    weights = "" if drawn.weights == "raw" else f", {drawn.weights} weights"
    say(f"{file}: {count} samples of trial {trial_name(number)} at step {drawn.step}{weights}")


def _winner(sight: Sight) -> int:
    """The number of the best trial, which is told."""
    from sweeper.cli.leaderboard import best_in_words

    best = sight.standings.best
    if best is None:
        raise UserError(f"no trial of {sight.name} has completed yet: give the number of a trial")
    say(f"the best: {best_in_words(sight.standings)}", err=True)
    return best.trial.number


def _check_generator(trained: Path, called: str) -> None:
    from sweeper.retention import why_gone

    if gone := why_gone(trained, "generators"):
        again = f"`sweeper train --like {called}` trains it again in a folder of its own, from "
        again += "which `trials.evaluation.drawing.draw_samples` draws (docs/home.md)"
        raise UserError(f"no samples of trial {trained.name} can be drawn: {gone}; {again}")


def _check_file(file: Path, count: int) -> None:
    if file.suffix.lower() not in (".png", ".npz"):
        raise UserError(f"--out {file}: expected a name that ends in .png or .npz")
    if not file.parent.is_dir():
        raise UserError(f"--out {file}: there is not a folder {file.parent}")
    if file.is_dir():
        raise UserError(f"--out {file}: that is a folder")
    if file.suffix.lower() == ".png" and count > MOST_IN_A_PICTURE:
        raise UserError(
            f"{count} samples are too many for one picture, which shows up to {MOST_IN_A_PICTURE}: "
            "write them as -o FILE.npz"
        )


def _write(drawn: Drawn, file: Path) -> None:
    from trials.files import atomic_write

    if file.suffix.lower() == ".png":
        atomic_write(file, lambda place: drawn.picture().save(place, format="PNG"))
    else:
        atomic_write(file, lambda place: _write_arrays(drawn, place))


def _write_arrays(drawn: Drawn, place: Path) -> None:
    import numpy as np

    from trials.metrics.extractor import quantise

    points = drawn.items.ndim == 2
    arrays = {"points" if points else "images": drawn.items if points else quantise(drawn.items)}
    if drawn.labels is not None:
        arrays["labels"] = drawn.labels
    with place.open("wb") as stream:
        named: dict[str, Any] = {key: value.numpy() for key, value in arrays.items()}
        np.savez_compressed(stream, **named)
