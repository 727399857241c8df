"""Every command and snippet of README and docs is run, or it is said why that cannot be."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sweeper.cli.main import app, run
from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.sweepfile import load_sweep
from sweeper.tracking import foreign
from sweeper.trial import Evaluation
from tests.documented import (
    ELSEWHERE,
    OF_A_SERVICE,
    PAGES,
    ROOT,
    SNIPPETS_ELSEWHERE,
    Command,
    blocks,
    commands,
    inline,
)
from trials.files import atomic_write

MINE = """\
name: mine
base: {data: digits, steps: 4, batch_size: 16, evaluation: {every: 2, samples: 64}}
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-5, max: 1.0e-2}
  tricks.ema: {toggle: true}
limits: {trials: 8}
"""
TRAINS = ("sweeper run", "sweeper ablate", "sweeper sample", "sweeper train", "sweeper extractor")
"""Commands that train, or need what was trained, for which the quick test has no time; the slow one
runs them."""
SHORT = {"sweeper ablate": ["--set", "ablation.seeds=[0, 1]", "--set", "base.steps=2"]}
"""What the slow test adds to a command that takes twenty minutes as it stands."""
EVERY = [command for page in PAGES for command in commands(page)]
HERE = [command for command in EVERY if not command.elsewhere]


def _named(commands: list[Command]) -> list[str]:
    return [f"{command.page} {command.text}" for command in commands]


def _furnish(place: Path) -> None:
    """Put the files into a folder that the pages speak of."""
    shutil.copytree(ROOT / "search_spaces", place / "search_spaces")
    (place / "mine.yaml").write_text(MINE)
    (mapping,) = (text for text in blocks("docs/import-mlflow.md", "yaml") if "theirs" in text)
    (place / "theirs.yaml").write_text(mapping)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of, and no sweep."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEPER_HOME", str(tmp_path / "sweeps"))
    _furnish(tmp_path)
    return tmp_path


def _finished(place: Path, sweep: Any) -> None:
    """A sweep of the home that has run to its end, without training anything."""
    folder = Home.at(place / "sweeps").sweep(sweep.name)
    folder.create()
    atomic_write(folder.spec_json, json.dumps(sweep.to_dict()))
    ledger = Ledger.open(sweep, folder)
    ledger.plan()
    while len(ledger.standings().trials) < (ledger.budget or 0):
        trial = ledger.ask()
        if trial is None:
            break
        value = 10.0 + trial.number % 7
        ledger.started(trial.number)
        ledger.report(trial.number, Evaluation(2, 1.0, {"fid": value}, protocol={"data": "digits"}))
        ledger.complete(trial.number, [value])


@pytest.fixture(scope="module")
def home_of_the_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the sweeps that the pages have run."""
    place = tmp_path_factory.mktemp("pages")
    _furnish(place)
    _finished(place, load_sweep(place / "mine.yaml"))
    designs = {"ablation_digits": "leave_one_out", "ablation_digits_alone": "add_one_in"}
    for name, design in designs.items():
        changes = [f"name={name}", f"ablation.design={design}", "ablation.seeds=2"]
        _finished(place, load_sweep(place / "search_spaces/ablation_digits.yaml", changes))
    return place / "sweeps"


