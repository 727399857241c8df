"""A point that a search has tried is not trained again on the same seed, unless somebody asks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.search.repeats import avoids_repeats, repeats_in_words
from sweeper.search.samplers.qmc import QuasiMonteCarlo
from sweeper.search.samplers.random import Random
from sweeper.search.samplers.tpe import Tpe
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.sweepfile.domains import Parameter, Range, Values, canonical
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.sweepfile.space import Draw

SPACE = (Parameter("batch_size", Values((16, 32))), Parameter("critic_steps", Values((1, 2, 3))))
SWEEP = Sweep(
    name="small",
    base={"data": {"name": "digits"}, "steps": 4, "batch_size": 16, "critic_steps": 1},
    parameters=SPACE,
    search=Random.Config(),
    limits=Limits(trials=12),
)


def opened(home: Path, sweep: Sweep) -> Ledger:
    folder = Home(home).sweep(sweep.name)
    if not folder.path.exists():
        folder.create()
    return Ledger.open(sweep, folder)


def asked(ledger: Ledger, at_most: int) -> list[str]:
    """The points of the next trials, each of which completes."""
    points = []
    while len(points) < at_most and (trial := ledger.ask()) is not None:
        ledger.started(trial.number)
        ledger.complete(trial.number, [float(trial.number)])
        points.append(canonical(trial.values))
    return points


@pytest.mark.parametrize("search", [Random.Config(), Tpe.Config(), QuasiMonteCarlo.Config()])
def test_no_point_is_trained_twice_before_every_one_was(search: Any, tmp_path: Path) -> None:
    sweep = replace(SWEEP, search=search)
    points = asked(opened(tmp_path, sweep), 8)
    assert len(points) == 8
    assert len(set(points[:6])) == 6
    assert "the space has 6 points and limits.trials is 12" in repeats_in_words(sweep)
    assert repeats_in_words(replace(sweep, limits=Limits(trials=6))) == ""


WIDE = replace(
    SWEEP,
    parameters=(
        Parameter("batch_size", Values((16, 32, 48, 64, 96, 128))),
        Parameter("critic_steps", Values((1, 2, 3, 4, 5, 6))),
        Parameter("latent.dim", Values((8, 16, 24, 32, 48, 64))),
    ),
    search=Random.Config(start_with_base=False),
    limits=Limits(trials=100),
)


def test_a_sampler_that_insists_on_a_point_is_followed_to_those_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Draw({"batch_size": 96, "critic_steps": 4, "latent.dim": 32}, {})
    monkeypatch.setattr(Random, "propose", lambda sampler, turn: good)
    points = [json.loads(point) for point in asked(opened(tmp_path / "a", WIDE), 30)]
    apart = [sum(point[path] != value for path, value in good.values.items()) for point in points]
    assert apart[:8] == [0, *[1] * 7]
    # Then by chance: no parameter stands at its first values.
    rest = [point for point, distance in zip(points, apart, strict=True) if distance > 1]
    assert len(rest) > 10
    assert all(len({point[path] for point in rest}) > 3 for path in good.values)
    cut = [json.loads(asked(opened(tmp_path / "b", WIDE), 1)[0]) for _ in range(12)]
    assert cut == points[:12]


@pytest.mark.parametrize("sequence", ["sobol", "halton"])
def test_a_sequence_that_repeats_a_point_goes_on_to_its_next(sequence: Any, tmp_path: Path) -> None:
    search = QuasiMonteCarlo.Config(sequence=sequence, start_with_base=False)
    repeating = search.model_copy(update={"repeat": True})
    whole = asked(opened(tmp_path / "whole", replace(WIDE, search=repeating)), 160)
    points = asked(opened(tmp_path / "once", replace(WIDE, search=search)), 80)
    assert len(set(whole[:80])) < 80
    assert points == list(dict.fromkeys(whole))[:80]


def test_a_driver_that_was_killed_asks_what_it_would_have_asked(tmp_path: Path) -> None:
    straight = asked(opened(tmp_path / "a", SWEEP), 6)
    cut = [asked(opened(tmp_path / "b", SWEEP), 1)[0] for _ in range(6)]
    assert cut == straight


def test_repeats_are_trained_where_the_file_asks_for_them(tmp_path: Path) -> None:
    points = asked(opened(tmp_path, replace(SWEEP, search=Random.Config(repeat=True))), 6)
    assert len(set(points)) < 6


def test_a_point_that_somebody_enqueues_is_trained_again(tmp_path: Path) -> None:
    ledger = opened(tmp_path, SWEEP)
    first = asked(ledger, 1)
    ledger._study.enqueue_trial({"batch_size": 16, "critic_steps": 1})
    assert asked(ledger, 1) == first


def test_a_range_without_steps_has_points_without_end(tmp_path: Path) -> None:
    lr = Parameter("optimizer.generator.lr", Range(1e-4, 1e-2, log=True))
    sweep = replace(SWEEP, parameters=(*SPACE, lr))
    assert repeats_in_words(sweep) == ""
    assert len(set(asked(opened(tmp_path, sweep), 12))) == 12


def test_a_population_is_drawn_with_replacement() -> None:
    rule = PopulationBased.Config(interval_steps=2)
    assert not avoids_repeats(replace(SWEEP, scheduler=rule))


def test_a_sweep_that_was_begun_before_goes_on_as_it_began() -> None:
    stored = SWEEP.to_dict()
    assert sweep_from_dict(stored).search.repeat is False
    del stored["search"]["repeat"]
    begun = sweep_from_dict(stored)
    assert begun.search.repeat is True
    assert SWEEP.going_on(begun).search.repeat is True
    assert SWEEP.fingerprint == begun.fingerprint
