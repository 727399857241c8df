"""The verb `extractor`: a feature network of one's own, to measure one's own images through."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import HomeOption, JsonOption, print_json
from sweeper.cli.printing import say
from sweeper.cli.running import read_yaml
from sweeper.errors import SpecError, UserError
from sweeper.home import Home
from sweeper.permissions import private
from trials.problems import nearest

if TYPE_CHECKING:
    from trials.metrics.extractors.trained import TrainedFacts

extractor = typer.Typer(
    help="Train feature extractors for your own images.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SOURCES = {".npz": "npz", ".parquet": "parquet"}
"""The source of data that a file's name stands for; a folder's is `image_folder`."""

BARELY = 0.05
"""So much better than naming the largest class a network must be to know anything."""


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    extractor.command(name="train")(train)
    app.add_typer(extractor, name="extractor")


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="A sweep file, whose base.data is meant; a source that needs no file, as digits; "
            "a folder of pictures, an .npz or a .parquet.",
            metavar="DATA",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the network.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Data setting, such as size=32; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the images.  [40; fewer above 14,400 images]"),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Train a small feature network on labelled images.

    `evaluation.extractor: {name: trained, weights: FILE}` measures through it. The same data and
    seed give the same file on the same kind of processor. Nothing is written before it is done.
    """
    from trials.data import open_data
    from trials.devices import pick_device
    from trials.metrics.extractor import read_weights
    from trials.metrics.extractor_training import check_trainable, train_extractor, usual_epochs

    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is not a folder {out.parent}")
    if out.is_dir():
        raise UserError(f"--out {out}: that is a folder")
    where = Home.at(home)
    with private(where.path):
        opened = open_data(_data_config(data, settings or []), cache=where.cache)
    check_trainable(opened)
    epochs = epochs or usual_epochs(len(opened))
    say(f"{len(opened):,} images of {opened.classes} classes, {_form(opened.shape)}", err=True)
    with typer.progressbar(length=epochs, label="training", file=sys.stderr) as bar:
        facts = train_extractor(
            opened,
            out,
            seed=seed,
            epochs=epochs,
            device=pick_device("auto"),
            tell=lambda: bar.update(1),
        )
    if json:
        print_json({"file": out, "sha256": read_weights(out).fingerprint, **facts.model_dump()})
    else:
        _print(facts, out)


def _form(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{height} × {width} pixels, {'grey' if channels == 1 else 'colour'}"


def _data_config(what: str, settings: list[str]) -> Any:
    """The settings of the data that are meant.

    Raises:
        UserError: nothing is, or nothing that can be told from its name.
        ConfigError: with everything that is wrong with them.
    """
    from trials.data import check_data
    from trials.data.opening import read_data
    from trials.errors import ConfigError

    given = _given(what)
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(f"--set {text}: expected KEY=VALUE, such as size=32")
        given[key] = read_yaml(value, f"--set {text}")
    config = read_data(given)
    if problems := check_data(config):
        raise ConfigError(problems)
    return config


def _given(what: str) -> dict[str, Any]:
    """The raw settings of data: a sweep file's, or those that a name or a path stands for."""
    from sweeper.sweepfile.document import read_text
    from trials.data import DataSource
    from trials.part import using

    path = Path(what).expanduser()
    if path.suffix in (".yaml", ".yml"):
        root = read_yaml(read_text(path), what)
        base = root.get("base", root) if isinstance(root, dict) else None
        data = base.get("data") if isinstance(base, dict) else None
        if data is None:
            raise UserError(f"{what} has no base.data, which says what to train on")
        with using({"parts": root.get("parts")}) as problems:
            if problems:
                raise SpecError(problems)
        return dict(data) if isinstance(data, dict) else {"name": data}
    if what in DataSource.all():
        return {"name": what}
    if path.is_dir():
        return {"name": "image_folder", "path": what}
    if path.suffix in SOURCES:
        return {"name": SOURCES[path.suffix], "path": what}
    close = nearest(what, DataSource.all())
    hint = f"; did you mean '{close}'?" if close else ""
    raise UserError(
        f"{what} is not a sweep file, source of data, folder, .npz or .parquet that is there{hint}"
    )


def _print(facts: TrainedFacts, out: Path) -> None:
    from trials.metrics.extractor import read_weights

    chance = f"naming the largest class would be right in {facts.largest_class:.3f}"
    lines = {
        "accuracy": f"{facts.test_accuracy:.3f} of {facts.test_images:,} images kept out; {chance}",
        "floor": f"{facts.floor:.3g} ± {facts.floor_deviation:.2g}: the FID between two halves of "
        "the real images",
        "noise": f"{facts.uniform_noise:.3g}: the FID of uniform noise",
        "sha256": read_weights(out).fingerprint,
        "use it": f"evaluation: {{extractor: {{name: trained, weights: {out}}}}}",
    }
    for name, text in lines.items():
        say(f"  {name:<8}  {text}")
    if facts.test_accuracy < facts.largest_class + BARELY:
        say(
            "warning: it hardly tells these classes apart, and its features say little; "
            "`extractor: {name: random}` is as good",
            err=True,
        )
