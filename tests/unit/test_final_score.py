"""The winner's final score: fresh noise, its own sample count, once, and never lost."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.cli.main import run
from sweeper.cli.run_summary import print_results
from sweeper.home import Home
from sweeper.report.sections import winner
from sweeper.scheduling import run as run_module
from sweeper.scheduling.final_score import Scoring
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.tune_loop import Tuning
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.tpe import Tpe
from sweeper.standings import standings_of
from sweeper.standings.kept import to_be_scored
from sweeper.standings.usage import Usage
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.testing.small import small_config
from sweeper.trial import Evaluation, FinalScore
from tests.unit import report_sweeps
from trials.evaluation.final_score import final_score
from trials.state.names import GENERATOR
from trials.trainer import Training, train

SCORE = FinalScore(4, {"fid_5k": 2.5}, {"fake_count": "5000"})
SWEEP = Sweep(
    name="probe",
    base={"steps": 4},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Tpe.Config(start_with_base=False),
    limits=Limits(trials=2),
)


@pytest.mark.parametrize(
    "changes",
    [
        {"tricks": {"ema": True}},
        {"tricks": {"truncation": True}},
        {"evaluation": {"batch_statistics": "standing", "standing_batches": 2}},
        {"conditioning": "projection"},
    ],
)
def test_the_kept_generator_is_measured_on_noise_that_chose_nothing(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    evaluation = {"final_samples": 16, **changes.get("evaluation", {})}
    result = train(small_config(**{**changes, "evaluation": evaluation}), folder=tmp_path)
    assert result.best is not None
    score = final_score(tmp_path)
    assert score.step == result.best.step
    # As many samples of the same weights, so that only the noise is another.
    assert score.metrics["fid_16"] == pytest.approx(result.best.metrics["fid"], rel=0.5)
    assert score.metrics["fid_16"] != result.best.metrics["fid"]
    assert score.protocol == dict(result.best.protocol)
    assert final_score(tmp_path) == score


def test_a_final_score_names_its_own_sample_count(tmp_path: Path) -> None:
    config = small_config(evaluation={"final_samples": 1000, "metrics": ["fid", "class_kl"]})
    training = Training(config, tmp_path)
    training.advance()
    told: list[str] = []
    score = final_score(tmp_path, tell=told.append)
    images = [said for said in told if said.endswith("of 1,000 images")]
    assert images == [f"{count:,} of 1,000 images" for count in (256, 512, 768, 1000)]
    assert set(score.metrics) == {"fid_1k", "class_kl_1k"}
    assert score.protocol["fake_count"] == "1000"
    assert training.history[-1].protocol["fake_count"] == "16"


def finished(home: Home, sweep: Sweep = SWEEP) -> Ledger:
    """A search of two trials, the second of which won and has kept a generator."""
    folder = home.sweep("probe")
    folder.create()
    ledger = Ledger.open(sweep, folder)
    for number, value in enumerate((3.0, 2.0)):
        asked = ledger.ask()
        assert asked is not None
        assert asked.number == number
        ledger.started(number)
        ledger.report(number, Evaluation(4, 10.0, {"fid": value}))
        ledger.complete(number, [value])
    folder.trial(1).mkdir(parents=True)
    (folder.trial(1) / GENERATOR).touch()
    return ledger


def scoring(home: Home, ledger: Ledger, sweep: Sweep = SWEEP) -> Scoring:
    folder = home.sweep("probe")
    recorder = Recorder(sweep, folder, None)
    return Scoring(sweep, folder, ledger, recorder, home.cache, lambda event: None)


def test_a_score_is_due_until_the_ledger_has_it_and_outlives_the_driver(tmp_path: Path) -> None:
    home = Home(tmp_path)
    ledger = finished(home)
    assert scoring(home, ledger).due() == [1]
    # A driver that was killed before the ledger had the score finds it due again.
    again = Ledger.open(SWEEP, home.sweep("probe"))
    assert scoring(home, again).due() == [1]
    again.scored(1, SCORE)
    assert scoring(home, again).due() == []
    later = Ledger.open(SWEEP, home.sweep("probe"))
    assert [record.final for record in later.trials()] == [None, SCORE]
    assert later.trial(1).final == SCORE


@pytest.mark.parametrize(("by", "status"), [("interrupted", 130), ("cancelled", 0), ("stopped", 0)])
def test_a_sweep_that_was_to_end_before_its_final_score_is_not_called_finished(
    by: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    finished(home)

    def asked_to_end(tuning: Tuning) -> None:
        if by == "interrupted":
            signal.raise_signal(signal.SIGINT)
        tuning.now = by == "cancelled"

    monkeypatch.setattr(Tuning, "run", asked_to_end)
    outcome = run_module.run(SWEEP, home, record=False, report=False)
    assert (outcome.state, outcome.exit_code) == (by, status)
    assert outcome.message == (
        "the final score of trial 00001 is not measured yet; run the sweep again to measure it"
    )

    Ledger.open(SWEEP, home.sweep("probe")).scored(1, SCORE)
    assert run_module.run(SWEEP, home, record=False, report=False).state == "finished"


@pytest.mark.parametrize("limit", [{"cpu_hours": 1e-9}, {"failed": 1}])
def test_a_limit_holds_off_no_final_score(
    limit: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = replace(SWEEP, limits=Limits(trials=3, **limit))
    home = Home(tmp_path)
    ledger = finished(home, sweep)
    asked = ledger.ask()
    assert asked is not None
    ledger.started(asked.number)
    ledger.use(Usage(cpu_seconds=1.0))
    ledger.fail(asked.number, "error", "ValueError: no")

    def without_ray(tuning: Tuning) -> None:
        tuning._end_start()
        tuning._afterwards(lambda: False)

    monkeypatch.setattr(Tuning, "_run", without_ray)
    monkeypatch.setattr(Scoring, "run", lambda one, interrupted: one._ledger.scored(1, SCORE))
    outcome = run_module.run(sweep, home, record=False, report=False)
    assert (outcome.state, outcome.message) == ("finished", "")


def test_a_sweep_that_only_lacks_its_final_score_is_listed_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*verb: str) -> str:
        assert run([*verb, "--home", str(tmp_path)]) == 0
        return capsys.readouterr().out

    ledger = finished(Home(tmp_path))
    Home(tmp_path).sweep("probe").spec_json.write_text(json.dumps(SWEEP.to_dict()))
    assert "finished, no final score" in said("ls")
    assert json.loads(said("status", "probe", "--json"))["unscored"] == [1]
    assert (
        "final    the final score of trial 00001 is not measured yet; `sweeper run` measures it"
    ) in said("status", "probe")
    ledger.scored(1, SCORE)
    assert "final score" not in said("ls") + said("status", "probe")


def test_nothing_is_due_where_no_generator_was_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    ledger = finished(home)
    (home.sweep("probe").trial(1) / GENERATOR).unlink()
    assert scoring(home, ledger).due() == []


def test_a_winner_on_fresh_seeds_is_scored_beside_the_searchs_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = report_sweeps.sweep()
    records = [
        *(report_sweeps.trial(number, value) for number, value in enumerate((5.0, 2.0, 2.1))),
        *(report_sweeps.replicate(3 + seed, 1, seed, 9.0 + seed / 9) for seed in range(5)),
        *(report_sweeps.replicate(8 + seed, 2, seed, 2.2 + seed / 9) for seed in range(5)),
    ]
    assert [trial.number for trial in to_be_scored(standings_of(sweep, records))] == [1, 2]
    assert [trial.number for trial in to_be_scored(standings_of(sweep, records[:3]))] == [1]
    ended = [replace(trial, final=SCORE) if trial.number < 3 else trial for trial in records]
    print_results(standings_of(sweep, ended), {}, "")
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("final")]
    assert [line.partition(" on fresh")[0].split(", ")[1].rstrip(",") for line in told] == [
        "an earlier winner",
        "the best of the search",
        "the winner",
    ]


def test_the_model_that_is_logged_is_of_the_winner_on_fresh_seeds() -> None:
    sweep = report_sweeps.sweep()
    records = [
        *(report_sweeps.trial(number, value) for number, value in enumerate((2.0, 2.1))),
        *(report_sweeps.replicate(2 + seed, 0, seed, 9.0 + seed / 9) for seed in range(5)),
        *(report_sweeps.replicate(7 + seed, 1, seed, 2.2 + seed / 9) for seed in range(5)),
    ]
    best = [standings_of(sweep, records[:upto]).best for upto in (0, 2, 12)]
    assert [standing and standing.trial.number for standing in best] == [None, 0, 1]


def test_the_report_shows_it_with_the_winner() -> None:
    won = replace(report_sweeps.trial(0, 2.0), final=SCORE)
    sweep = report_sweeps.sweep()
    page = winner(standings_of(sweep, [won]))
    assert "<code>fid_5k</code> 2.500" in page
    assert "fresh noise" in page
    assert "fresh noise" not in winner(
        standings_of(report_sweeps.sweep(), [replace(won, final=None)])
    )
