"""`search.try`: configurations of one's own, checked like the rest of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.home import Home
from sweeper.preview import first_points
from sweeper.search.ledger import Ledger
from sweeper.sweepfile import load_sweep, parse_sweep
from sweeper.sweepfile.load import sweep_from_dict

FILE = """
name: tried
base: {data: digits}
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-5, max: 1.0e-2}
  tricks.ema: {toggle: true}
  tricks.ema.decay: {min: 0.9, max: 0.999, when: {tricks.ema: true}}
  tricks.packing: {toggle: true}
  tricks.unrolled: {toggle: true}
  networks.generator.width: {values: [8, 24]}
limits: {trials: 5}
search:
  sampler: random
  try:
"""


def text(*tries: str) -> str:
    return FILE + "".join(f"    - {one}\n" for one in tries)


def test_what_is_given_is_run_first_in_its_order_and_previewed(tmp_path: Path) -> None:
    sweep = parse_sweep(
        text(
            "{optimizer.generator.lr: 1.0e-3, networks.generator.width: 8}",
            "{tricks.ema: true, tricks.ema.decay: 0.99, networks.generator.width: 24}",
        )
    )
    first, budget = first_points(sweep, 4, Home(tmp_path))
    assert budget == 5
    assert first[1]["optimizer.generator.lr"] == 1e-3
    assert first[1]["tricks.ema"] is False
    assert first[2]["tricks.ema.decay"] == 0.99
    assert first[2]["optimizer.generator.lr"] == 2e-4, "as in the base"
    assert sweep_from_dict(sweep.to_dict()) == sweep


def test_a_population_is_bred_from_the_base_and_from_what_is_given_too(tmp_path: Path) -> None:
    near = "{{optimizer.generator.lr: {}, networks.generator.width: 8}}"
    given = text(near.format("1.1e-3"), near.format("1.2e-3"))
    given = given.replace("[8, 24]", "[8, 16]")  # so that the base lies in the space
    sweep = parse_sweep(
        "objective: [{metric: fid}, {metric: recall, goal: maximize}]\n"
        + given.replace("sampler: random", "sampler: nsga2\n  population: 4")
    )
    folder = Home(tmp_path).sweep(sweep.name)
    folder.create()
    ledger = Ledger.open(sweep, folder)
    for _ in range(6):
        trial = ledger.ask()
        ledger.started(trial.number)
        far = float(trial.number)  # the earlier a trial, the better it is
        ledger.complete(trial.number, [far, -far])
    bred = ledger._storage.get_study_system_attrs(ledger._study._study_id)
    assert set(bred["NSGAIISampler:parent:1"]) == {0, 1, 2, 3}


def test_every_problem_is_told_at_once_with_its_line() -> None:
    given = (
        "{optimizer.generator.rl: 1.0e-3, networks.generator.width: 8}",
        "{optimizer.generator.lr: 3, networks.generator.width: 9}",
        "{tricks.ema.decay: 0.99, networks.generator.width: 8}",
        "{optimizer.generator.lr: 1.0e-3}",
        "{networks.generator.width: 24}",
        "{networks.generator.width: 24}",
        "7",
    )
    with pytest.raises(SpecError) as refused:
        parse_sweep(text(*given[:-1]))
    told = {str(problem.path): str(problem) for problem in refused.value.problems}
    at = {f"search.try[{place}]": FILE.count("\n") + place + 1 for place in range(6)}
    for problem in refused.value.problems:
        assert problem.line == at[problem.path[: len("search.try[0]")]], problem
    assert "optimizer.generator.lr" in told["search.try[0].optimizer.generator.rl"]
    assert "is not one of its values" in told["search.try[1].optimizer.generator.lr"]
    assert "is not one of its values" in told["search.try[1].networks.generator.width"]
    assert "only where tricks.ema is True" in told["search.try[2].tricks.ema.decay"]
    assert "leaves networks.generator.width out" in told["search.try[3]"]
    assert "same configuration as search.try[4]" in told["search.try[5]"]
    with pytest.raises(SpecError, match=r"search.try.*a mapping"):
        parse_sweep(text(given[-1]))


def test_tricks_that_exclude_one_another_are_refused() -> None:
    both = text("{tricks.unrolled: true, tricks.packing: true, networks.generator.width: 8}")
    with pytest.raises(SpecError, match="cannot be on together with the rest"):
        parse_sweep(both.replace("packing", "experience_replay"))


def test_an_ablation_has_none_and_neither_has_a_sweep_that_has_begun_without(
    tmp_path: Path,
) -> None:
    ablation = text("{networks.generator.width: 8}").replace(
        "limits: {trials: 5}", "ablation: {design: one_factor}"
    )
    with pytest.raises(SpecError, match="runs the cells of its design"):
        parse_sweep(ablation)
    without = parse_sweep(FILE.replace("  try:\n", ""))
    assert "try" not in without.to_dict()["search"]
    file = tmp_path / "tried.yaml"
    file.write_text(text("{networks.generator.width: 8}"))
    assert without.difference(load_sweep(file)).refused == ("search.try",)