@pytest.fixture
def finished(place: Path, home_of_the_pages: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with these sweeps in its home, and an MLflow of other people's runs."""
    shutil.copytree(home_of_the_pages, place / "sweeps")
    given = {"learning_rate": "0.1", "bs": "8", "use_ema": "true", "seed": "1", "steps": "5"}
    given |= {"fid_weights": "inception", "num_samples": "5000"}
    runs = [
        {
            "run_id": f"{method}{seed}", "parent": None, "status": "FINISHED",
            "metrics": {"fid": 9.0 + seed}, "params": {**given, "seed": str(seed)},
            "tags": {"method": method}, "started": 1.0, "ended": 2.0,
        }
        for method in ("baseline", "ours") for seed in range(3)
    ]  # fmt: skip
    monkeypatch.setattr(foreign, "find_runs", lambda uri, experiment: runs)
    return place


def _run(command: Command, more: tuple[str, ...] = ()) -> None:
    program, *arguments = command.words
    assert program == "sweeper", f"nothing runs `{command.text}`: say where that is done"
    assert run([*arguments, *more]) == 0, command.text


@pytest.mark.parametrize("page", dict.fromkeys(command.page for command in HERE))
def test_what_a_page_tells_to_type_works(page: str, finished: Path) -> None:
    for command in HERE:
        if command.page == page and not command.text.startswith(TRAINS):
            _run(command)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["README.md", "docs/ablation.md", "docs/extractors.md", "docs/failures.md"]
)
def test_a_page_works_from_its_first_line_to_its_last(page: str, place: Path) -> None:
    if page == "docs/failures.md":
        assert run(["run", "mine.yaml"]) == 0
    for command in HERE:
        if command.page == page:
            more = next((add for start, add in SHORT.items() if command.text.startswith(start)), [])
            _run(command, tuple(more))


SNIPPETS = [
    (page, code)
    for page in PAGES
    if page not in SNIPPETS_ELSEWHERE
    for code in blocks(page, "python")
    if not re.search(r"sweeper\.run|load_model", code)
]
"""Those that train nothing, with their pages."""


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("page", "code"), SNIPPETS, ids=[page for page, _ in SNIPPETS])
def test_a_snippet_of_a_page_runs(page: str, code: str, finished: Path) -> None:
    runpy.run_path(_file(finished, code))


@pytest.mark.slow
@pytest.mark.filterwarnings(
    # Of Ray's and MLflow's own, which a reader's Python does not raise.
    *("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
)
def test_the_snippets_of_the_readme_run_a_sweep_and_load_its_winner(place: Path) -> None:
    run_it, load_it = blocks("README.md", "python")
    names = runpy.run_path(_file(place, run_it))
    result = names["result"]
    assert len(result.frame) == len(result.trials) == 8
    assert str(result).startswith("mine: finished, 8 trials")

    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{place}/sweeps/mlflow.db")
    (experiment,) = (e for e in mlflow.search_experiments() if e.name == "mine")
    runs = mlflow.search_runs([experiment.experiment_id], output_format="list")
    (model,) = {r.data.tags["sweeper.model"] for r in runs if "sweeper.model" in r.data.tags}
    names = runpy.run_path(_file(place, load_it.replace("models:/m-…", model)))
    assert names["images"].shape == (64, 1, 8, 8)


def _file(place: Path, code: str) -> str:
    file = place / "snippet.py"
    file.write_text(code)
    return str(file)


def test_nothing_is_called_impossible_that_no_page_shows() -> None:
    unused = [
        start
        for start in ELSEWHERE
        if not any(re.sub(r"^(\w+=\S* )+", "", c.text).startswith(start) for c in EVERY)
    ]
    assert not unused
    assert {command.page for command in EVERY} >= set(OF_A_SERVICE)
    assert set(SNIPPETS_ELSEWHERE) == {
        page for page in SNIPPETS_ELSEWHERE if blocks(page, "python")
    }


VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
NAMED = [
    command
    for page in PAGES
    for command in (*commands(page), *inline(page))
    if command.text.startswith("sweeper ")
]


@pytest.mark.parametrize("command", NAMED, ids=_named(NAMED))
def test_a_verb_and_the_options_that_a_page_names_exist(command: Command) -> None:
    words = re.split(r"[\s;|]+", command.text.split(" #")[0])[1:]
    if words[0].startswith("-"):
        assert words[0] in ("--version", "--help"), command.text
        return
    assert words[0] in VERBS, command.text
    verb = VERBS[words[0]]
    if hasattr(verb, "commands") and len(words) > 1 and words[1] in verb.commands:
        verb = verb.commands[words[1]]
    known = {name for one in verb.params for name in (*one.opts, *one.secondary_opts)}
    given = [re.split("[=,.…)]", word)[0] for word in words if re.match(r"--?[a-z]", word)]
    assert set(given) <= known | {"--help"}, f"{command.text}: {set(given) - known}"
