"""Other people's entries in a study, and other people's homes: seen, named, and without effect."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from sweeper.cli.main import run
from sweeper.errors import AnotherHome
from sweeper.home import Home, SweepFolder
from sweeper.results import write_dataset_of
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.recording.events import Event, Noted
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.run import run as run_sweep
from sweeper.scheduling.working.messages import Report
from sweeper.search.ledger import Ledger
from sweeper.search.looking import read_all
from sweeper.sweepfile import parse_sweep
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation
from tests.fakes import next_trial

SEARCH = parse_sweep("""
name: visited
base: {data: digits, loss: hinge, steps: 10, seed: 0}
parameters:
  optimizer.generator.lr: {min: 1.0e-4, max: 1.0e-2}
  batch_size: {values: [16, 32]}
  tricks.ema: {toggle: true}
  tricks.ema.decay: {min: 0.9, max: 0.99}
  tricks.r1: {toggle: true}
search: {sampler: random}
limits: {trials: 3}
seeds: {confirm_top: 1, replicates: 2}
""")
ABLATION = parse_sweep("""
name: visited
base: {data: digits, steps: 10, seed: 0}
parameters: {tricks.ema: {toggle: true}}
ablation: {design: leave_one_out, seeds: 2}
""")


def folder_of(home: Path, sweep: Sweep) -> SweepFolder:
    folder = Home(home).sweep(sweep.name)
    folder.create()
    folder.spec_json.write_text(json.dumps(sweep.to_dict()))
    return folder


def optunas_own(folder: SweepFolder) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder.study_journal)))
    return optuna.load_study(study_name="visited", storage=storage)


def play(folder: SweepFolder, sweep: Sweep, most: int = 99) -> list[Event]:
    """A driver's run whose trainings take no time; what it has told."""
    heard: list[Event] = []
    ledger = Ledger.open(sweep, folder)
    play_on(Conductor(sweep, folder, ledger, Recorder(sweep, folder, None), heard.append), most)
    return heard


def play_on(conductor: Conductor, most: int = 99) -> None:
    for _ in range(most):
        if conductor.finished:
            break
        work = next_trial(conductor)
        if work is None:
            continue
        conductor.started(work.number)
        value = 10.0 + work.config["seed"] + work.number / 100
        evaluation = Evaluation(work.config["steps"], 1.0, {"fid": value})
        conductor.heard(work.number, Report(evaluations=(evaluation,), finished=True))


@pytest.mark.parametrize("moment", ["handed out", "started", "evaluated", "died"])
def test_a_trial_that_others_have_ended_is_stopped_and_another_one_takes_its_place(
    moment: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, SEARCH)
    ledger = Ledger.open(SEARCH, folder)
    conductor = Conductor(
        SEARCH, folder, ledger, Recorder(SEARCH, folder, None), lambda event: None
    )
    work = next_trial(conductor)
    assert work is not None
    evaluation = Evaluation(5, 1.0, {"fid": 1.0})
    if moment != "handed out":
        conductor.started(work.number)
    if moment in ("evaluated", "died"):
        assert not conductor.heard(work.number, Report(evaluations=(evaluation,)))
    optunas_own(folder).tell(work.number, 0.0)
    if moment == "handed out":
        conductor.started(work.number)
    if moment == "died":
        conductor.died(work.number, "the kernel killed it")
    else:
        assert conductor.heard(work.number, Report(evaluations=(evaluation,), finished=True))
    play_on(conductor)
    standings, [told] = read_all(folder)
    assert [trial.role for trial in standings.trials] == [
        "base",
        "search",
        "search",
        "replicate",
        "replicate",
    ]
    assert told.words == "ended by another program (complete), or copied from a trial"
    assert standings.best is not None
    assert standings.best.trial.number != work.number


def best_of_others(study: optuna.Study, value: float = 0.001) -> None:
    path = "optimizer.generator.lr"
    study.add_trial(
        create_trial(
            params={path: 1e-3}, distributions={path: FloatDistribution(1e-4, 1e-2)}, value=value
        )
    )


