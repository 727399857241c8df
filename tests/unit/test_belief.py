"""What is believed of a parameter: the paper's formula, its fading, and what a file may say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeper.errors import SpecError
from sweeper.home import Home
from sweeper.search.belief import Belief, weighted
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile import parse_sweep
from sweeper.sweepfile.domains import Parameter, Range, Toggle, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation

LR = Parameter("lr", Range(1e-5, 1e-1, log=True))
SIZE = Parameter("size", Values((16, 32, 64)))
ON = Parameter("tricks.ema", Toggle())


def test_candidates_are_weighted_by_the_papers_formula() -> None:
    """α(x) π(x)^(β/n) with the expected improvement of TPE, by its definition in float64."""
    rng = np.random.default_rng(0)
    good, bad, prior = rng.uniform(0.01, 5, (3, 50))
    share, beta, trials = 0.15, 10.0, 7
    # Bergstra et al. 2011: EI ∝ (γ + g/l (1 − γ))⁻¹; arXiv 2204.11051: α π^(β/n).
    direct = [
        1 / (share + (1 - share) * other / best) * p ** (beta / trials)
        for best, other, p in zip(good, bad, prior, strict=True)
    ]
    ours = weighted(np.log(good), np.log(bad), np.log(prior), share=share, exponent=beta / trials)
    np.testing.assert_allclose(np.exp(ours), direct, rtol=1e-13)


def test_a_belief_fades_as_trials_come_in() -> None:
    good, bad = np.log([1.0, 4.0]), np.log([1.0, 1.0])
    against = np.log([0.9, 0.1])
    chosen = [
        int(np.argmax(weighted(good, bad, against, share=0.1, exponent=10 / trials)))
        for trials in (1, 5, 1000)
    ]
    assert chosen == [0, 0, 1]


def test_a_belief_is_a_density_on_the_scale_that_is_drawn_on() -> None:
    belief = Belief(center=1e-3, spread=0.1)
    # A standard deviation is a tenth of four decades.
    away = belief.log_density(LR, 10 ** (-3 + 0.4)) - belief.log_density(LR, 1e-3)
    assert away == pytest.approx(-0.5)
    drawn = np.log10([belief.draw(LR, np.random.default_rng(seed)) for seed in range(400)])
    assert np.mean(drawn) == pytest.approx(-3, abs=0.1)
    assert np.std(drawn) == pytest.approx(0.4, abs=0.05)
    weights = Belief(weights=(1, 3, 0))
    ratio = weights.log_density(SIZE, 32) - weights.log_density(SIZE, 16)
    assert ratio == pytest.approx(np.log(3))
    assert weights.log_density(SIZE, 64) < -20
    assert {weights.draw(SIZE, np.random.default_rng(seed)) for seed in range(40)} == {16, 32}
    enormous = Belief(weights=(1e308, 1e308, 0))
    assert {enormous.draw(SIZE, np.random.default_rng(seed)) for seed in range(40)} == {16, 32}
    certain = Belief(center=1e-1, spread=1e-18).draw(LR, np.random.default_rng(0))
    assert certain == pytest.approx(1e-1)
    assert LR.domain.contains(certain)
    assert Belief(on=0.8).log_density(ON, True) == pytest.approx(np.log(0.8))


@pytest.mark.parametrize("center", [0.0, 0.1, 0.9])
def test_draws_from_a_range_in_steps_are_by_its_density(center: float) -> None:
    tenths = Parameter("x", Range(0.0, 1.0, step=0.1))
    belief = Belief(center=center, spread=0.08)
    points = list(tenths.domain.points())
    density = np.exp([belief.log_density(tenths, point) for point in points])
    rng = np.random.default_rng(0)
    drawn = [belief.draw(tenths, rng) for _ in range(4000)]
    found = [np.mean([one == point for one in drawn]) for point in points]
    # A bin holds the mean of the density over it, which is not quite that of its middle.
    np.testing.assert_allclose(found, density / density.sum(), atol=0.04)


def sweep(prior: dict[str, Any] | None, trials: int = 30) -> Sweep:
    search = Tpe.Config(seed=1, startup_trials=5, start_with_base=False, prior=prior)
    return Sweep("believed", {}, (LR, SIZE), search=search, limits=Limits(trials=trials))


def drawn(spec: Sweep, place: Path, trials: int, *, reopen: bool = False) -> list[dict[str, Any]]:
    folder = Home(place).sweep(spec.name)
    folder.create()
    ledger = Ledger.open(spec, folder)
    found = []
    for _ in range(trials):
        asked = ledger.ask()
        assert asked is not None
        found.append(dict(asked.values))
        loss = (np.log10(asked.values["lr"]) + 4) ** 2 + (asked.values["size"] != 64)
        ledger.started(asked.number)
        ledger.report(asked.number, Evaluation(1, 1.0, {"fid": float(loss)}))
        ledger.complete(asked.number, [float(loss)])
        if reopen:
            ledger = Ledger.open(spec, folder)
    return found


def test_it_leads_at_first_and_a_wrong_one_does_not_keep_the_optimum_away(tmp_path: Path) -> None:
    wrong = {"lr": {"center": 5e-3, "spread": 0.15}, "size": {"weights": [8, 1, 1]}}
    found = drawn(sweep(wrong), tmp_path / "a", 40)
    assert all(1e-4 < one["lr"] < 1e-1 for one in found[:5])
    assert min(abs(np.log10(one["lr"]) + 4) for one in found[20:]) < 0.3
    assert any(one["size"] == 64 for one in found[20:])
    assert drawn(sweep(wrong), tmp_path / "b", 12, reopen=True) == found[:12]
    assert drawn(sweep(None), tmp_path / "c", 5) != found[:5]


def test_a_model_of_a_single_trial_proposes_by_both(tmp_path: Path) -> None:
    spec = sweep({"lr": {"center": 5e-3, "spread": 0.15}})
    early = replace(spec, search=spec.search.model_copy(update={"startup_trials": 1}))
    assert len(drawn(early, tmp_path, 3)) == 3


FILE = """
name: believed
base: {data: digits}
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-5, max: 1.0e-2}
  batch_size: {values: [16, 32]}
  tricks.ema: {toggle: true}
