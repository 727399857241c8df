"""What a person is told of a trial that was stopped: terminal, status, MLflow's tags and note."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.cli.inspect import _print_about
from sweeper.cli.live import Lines, Progress, _picture
from sweeper.cli.main import run
from sweeper.home import Home
from sweeper.report.summary import tiles
from sweeper.scheduling.recording.events import TrialEnded, TrialEvaluated, TrialStarted
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.tpe import Tpe
from sweeper.standings import standings_of
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.tracking.backlog import Backlog
from sweeper.tracking.descriptions import is_somebodys
from sweeper.tracking.names import NOTE_TAG
from sweeper.tracking.outbox import Outbox
from sweeper.tracking.trial_run import tags_of
from sweeper.trial import Evaluation, Symptom, Trial
from trials.config import default_at
from trials.health import Sign

REASON = "Two samples differ 12% as much as two real images do. (step 400)"
STARTED = TrialStarted(3, "search", None, {}, 800, False, 1, 0.0)
NOTE = "samples are 0.2 times as far apart as real images"
COLLAPSE = Symptom("mode_collapse", 400, {"diversity": 0.2}, "", NOTE)
SEEN = TrialEvaluated(3, 31.5, Evaluation(400, 1.0, {"fid": 31.5}, symptoms=(COLLAPSE,)))
STOPPED = TrialEnded(
    3,
    "pruned",
    "mode_collapse",
    REASON,
    1.0,
    Trial(3, "pruned", evaluations=(SEEN.evaluation,), cause="mode_collapse", reason=REASON),
)


@pytest.fixture
def sweep() -> Sweep:
    return Sweep(
        name="probe",
        base={"steps": 800},
        parameters=(Parameter("x", Range(0.0, 1.0)),),
        search=Tpe.Config(start_with_base=False),
        limits=Limits(trials=2),
    )


def test_a_log_line_says_what_was_seen_and_why_it_was_stopped(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Lines(sweep)
    for event in (STARTED, SEEN, STOPPED):
        lines(event)
    said = capsys.readouterr().out
    assert f"trial 00003 step 400: mode_collapse: {NOTE}" in said
    assert f"trial 00003 pruned, mode_collapse: {REASON}" in said


def test_a_take_over_is_told_wherever_people_read(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Lines(sweep)
    reason = "goes on from trial 00002 as it was at step 20"
    for event in (STARTED, TrialEnded(3, "retrying", None, reason, 1.0)):
        lines(event)
    assert f"trial 00003 retrying: {reason}; " in capsys.readouterr().out
    assert lines.progress.explained == f"trial 00003 retrying: {reason}"
    own = "was to take weights over at step 40, and went on from its own; the last of 2 times"
    for donors, tag, told in (
        (((20, 2),), "00002 at step 20", "took the weights of 00002 over at step 20"),
        (((20, 2), (40, 3)), "00002 at step 20, its own at step 40", own),
    ):
        heir = Trial(3, "completed", objective=(7.7,), donors=donors)
        assert tags_of(heir, sweep, {})["sweeper.took_over"] == tag
        assert f"({told})" in tiles(standings_of(sweep, [heir]))
        _print_about("probe", heir, Path("nowhere"), "")
        assert f"weights  {told}. " in capsys.readouterr().out


def test_the_live_view_shows_a_symptom_at_once_and_the_reason_of_the_last_stop(
    sweep: Sweep,
) -> None:
    from rich.console import Console

    progress, console = Progress(sweep), Console(width=120)
    progress.hear(STARTED)
    progress.hear(SEEN)
    with console.capture() as seen:
        console.print(_picture(progress, 120))
    assert "step 400/800  fid 31.5  mode_collapse" in seen.get()
    assert NOTE in seen.get()
    progress.hear(STOPPED)
    with console.capture() as seen:
        console.print(_picture(progress, 120))
    assert REASON in seen.get()


def test_status_counts_stops_and_the_steps_that_they_saved(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Home(tmp_path).sweep("probe")
    folder.create()
    folder.spec_json.write_text(json.dumps(sweep.to_dict()))
    ledger = Ledger.open(sweep, folder)
    for number, symptom in enumerate(("mode_collapse", "worker_died")):
        ledger.ask()
        ledger.started(number)
        ledger.report(number, Evaluation(400, 1.0, {"fid": 31.5}))
        end = ledger.prune if symptom in Sign.all() else ledger.fail
        end(number, symptom, REASON)
    assert run(["status", "probe", "--home", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "1 × mode_collapse, 400 steps saved" in said
    assert "1 × worker_died\n" in said  # lost, not saved


def test_steps_are_saved_of_trainings_of_the_default_length_too(tmp_path: Path) -> None:
    stopped = Trial(
        0,
        "pruned",
        config={"data": "digits"},
        evaluations=(SEEN.evaluation,),
        cause="mode_collapse",
    )
    default = default_at({"data": "digits"}, "steps")
    spec = Sweep(name="probe", base={"data": "digits"}, parameters=())
    (stop,) = standings_of(spec, [stopped]).stops
    assert (stop.cause, stop.steps) == ("mode_collapse", default - 400)


def test_mlflow_has_a_symptom_as_a_tag_at_once_and_the_explanation_as_a_note(
    sweep: Sweep, tmp_path: Path
) -> None:
    folder = Home(tmp_path).sweep("probe")
    folder.create()
    ledger = Ledger.open(sweep, folder)
    ledger.ask()
    ledger.started(0)
    with Outbox(folder.outbox) as outbox:
        recorder = Recorder(sweep, folder, outbox)
        recorder.trial_started(Trial(0, "running"))
        ledger.report(0, SEEN.evaluation)
        recorder.evaluated(0, SEEN.evaluation)
        assert json.loads(_column(folder.outbox, "tags"))["sweeper.symptom.mode_collapse"] == "400"
        ledger.prune(0, "mode_collapse", REASON)
        recorder.trial_ended(ledger.trial(0))
        assert json.loads(_column(folder.outbox, "end_tags"))["sweeper.symptom"] == "mode_collapse"
    note = _column(folder.outbox, "end_note")
    for part in (REASON, Sign.all()["mode_collapse"].summary, Sign.all()["mode_collapse"].advice):
        assert part in note


def _column(file: Path, name: str) -> str:
    """What the outbox holds of trial 0."""
    with closing(sqlite3.connect(file)) as database:
        [[text]] = database.execute(f"SELECT {name} FROM runs WHERE number = 0")
    return str(text)


def _description(file: Path) -> str:
    """What MLflow is to show of trial 0, known for ours."""
    with Backlog(file) as backlog:
        run = backlog.run(0)
    assert run is not None
    assert not is_somebodys(run.tags)
    return run.tags[NOTE_TAG]


def test_a_symptom_that_stops_nothing_is_explained_while_the_trial_runs_and_after_it(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Home(tmp_path).sweep("probe")
    folder.create()
    folder.spec_json.write_text(json.dumps(sweep.to_dict()))
    ledger = Ledger.open(sweep, folder)
    ledger.ask()
    ledger.started(0)
    told = (NOTE, Sign.all()["mode_collapse"].summary, Sign.all()["mode_collapse"].advice)
    with Outbox(folder.outbox) as outbox:
        recorder = Recorder(sweep, folder, outbox)
        recorder.trial_started(Trial(0, "running"))
        ledger.report(0, SEEN.evaluation)
        recorder.evaluated(0, SEEN.evaluation)
        at_once = _description(folder.outbox)
        swings = Symptom("oscillation", 800, {}, "", "samples jump")
        evaluation = Evaluation(800, 2.0, {"fid": 30.0}, symptoms=(swings,))
        ledger.report(0, evaluation)
        recorder.evaluated(0, evaluation)
        later = _description(folder.outbox)
        assert "samples jump" in later
        ledger.complete(0, [30.0])
        recorder.trial_ended(ledger.trial(0))
    for note in (at_once, later, _description(folder.outbox)):
        for part in told:
            assert part in note
    assert run(["show", "probe", "0", "--home", str(tmp_path)]) == 0
    assert f"seen     mode_collapse at step 400: {NOTE}" in capsys.readouterr().out
