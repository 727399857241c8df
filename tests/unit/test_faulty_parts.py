"""Parts that raise or give nonsense while a sweep uses them: one sentence that names them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sweeper.ablation.design import Cell, Design, Factor, arranged
from sweeper.ablation.design_kind import DesignKind
from sweeper.ablation.table_format import TableFormat, rendered
from sweeper.cli.main import run
from sweeper.errors import PartError
from sweeper.home import Home
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.working import trainable
from sweeper.scheduling.working.departure import Departure
from sweeper.scheduling.working.messages import Report, Work
from sweeper.search.ablation_trials import design_of
from sweeper.search.ledger import Ledger
from sweeper.search.sampler import Sampler, Turn
from sweeper.search.stopping_rule import Curve, StoppingRule
from sweeper.sweepfile.domains import Parameter, Range, Toggle
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.sweepfile.space import Draw, walk
from sweeper.testing.table_format import small_table
from sweeper.testing.watched import HEALTHY
from sweeper.trial import Evaluation
from trials.data import open_data
from trials.data.content import Content, in_memory
from trials.data.source import DataSource
from trials.errors import DataError
from trials.health import HealthConfig, Watcher
from trials.health.sign import Sign
from trials.metrics.measure import Measure
from trials.optimization.decay import Decay
from trials.origins import origin_of, raised_by_another
from trials.part import temporary_parts

RATE = Parameter("optimizer.generator.lr", Range(1e-4, 1e-2, log=True))
PATH = RATE.path


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    with temporary_parts():
        yield


def search(folder: Path, **fields: Any) -> Ledger:
    sweep = Sweep(
        name="probe",
        base={"data": "digits", "steps": 100},
        parameters=(RATE,),
        limits=Limits(trials=3),
        **fields,
    )
    place = Home(folder).sweep(sweep.name)
    place.create()
    return Ledger.open(sweep, place)


def asking(folder: Path, propose: Callable[[Sweep], Any]) -> Ledger:
    class Mine(Sampler):
        key = "mine"
        summary = "whatever the test says"

        def propose(self, turn: Turn) -> Draw | None:
            given: Draw | None = propose(self.sweep)
            return given

    return search(folder, search=Mine.Config(start_with_base=False))


@pytest.mark.parametrize(
    ("propose", "told"),
    [
        (
            lambda sweep: {PATH: 0.001},
            "proposes {'optimizer.generator.lr': 0.001} (expected a Draw",
        ),
        (lambda sweep: "lr", "proposes 'lr' (expected a Draw, as `walk` makes it, or None)"),
        (
            lambda sweep: walk(sweep, lambda parameter: 1e9),
            "proposes optimizer.generator.lr = 1000000000.0 (expected distribution: log_uniform, "
            "min: 0.0001, max: 0.01)",
        ),
        (
            lambda sweep: walk(sweep, lambda parameter: float("nan")),
            "proposes optimizer.generator.lr = nan (expected",
        ),
        (
            lambda sweep: Draw({"no.such": 1}, {}),
            "proposes no.such = 1 (expected one of optimizer.generator.lr)",
        ),
    ],
    ids=["a mapping", "a text", "outside", "NaN", "an unknown path"],
)
def test_a_proposal_that_is_no_point_of_the_space(
    tmp_path: Path, propose: Callable[[Sweep], Any], told: str
) -> None:
    ledger = asking(tmp_path, propose)
    with pytest.raises(PartError) as caught:
        ledger.ask()
    assert f"the sampler 'mine' {told}" in str(caught.value)
    assert not ledger.trials(), "nothing of it is in the study"


def test_numbers_of_numpy_are_numbers_of_a_proposal(tmp_path: Path) -> None:
    ledger = asking(tmp_path, lambda sweep: walk(sweep, lambda parameter: np.float32(0.001)))
    trial = ledger.ask()
    assert trial is not None
    assert trial.values == {PATH: float(np.float32(0.001))}
    assert type(trial.values[PATH]) is float


def measured_under(rule: type[StoppingRule], folder: Path) -> tuple[Ledger, int]:
    """A search under a rule, and the number of a trial of it that awaits its verdict."""
    ledger = search(folder, scheduler=rule.Config())
    trial = ledger.ask()
    assert trial is not None
    ledger.started(trial.number)
    ledger.report(trial.number, Evaluation(10, 1.0, {"fid": 3.0}))
    return ledger, trial.number


def test_a_rule_cannot_write_into_the_curves_that_later_verdicts_rest_on(tmp_path: Path) -> None:
    class Mine(StoppingRule):
        key = "mine"
        summary = "writes where it is only shown"

        def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
            for shown in (curves, curves[number]):
                with pytest.raises(TypeError):
                    shown[number] = {}  # type: ignore[index]
            return None

    ledger, number = measured_under(Mine, tmp_path)
    assert ledger.scheduler.verdict(number) is None


@pytest.mark.parametrize("answer", [True, "", 3])
def test_a_verdict_that_is_no_reason(tmp_path: Path, answer: Any) -> None:
    class Mine(StoppingRule):
        key = "mine"
        summary = "whatever the test says"

        def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
            given: str | None = answer
            return given

    ledger, number = measured_under(Mine, tmp_path)
    with pytest.raises(PartError, match=rf"the stopping rule 'mine' says {answer!r} \(expected"):
        ledger.scheduler.verdict(number)


@pytest.mark.parametrize(
    ("cells", "reference", "told"),
    [
        ([("a", False), ("a", True)], "a", "two cells share a label: ['a', 'a']"),
        ([("a", True), ("b", True)], "a", "two cells have the same settings"),
        ([("a", False), ("b", True)], "z", "its reference is 'z', no cell"),
        ([("a", False), ("b", "purple")], "a", "tricks.ema = 'purple' is not one of its levels"),
        ([], "a", "has fewer than two cells"),
        (None, "a", " returned None (expected a Design)"),
    ],
)
def test_a_design_that_is_none(
    cells: list[tuple[str, Any]] | None, reference: str, told: str
) -> None:
    class Mine(DesignKind):
        key = "mine"
        summary = "whatever the test says"

        def arrange(self, factors: Sequence[Factor], feasible: Any = None) -> Design:
            if cells is None:
                return None  # type: ignore[return-value]
            made = [Cell(label, {factors[0].path: level}) for label, level in cells]
            return arranged(self.key, factors, made, feasible, reference)

    sweep = Sweep(
        name="probe",
        base={"data": "digits"},
        parameters=(Parameter("tricks.ema", Toggle()),),
        ablation=Mine.Config(),
    )
    with pytest.raises(PartError) as caught:
        design_of(sweep)
    assert str(caught.value).startswith("the ablation design 'mine'")
    assert told in str(caught.value)


def test_a_format_that_gives_nothing() -> None:
    class Mine(TableFormat):
        key = "mine"
        summary = "nothing"
        extension = ".mine"

        def render(self, table: Any) -> str:
            return None  # type: ignore[return-value]

    with pytest.raises(PartError, match=r"the table format 'mine' gives None \(expected text or"):
        rendered(small_table("a", "b"), "mine")


def test_a_sign_whose_evidence_is_no_numbers() -> None:
    class Mine(Sign):
        key = "mine"
        summary = "always there"
        advice = "None."
        source = "none"

        def evidence(self, history: Any) -> Any:
            return True

        def note(self, evidence: Any) -> str:
            return "There."

    watcher = Watcher(HealthConfig())
    with pytest.raises(TypeError, match=r"the sign 'mine' gives True as evidence \(expected num"):
        watcher.observe(HEALTHY[0])


@pytest.mark.parametrize("value", [None, "good", [1.0]])
def test_a_measure_whose_value_is_no_number(value: Any) -> None:
    mine = measure_of(value)
    with pytest.raises(TypeError, match=r"the measure 'mine' gives .* \(expected a float\)"):
        mine.values(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [3, np.float32(3), torch.tensor(3.0)])
def test_a_measure_of_one_number_in_another_form(value: Any) -> None:
    values = measure_of(value).values(None)  # type: ignore[arg-type]
    assert values == {"mine": 3.0}
    assert type(values["mine"]) is float


def measure_of(value: Any) -> Measure:
    class Mine(Measure):
        key = "mine"
        summary = "whatever the test says"
        better = "lower"
        paper = "none"

        def compute(self, seen: Any) -> float:
            given: float = value
            return given

    return Mine(Mine.Config())


@pytest.mark.parametrize("factor", [float("nan"), -0.5, 1.5, "1", None])
def test_a_decay_outside_its_bounds(factor: Any) -> None:
    class Mine(Decay):
        key = "mine"
        summary = "whatever the test says"

        @staticmethod
        def factor(progress: float, floor: float) -> float:
            given: float = factor
            return given

    with pytest.raises(ValueError, match=r"the decay 'mine' leaves .* at a progress of 0\.5"):
        Mine.left(0.5, 0.0)


def test_data_of_another_shape_than_declared() -> None:
    class Mine(DataSource):
        key = "mine"
        summary = "three numbers for two"
        items = "point"
        labelled = False

        def item_shape(self) -> tuple[int, ...]:
            return (2,)

        def inspections(self) -> Sequence[Callable[[], object]]:
            return ()

        def content(self, cache: Path | None) -> Content:
            return in_memory(np.zeros((8, 3), np.float32), None, holdout=0.0)

    with pytest.raises(DataError, match=r"data \(mine\): yields items of \(3,\), and declares \("):
        open_data(Mine.Config())


def test_what_a_part_of_anothers_raises_is_told_with_its_place() -> None:
    class Mine(Decay):
        key = "mine"
        summary = "none"

        @staticmethod
        def factor(progress: float, floor: float) -> float:
            raise KeyError("nope")

    with pytest.raises(KeyError) as caught:
        Mine.left(0.5, 0.0)
    told = str(raised_by_another(caught.value))
    assert told.startswith(f"KeyError: 'nope', in Mine.factor of {origin_of(Mine)} (test_faulty_p")


def test_what_we_raise_ourselves_is_nobody_elses() -> None:
    try:
        Decay.named("cosine").left("half", 0.0)  # type: ignore[arg-type]
    except TypeError as error:
        fault = error
    assert raised_by_another(fault) is None


def test_a_part_that_ends_the_process_fails_its_trial_and_a_signal_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine(Decay):
        key = "mine"
        summary = "none"

        @staticmethod
        def factor(progress: float, floor: float) -> float:
            sys.exit(3)

    monkeypatch.setattr(trainable, "_here", Place)
    worker: Any = object.__new__(trainable.Worker)
    worker._work, worker._departure = Work(0, str(tmp_path), str(tmp_path), {}), Departure()
    worker._mark, worker._training, worker._longest = None, None, 0.0
    worker._place = SimpleNamespace(room=tmp_path, folder=tmp_path, publish=bool, say=bool)
    worker._advance = lambda place: Mine.left(0.5, 0.0)
    failure = Report.read(worker.step()[trainable.REPORT]).failure
    assert failure is not None
    assert failure.cause == "error"
    assert failure.reason.startswith(f"SystemExit: 3, in Mine.factor of {origin_of(Mine)} (")
    worker._departure.ends_process = True  # while the part was at work
    with pytest.raises(SystemExit):
        worker.step()
    worker._departure, worker._advance = Departure(), sys.exit  # of nobody's part
    with pytest.raises(SystemExit):
        worker.step()


def test_a_stored_sweep_is_listed_and_reported_without_the_parts_of_its_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with temporary_parts():
        ledger = asking(tmp_path, lambda sweep: walk(sweep, lambda parameter: 0.001))
        folder = Home(tmp_path).sweep("probe")
        folder.spec_json.write_text(json.dumps(ledger.sweep.to_dict()))
        trial = ledger.ask()
        assert trial is not None
        ledger.started(trial.number)
        ledger.report(trial.number, Evaluation(100, 1.0, {"fid": 3.0}))
        ledger.complete(trial.number, [3.0])
    assert "mine" not in Sampler.all()
    for command in (["ls"], ["status", "probe"], ["top", "probe"], ["table", "probe"]):
        assert run([*command, "--home", str(tmp_path)]) == 0
        assert "3" in capsys.readouterr().out
    assert run(["report", "probe", "--home", str(tmp_path)]) == 0
    assert "mine" not in Sampler.all(), "its stand-in is none to be named by a file"