def test_what_others_have_added_is_named_by_status_and_decides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path, SEARCH)
    play(folder, SEARCH, most=1)
    study = optunas_own(folder)
    best_of_others(study)
    study.ask()
    study.add_trial(study.trials[0])
    study.tell(study.ask(), 0.0)
    play(folder, SEARCH)
    standings, foreign = read_all(folder)
    assert [trial.role for trial in standings.trials] == [
        "base",
        "search",
        "search",
        "replicate",
        "replicate",
    ]
    assert [trial.number for trial in standings.trials] == [0, 5, 6, 7, 8]
    assert standings.trials[3].of == 0
    assert standings.best is not None
    assert standings.best.trial.number == 0
    assert write_dataset_of(folder, standings).num_rows == 5
    assert [(one.number, one.state) for one in foreign] == [
        (1, "complete"),
        (2, "running"),
        (3, "complete"),
        (4, "complete"),
    ]
    assert run(["status", "visited", "--home", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "5 completed; 3 of 3 over" in said
    assert "foreign  00001  added by another program (complete)" in said
    assert "foreign  00002  asked for by another program, and only that program can end it" in said
    assert "foreign  00003  ended by another program (complete), or copied from a trial" in said
    assert run(["status", "visited", "--home", str(tmp_path), "--json"]) == 0
    assert [entry["number"] for entry in json.loads(capsys.readouterr().out)["foreign"]] == [
        1,
        2,
        3,
        4,
    ]
    assert optunas_own(folder).trials[2].state == TrialState.RUNNING


def test_what_is_enqueued_counts_in_the_budget_when_it_is_run_and_not_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path, SEARCH)
    play(folder, SEARCH, most=1)
    for rate in (1e-3, 2e-3, 3e-3):
        optunas_own(folder).enqueue_trial({"optimizer.generator.lr": rate})
    play(folder, SEARCH)
    standings, foreign = read_all(folder)
    searched = [trial for trial in standings.trials if trial.role == "search"]
    assert [trial.values["optimizer.generator.lr"] for trial in searched] == [1e-3, 2e-3]
    assert [(one.number, one.state) for one in foreign] == [(3, "waiting")]
    assert run(["status", "visited", "--home", str(tmp_path)]) == 0
    assert "foreign  00003  enqueued, and not run yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (
            {"tricks.emo": True},
            "'tricks.emo' is not a parameter of this sweep; did you mean 'tricks.ema",
        ),
        ({"batch_size": 17}, "batch_size: 17 is not one of its values (values: [16, 32])"),
        (
            {"optimizer.generator.lr": 1.0},
            "optimizer.generator.lr: 1.0 is not one of its values (dist",
        ),
        ({"optimizer.generator.lr": float("nan")}, "optimizer.generator.lr: nan is not one of"),
        ({"tricks.ema": 1}, "tricks.ema: 1 is not one of its values (toggle: True)"),
        ({"tricks.ema.decay": 0.95}, "tricks.ema.decay applies only where tricks.ema is True"),
    ],
)
def test_a_point_that_does_not_fit_is_refused_in_words_and_the_search_goes_on(
    point: dict[str, object], words: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, SEARCH)
    play(folder, SEARCH, most=1)
    optunas_own(folder).enqueue_trial(point)
    told = [event.message for event in play(folder, SEARCH) if isinstance(event, Noted)]
    standings, [refused] = read_all(folder)
    assert len([trial for trial in standings.trials if trial.role != "replicate"]) == 3
    assert (refused.number, refused.state) == (1, "refused")
    assert words in refused.words
    assert told == [f"entry 1 of the study: {refused.words}"]
    assert not [event for event in play(folder, SEARCH) if isinstance(event, Noted)]


def test_a_point_that_carries_what_only_a_driver_writes_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, SEARCH)
    play(folder, SEARCH, most=1)
    study = optunas_own(folder)
    study.enqueue_trial({"batch_size": 16}, user_attrs=study.trials[0].user_attrs)
    study.enqueue_trial({"batch_size": 32}, user_attrs={"note": "my guess"})
    play(folder, SEARCH)
    standings, [refused] = read_all(folder)
    assert "it has attempts, config, end, role" in refused.words
    assert standings.trials[1].number == 2
    assert standings.trials[1].values["batch_size"] == 32


def test_an_ablation_run_again_refuses_an_enqueued_trial_and_has_the_same_cells(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path, ABLATION)
    play(folder, ABLATION)
    before = read_all(folder)[0].trials
    study = optunas_own(folder)
    study.ask()
    best_of_others(study)
    study.enqueue_trial({"tricks.ema": True})
    told = [event.message for event in play(folder, ABLATION) if isinstance(event, Noted)]
    standings, foreign = read_all(folder)
    assert standings.trials == before
    assert len(before) == 4
    assert [one.state for one in foreign] == ["running", "complete", "refused"]
    [words] = told
    assert "an ablation runs the cells of its design" in words


def test_a_home_to_which_the_study_does_not_belong_keeps_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    play(folder_of(tmp_path / "first", SEARCH), SEARCH, most=1)
    other = Home(tmp_path / "other")
    with pytest.raises(AnotherHome, match=r"driven from .*first/visited"):
        run_sweep(SEARCH, other)
    assert other.names() == []
