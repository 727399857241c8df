"""A new part of the trainer is one class in one file, and no other line changes anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sweeper.sweepfile.absolute import with_absolute_paths
from sweeper.sweepfile.schema import sweep_schema
from trials.config import default_at, load_config, problems_of
from trials.data import DataSource, check_data
from trials.data.content import Content, in_memory
from trials.data.faults import require_file
from trials.data.source import DataPath
from trials.fields import Role
from trials.game import Game, Round, Terms
from trials.networks import (
    DiscriminatorPlan,
    Family,
    GeneratorPlan,
    Judgement,
    NetworkPlan,
    PlayerKnobs,
)
from trials.optimization import Decay, Optimizer
from trials.part import PartConfig, knob, temporary_parts
from trials.roles import measures, shapes_weights
from trials.trainer import Training
from trials.trick import Trick

SMALL = {"steps": 2, "batch_size": 4, "evaluation": {"every": 2, "samples": 16, "batch": 8}}


@pytest.fixture(autouse=True)
def _forgotten_afterwards() -> Iterator[None]:
    with temporary_parts():
        yield


def complaint(mapping: dict[str, Any]) -> str:
    """The one thing that is wrong with a configuration."""
    (problem,) = problems_of(mapping)
    return str(problem)


def fits(base: dict[str, Any]) -> bool:
    """Whether an editor with the sweep file's schema accepts a base."""
    sweep = {"name": "s", "base": base, "parameters": {"seed": {"values": [1]}}}
    return jsonschema.Draft202012Validator(sweep_schema()).is_valid(sweep)


def train(mapping: dict[str, Any], folder: Path) -> Training:
    """Two steps and an evaluation."""
    training = Training(load_config(mapping), folder)
    assert training.advance().step == 2
    assert training.finished
    return training


class _Table(DataSource):
    """Points in a text file: a new kind of file, with a path of its own."""

    items = "point"

    class Config(DataSource.Config):
        table: DataPath = knob(..., "the file, a point a line")
        scale: float = knob(1.0, "what every number is multiplied by", gt=0)

    @property
    def labelled(self) -> bool:
        return False

    def item_shape(self) -> tuple[int, ...]:
        return (2,)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (lambda: require_file(self.config.table, "table", "a text file"),)

    def content(self, cache: Path | None) -> Content:
        points = np.loadtxt(self.config.table, dtype=np.float32, ndmin=2)
        return in_memory(self.config.scale * points, None, holdout=self.config.holdout)


def test_a_data_source(tmp_path: Path) -> None:
    class Table(_Table):
        key = "table"
        summary = "points in a text file"

    file = tmp_path / "points.txt"
    np.savetxt(file, np.random.default_rng(0).normal(size=(64, 2)))
    base = {"data": {"name": "table", "table": str(file)}, **SMALL}
    assert problems_of(base) == []
    assert train(base, tmp_path / "run").dataset.shape == (2,)
    assert fits(base)
    assert not fits({"data": {"name": "table", "table": str(file), "scale": 0}})
    assert not fits({"data": "table"}), "a file has to be named"
    assert "did you mean 'table'" in complaint({"data": {"name": "tabel"}})
    assert "data.sclae: there is no such setting" in complaint(
        {"data": {"name": "table", "table": str(file), "sclae": 2}}
    )
    (problem,) = check_data(load_config({"data": {"name": "table", "table": "no"}}).data)
    assert problem.path == "data.table"


def test_a_data_source_s_files_are_found_from_a_worker_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Table(_Table):
        key = "table"

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    np.savetxt("points.txt", np.random.default_rng(0).normal(size=(64, 2)))
    base = {"data": {"name": "table", "table": "points.txt"}, **SMALL}
    told = with_absolute_paths(base)
    assert told == {**base, "data": {**base["data"], "table": str(Path("points.txt").absolute())}}
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path / "worker")
    assert train(told, tmp_path / "run").finished


def test_a_data_source_s_knob_that_touches_the_training_alone_can_be_searched() -> None:
    class Table(_Table):
        key = "table"

        class Config(_Table.Config):
            jitter: Annotated[float, Role.TRAINS_ONLY] = knob(0.0, "noise on training points")

    assert not measures("data.jitter")
    assert measures("data.table")
    assert shapes_weights("data.jitter")


