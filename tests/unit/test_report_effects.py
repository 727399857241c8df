"""The figures of an ablation say what its tables say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sweeper.ablation.dataset import trial_table
from sweeper.ablation.design import Factor
from sweeper.ablation.designs.full_factorial import full_factorial
from sweeper.ablation.designs.leave_one_out import leave_one_out
from sweeper.ablation.effect_table import effect_table
from sweeper.ablation.factorial import factorial_effects
from sweeper.ablation.matrix import outcomes_from_matrix
from sweeper.ablation.search_statistics import Importance
from sweeper.ablation.tables import Table, build_table
from sweeper.report import style
from sweeper.report.effects import effect_plot, effects_of, half_normal_plot
from sweeper.report.mlflow_tables import evidence
from sweeper.standings import standings_of
from sweeper.standings.luck import shares_of
from sweeper.sweepfile import Limits
from sweeper.sweepfile.sections import Seeds
from tests.unit.report_sweeps import replicate, sweep, trial

FACTORS = [Factor(f"tricks.{name}") for name in ("a", "b", "c", "d")]


def cells(planted: dict[str, float], failing: str = "") -> Table:
    """The table of a leave-one-out study on six seeds with planted effects of leaving out."""
    design = leave_one_out(FACTORS)
    rng = np.random.default_rng(0)
    rows = []
    for cell in design.cells:
        for seed in range(6):
            value = 10 + planted.get(cell.label, 0.0) + 0.1 * rng.normal()
            failed = cell.label == failing
            rows.append(
                {
                    "number": len(rows),
                    "state": "failed" if failed else "completed",
                    "cell": cell.label,
                    "values": {**cell.settings, "seed": seed},
                    "config": {"seed": seed},
                    "objective": None if failed else (value,),
                    "symptom": "divergence" if failed else None,
                }
            )
    return build_table(trial_table(rows), design=design, metric="fid")


def factorial(planted: dict[str, float]) -> Table:
    design = full_factorial(FACTORS)
    rng = np.random.default_rng(1)
    values = [
        [
            sum(size for name, size in planted.items() if cell.settings[f"tricks.{name}"])
            + 0.1 * rng.normal()
            for _ in range(5)
        ]
        for cell in design.cells
    ]
    outcomes = outcomes_from_matrix([cell.label for cell in design.cells], range(5), values)
    return effect_table(factorial_effects(design, outcomes), design, metric="fid")


def test_the_effects_are_those_of_the_table_without_its_reference():
    table = cells({"without b": 5.0})
    found = {one.name: one for one in effects_of(table)}
    assert set(found) == {"without a", "without b", "without c", "without d"}
    assert found["without b"].low > 4.5
    assert found["without b"].estimate == pytest.approx(5.0, abs=0.3)
    assert 0 < found["without b"].p <= 1


def test_a_cell_without_any_value_has_no_effect_to_draw():
    assert "without c" not in {one.name for one in effects_of(cells({}, failing="without c"))}


def test_a_table_without_differences_has_no_figure():
    data = trial_table(
        {"number": n, "state": "completed", "values": {"x": n}, "objective": (float(n),)}
        for n in range(4)
    )
    table = build_table(data, metric="fid")
    assert effects_of(table) == []
    assert effect_plot(table, "fid", "minimize") is None
    assert half_normal_plot(table, "fid") is None


def test_the_effect_plot_names_its_reference_and_colours_by_what_is_better():
    table = cells({"without b": 5.0, "without c": -5.0})
    with style.styled():
        for goal, colour in (("minimize", style.BEST), ("maximize", style.GOOD)):
            figure = effect_plot(table, "fid", goal)
            assert figure is not None
            (axes,) = figure.axes
            assert "to full" in axes.get_xlabel()
            names = [label.get_text() for label in axes.get_yticklabels()]
            assert (names[0], names[-1]) == ("without b", "without c")
            largest = next(line for line in axes.lines if list(line.get_ydata()) == [0, 0])
            assert largest.get_color() == colour


def test_the_half_normal_plot_names_what_stands_out():
    table = factorial({"a": 3.0})
    with style.styled():
        figure = half_normal_plot(table, "fid")
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].texts] == ["a"]
    assert half_normal_plot(cells({}), "fid") is None


def test_mlflow_is_told_importances_with_the_seed_noise_beside_them():
    records = [trial(0, 30.0), trial(1, 10.0), trial(2, 12.0), trial(3, 11.0)]
    records += [replicate(4 + i, 1, 1000 + i, 10.0 + i) for i in range(2)]
    spec = sweep(seeds=Seeds(confirm_top=1, replicates=2))
    shares = {"loss": Importance(0.7, 0.5, 0.9, 0.45), "x": Importance(0.3, 0.1, 0.5, 0.45)}
    told = evidence(standings_of(spec, records), shares, {"loss": Importance(0.6, 0.2, 1.0, 0.45)})
    assert told["importances"]["parameter"] == ["loss", "x"]
    assert told["importances"]["fanova"] == [0.6, None]
    assert told["importances"]["ped_anova_low"] == [0.5, 0.1]
    assert told["importances"]["fanova_high"] == [1.0, None]
    assert told["importances"]["note"] == ["", ""]
    variance = np.var([30.0, 10.0, 12.0, 11.0], ddof=1)
    assert told["importances"]["seed_noise"] == pytest.approx([0.5 / variance] * 2)
    assert "best_tenth" not in told  # four trials have no best tenth
    many = [trial(n, float(n + 1)) for n in range(40)]
    told = evidence(standings_of(sweep(limits=Limits(trials=40)), many), {}, {})
    assert set(told) == {"best_tenth"}
    assert told["best_tenth"]["name"] == ["tricks.ema"]
    assert not math.isnan(told["best_tenth"]["low"][0])


def test_copies_of_one_trial_are_no_trials_that_share_its_toggles():
    spec = sweep(limits=Limits(trials=40))
    plain = [trial(n, float(n + 1)) for n in range(24)]
    copies = [trial(n, 0.5, donors=((10, 0),)) for n in range(24, 40)]
    assert shares_of(standings_of(spec, plain + copies)) == shares_of(standings_of(spec, plain))
    assert shares_of(standings_of(spec, plain[:12] + copies)) == ()
