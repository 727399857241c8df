"""What the pages of a sweep say of its standings: the best in words, panels, titles of sections."""

from __future__ import annotations

import re

from sweeper.ablation.designs.leave_one_out import LeaveOneOut
from sweeper.service.driving.summary import best_of
from sweeper.service.pages import drawing
from sweeper.service.pages.sections import sections_of
from sweeper.standings import Standings, standings_of
from sweeper.sweepfile import Parameter, Seeds, Toggle
from tests.unit import report_sweeps as small

LOSS = small.PARAMETERS[1]


def panel(standings: Standings, parameter: Parameter = LOSS) -> str:
    return str(drawing.against_parameter(standings, parameter))


def test_the_best_of_an_ablation_is_a_cell_over_its_seeds() -> None:
    ablation = LeaveOneOut.Config(seeds=2)
    sweep = small.sweep(ablation=ablation, parameters=(Parameter("tricks.ema", Toggle()),))
    runs = [
        small.trial(0, 80.0, cell="base", config={"steps": small.STEPS, "seed": 0}),
        small.trial(1, 75.0, cell="without ema", config={"steps": small.STEPS, "seed": 0}),
        small.replicate(2, 0, 1, 81.0),
        small.replicate(3, 1, 1, 76.0),
    ]
    best = best_of(standings_of(sweep, runs))
    assert best["words"] == "fid 75.50 ± 0.71 (2), without ema"
    assert (best["value"], best["trial"], best["confirmed"]) == (75.5, 1, False)
    # Of a search they are others than those that it was chosen on.
    searched = [small.trial(0, 80.0), small.trial(1, 75.0), small.replicate(2, 1, 9, 76.0)]
    searched += [small.replicate(3, 1, 10, 77.0), small.replicate(4, 0, 9, 90.0)]
    best = best_of(standings_of(small.sweep(seeds=Seeds(confirm_top=1)), searched))
    assert best["words"] == "fid 76.50 on fresh seeds by trial 00001"


def test_a_line_of_a_panel_is_the_median() -> None:
    def lines(*values: float) -> list[str]:
        runs = [small.trial(2 * number, value) for number, value in enumerate(values)]
        return re.findall(
            r'class="median".*?y1="([^"]*)"', panel(standings_of(small.sweep(), runs))
        )

    # All in one strip, on one scale: between the two in the middle lies what three have there.
    assert lines(10.0, 20.0, 40.0, 50.0) == lines(10.0, 30.0, 50.0)


def test_a_panel_says_how_many_trials_it_shows() -> None:
    runs = [small.trial(number, 40.0 + number % 50) for number in range(1000)]
    drawn = panel(standings_of(small.sweep(), runs))
    shown = drawn.count("<circle")
    assert shown < 1000
    assert f"FID of {shown} of 1,000 trials against loss" in drawn
    assert "FID of 40 trials against loss" in panel(standings_of(small.sweep(), runs[:40]))


def test_tables_are_called_of_fresh_seeds_where_any_were_run() -> None:
    def title(*runs: object) -> str:
        (tables,) = (s for s in sections_of(standings_of(small.sweep(), runs)) if s.key == "tables")
        return tables.title

    runs = [small.trial(0, 80.0), small.trial(1, 75.0)]
    assert title(*runs) == "Configurations as a table"
    assert title(*runs, small.replicate(2, 1, 9, 76.0)) == "On fresh seeds"