def test_a_network_family(tmp_path: Path) -> None:
    class Wavy(Family):
        key = "wavy"
        summary = "sines of z"
        points = True

        class GeneratorKnobs(PlayerKnobs):
            waves: int = knob(8, "sines of z that a point is a sum of", ge=1)

        class DiscriminatorKnobs(PlayerKnobs):
            waves: int = knob(4, "sines of a point that are judged", ge=1)

        @classmethod
        def generator(cls, plan: GeneratorPlan) -> nn.Module:
            return _Waves(plan.latent, plan.knobs.waves, plan.shape[0])

        @classmethod
        def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
            return _Judge(_Waves(plan.shape[0], plan.knobs.waves, 3))

    base = {"data": {"name": "ring", "points": 100}, "networks": {"family": "wavy"}, **SMALL}
    assert problems_of(base) == []
    training = train(base, tmp_path)
    recorded = json.loads((tmp_path / "config.json").read_text())["networks"]
    assert recorded["generator"] == {"family": "wavy", "waves": 8}
    assert load_config({**base, "networks": recorded}) == training.config
    assert default_at(base, "networks.generator.waves") == 8
    assert fits(base)
    assert fits({**base, "networks": {"generator": {"family": "wavy", "waves": 3}}})
    assert not fits({**base, "networks": {"generator": {"family": "wavy", "waves": 0}}})
    assert "did you mean 'wavy'" in complaint({**base, "networks": {"family": "wavvy"}})
    assert (
        "depth: is an option of biggan, dcgan, mlp, r3gan, resnet, wgan_gp, not of wavy"
        in complaint({**base, "networks": {"family": "wavy", "generator": {"depth": 2}}})
    )
    assert "waves: is an option of wavy, not of mlp" in complaint(
        {**base, "networks": {"generator": {"waves": 2}}}
    )


def test_an_optimizer_and_a_decay(tmp_path: Path) -> None:
    class Signs(Optimizer):
        key = "signs"
        summary = "steps of one size, by the gradient's sign"

        class Config(Optimizer.Config):
            dampening: float = knob(0.5, "how much of each step is left out", ge=0, lt=1)

        def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            lr = self.config.lr * (1 - self.config.dampening)
            return torch.optim.Rprop(list(parameters), lr=lr)

    class Staircase(Decay):
        key = "staircase"
        summary = "half of the way, then the rest"

        @staticmethod
        def factor(progress: float, floor: float) -> float:
            return 1.0 if progress < 0.5 else floor

    settings = {"name": "signs", "lr": 0.01, "decay": "staircase", "decay_to": 0.1}
    base = {"data": {"name": "ring", "points": 100}, "optimizer": {"generator": settings}, **SMALL}
    assert problems_of(base) == []
    game = train(base, tmp_path).game
    assert isinstance(game.optimizers["generator"], torch.optim.Rprop)
    assert game.optimizers["generator"].param_groups[0]["lr"] == pytest.approx(0.001)
    assert fits(base)
    for wrong, answer in (
        ({"name": "sings"}, "generator.name: there is no optimizer 'sings'.*did you mean 'signs'"),
        ({"decay": "stairs"}, "generator.decay: there is no decay 'stairs'.*mean 'staircase'"),
        ({"dampening": 0.1}, "generator.dampening: is an option of signs, not of adam"),
        ({"name": "signs", "dampening": 1}, "generator.dampening: 1 is wrong"),
    ):
        mistaken = {**base, "optimizer": {"generator": wrong}}
        assert re.search(answer, complaint(mistaken))
        assert not fits(mistaken)


def test_a_method_of_conditioning(tmp_path: Path) -> None:
    class Weighed(Trick):
        key = "weighed"
        group = "labels"
        slot = "conditioning"
        summary = "a linear guess of the label, and its share in the loss"
        uses_labels = True

        class Config(PartConfig):
            share: float = knob(0.1, "share of the guess in the loss", gt=0)

        def plan(self, plan: NetworkPlan) -> NetworkPlan:
            maker, judge = plan.generator, plan.discriminator
            heads = {**judge.heads, "guess": judge.classes}
            return NetworkPlan(replace(maker, conditioning="norm"), replace(judge, heads=heads))

        def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
            assert round.real_judgement is not None
            guess = round.real_judgement.heads["guess"]
            loss = nn.functional.cross_entropy(guess, round.labels)
            return {**terms, "guess": self.config.share * loss}

    base = {"data": "digits", "conditioning": {"name": "weighed", "share": 0.2}, **SMALL}
    assert problems_of(base) == []
    assert train(base, tmp_path).game.labelled
    assert fits(base)
    assert not fits({**base, "conditioning": {"name": "weighed", "share": 0}})
    assert "did you mean 'weighed'" in complaint({**base, "conditioning": "wieghed"})


class _Waves(nn.Module):
    def __init__(self, inputs: int, waves: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, waves), nn.Linear(waves, outputs)

    def forward(self, z: Tensor, labels: Any = None, condition: Any = None) -> Tensor:
        summed: Tensor = self.second(self.first(z).sin())
        return summed


class _Judge(nn.Module):
    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk, self.score = trunk, nn.Linear(3, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Judgement:
        features = self.trunk(x)
        return Judgement(self.score(features).squeeze(1), features, {})