limits: {trials: 5}
search:
  sampler: SAMPLER
  prior:
    optimizer.generator.lr: LR
    batch_size: SIZE
    tricks.ema: EMA
"""
GIVEN = {
    "SAMPLER": "tpe",
    "LR": "{center: 2.0e-4, spread: 0.1}",
    "SIZE": "{weights: [1, 2]}",
    "EMA": "{on: 0.9}",
}


def text(**given: str) -> str:
    made = FILE
    for word, value in {**GIVEN, **given}.items():
        made = made.replace(word, value)
    return made


def test_a_file_says_what_is_believed_and_every_mistake_is_told_at_once() -> None:
    spec = parse_sweep(text())
    assert spec.search.prior["tricks.ema"].on == 0.9
    assert spec.to_dict()["search"]["prior"]["batch_size"]["weights"] == [1, 2]
    with pytest.raises(SpecError) as refused:
        parse_sweep(
            text(LR="{center: 3, spread: 0.1}", SIZE="{weights: [1, 2, 3]}", EMA="{center: 1}")
            + "    batch_sise: {on: 1}\n"
        )
    told = {problem.path: (problem.line, str(problem)) for problem in refused.value.problems}
    assert told["search.prior.optimizer.generator.lr.center"][0] == 12
    assert "outside the range" in told["search.prior.optimizer.generator.lr.center"][1]
    assert "there are 3 weights" in told["search.prior.batch_size.weights"][1]
    assert "because it is a toggle" in told["search.prior.tricks.ema"][1]
    assert "batch_size" in told["search.prior.batch_sise"][1]
    with pytest.raises(SpecError) as refused:
        parse_sweep(text().replace("values: [16, 32]", "values: []"))
    assert [problem.path for problem in refused.value.problems] == ["parameters.batch_size.values"]
    with pytest.raises(SpecError, match="spread"):
        parse_sweep(text(LR="{center: 1.0e-3, spread: 2}"))
    with pytest.raises(SpecError, match="is an option of bohb, tpe, not of random"):
        parse_sweep(text(SAMPLER="random"))
