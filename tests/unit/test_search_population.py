"""Population based training as a function of curves."""

from __future__ import annotations

import numpy as np
import pytest

from sweeper.search.milestones import Milestones
from sweeper.search.population import FACTORS, explore, take_over
from sweeper.spec.domains import Parameter, Range, Values
from sweeper.spec.model import Sweep
from sweeper.spec.sections import SchedulerSpec, SearchSpec

LR = Parameter("optimizer.generator.lr", Range(1e-5, 1e-2, log=True))
STEPS = Parameter("critic_steps", Range(1, 8, step=1, integer=True))
WIDTH = Parameter("networks.generator.width", Range(8, 64, step=8, integer=True))
LOSS = Parameter("loss", Values(("hinge", "wgan")))
MARKS = Milestones(interval=10, grace=20)


def sweep(**options: object) -> Sweep:
    return Sweep(
        name="population",
        base={},
        parameters=(LR, STEPS, WIDTH, LOSS),
        search=SearchSpec(sampler="random", seed=1),
        scheduler=SchedulerSpec(name="pbt", **options),
    )


def values(number: int) -> dict[str, object]:
    return {LR.path: 1e-3, STEPS.path: 2, WIDTH.path: 8 * (number + 1), LOSS.path: "wgan"}


def population(step: int) -> tuple[dict[int, dict[int, float]], dict[int, dict[str, object]]]:
    """Eight trials; trial 0 is the best."""
    curves = {number: {10: 1.0, step: float(number)} for number in range(8)}
    return curves, {number: values(number) for number in range(8)}


def test_the_worst_copy_the_best_and_the_others_go_on():
    curves, known = population(20)
    decided = {n: take_over(sweep(), MARKS, n, curves, known) for n in curves}
    assert [n for n, taken in decided.items() if taken is not None] == [6, 7]
    for number in (6, 7):
        taken = decided[number]
        assert taken.donor in (0, 1)
        assert taken.donor_step == 20
        assert taken.draw.values[WIDTH.path] == 8 * (taken.donor + 1)
        assert taken.draw.values[LOSS.path] == "wgan"
        assert taken.draw.config["loss"] == "wgan"
        assert take_over(sweep(), MARKS, number, curves, known) == taken


def test_nothing_is_decided_between_milestones_or_in_the_grace():
    for step in (11, 19, 29):
        curves, known = population(step)
        curves[7] |= {20: 7.0} if step > 20 else {}
        assert take_over(sweep(), MARKS, 7, curves, known) is None


def test_whoever_comes_first_has_nobody_to_copy():
    curves, known = population(20)
    assert take_over(sweep(), MARKS, 7, {7: curves[7]}, known) is None
    assert take_over(sweep(quantile=0.5), MARKS, 7, {0: curves[0], 7: curves[7]}, known).donor == 0


@pytest.mark.parametrize("resample", [0.0, 1.0])
def test_settings_are_nudged_or_drawn_anew_inside_their_domains(resample):
    spec = sweep(resample=resample)
    rng = np.random.default_rng(0)
    drawn = [explore(spec, values(3), rng) for _ in range(50)]
    for one in drawn:
        assert all(spec.parameter(path).domain.contains(value) for path, value in one.items())
        assert one[WIDTH.path] == 32
        assert one[LOSS.path] == "wgan"
    rates = {one[LR.path] for one in drawn}
    assert len(rates) == (2 if resample == 0.0 else 50)
    if resample == 0.0:
        assert rates == {1e-3 * factor for factor in FACTORS}
        assert {one[STEPS.path] for one in drawn} == {1, 3}
