"""Tasks with a true answer: what is cut out, what is put back, how near the answer comes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sweeper.errors import SpecError
from sweeper.sweepfile.load import parse_sweep
from sweeper.testing.small import SMALL, small_config, trick_of
from trials.config import load_config, problems_of
from trials.evaluation.evaluators import asked_in_words
from trials.evaluation.export import load_generator
from trials.game import Round
from trials.metrics.pairs import psnr, ssim
from trials.metrics.protocol import differing
from trials.presets import merge
from trials.state.streams import stream
from trials.tasks import inpaint, super_resolve
from trials.trainer import Training
from trials.tricks import l1, perceptual, style, total_variation

F64 = torch.float64


def _images(*shape: int, seed: int = 0) -> Tensor:
    noise = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=noise, dtype=F64) * 2 - 1


def _weight(offset: int) -> float:
    return math.exp(-(offset**2) / (2 * 1.5**2))


def _ssim_by_loop(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> float:
    """Wang et al. 2004 on one channel of 8×8, whose largest odd window is 7×7."""
    values, weights = [], [_weight(k) for k in range(-3, 4)]
    total = sum(a * b for a in weights for b in weights)
    for i in range(2):
        for j in range(2):
            w = np.outer(weights, weights) / total
            a, b = x[i : i + 7, j : j + 7], y[i : i + 7, j : j + 7]
            ma, mb = (w * a).sum(), (w * b).sum()
            va, vb = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum()
            cov = (w * (a - ma) * (b - mb)).sum()
            c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
            values.append(
                (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return float(np.mean(values))


def test_ssim_of_small_images_is_wangs_formula() -> None:
    x, y = _images(2, 1, 8, 8), _images(2, 1, 8, 8, seed=1)
    y = 0.7 * x + 0.3 * y
    expected = [_ssim_by_loop(x[i, 0].numpy(), y[i, 0].numpy()) for i in range(2)]
    assert ssim(x, y).tolist() == pytest.approx(expected, rel=1e-10)
    assert ssim(x, x).tolist() == pytest.approx([1.0, 1.0])


def test_psnr_is_ten_log_of_range_over_error() -> None:
    x, y = _images(2, 3, 8, 8), _images(2, 3, 8, 8, seed=1)
    for i in range(2):
        error = float(((x[i] - y[i]) ** 2).mean())
        assert float(psnr(x, y)[i]) == pytest.approx(10 * math.log10(4 / error))


@pytest.mark.parametrize("hole", ["centre", "anywhere", "strokes"])
def test_the_hole_is_cut_out_and_only_it_is_filled(hole: str) -> None:
    trick = inpaint.Inpaint(inpaint.Inpaint.Config(hole=hole), small_config())
    masks = trick.masks(64, 16, stream("cpu", 0, "test"))
    assert masks.shape == (64, 1, 16, 16)
    assert ((masks == 0) | (masks == 1)).all()
    shares = masks.mean((1, 2, 3))
    if hole == "strokes":
        assert float(shares.min()) > 0.05
        assert float(shares.max()) < 0.95
    else:
        assert shares.tolist() == [0.25] * 64
    varied = len({mask.numpy().tobytes() for mask in masks})
    assert varied == 1 if hole == "centre" else varied > 32

    real, made = _images(64, 3, 16, 16).float(), _images(64, 3, 16, 16, seed=1).float()
    condition = inpaint.cut(real, masks)
    assert torch.equal(condition[:, -1:], masks)
    inside = masks.bool().expand_as(real)
    assert not condition[:, :-1][inside].any()
    finished = trick.finish(made, condition)
    assert torch.equal(finished[~inside], real[~inside])
    assert torch.equal(finished[inside], made[inside])


def test_squares_reach_every_edge() -> None:
    masks = inpaint.square(500, 8, 3, stream("cpu", 0, "test"), True)
    touched = masks.sum(0)[0]
    assert (touched > 0).all()


def test_a_small_image_is_the_mean_over_squares() -> None:
    x = _images(1, 1, 4, 4)
    small = super_resolve.shrunk(x, 2)
    assert float(small[0, 0, 1, 0]) == pytest.approx(float(x[0, 0, 2:, :2].mean()))


def test_auxiliary_losses_against_loops() -> None:
    x, y = _images(2, 1, 3, 3), _images(2, 1, 3, 3, seed=1)
    pixels = [(n, i, j) for n in range(2) for i in range(3) for j in range(3)]
    direct = sum(abs(float(x[n, 0, i, j] - y[n, 0, i, j])) for n, i, j in pixels) / 18
    assert float(l1.distance(x, y)) == pytest.approx(direct)
    down = [abs(float(x[n, 0, i + 1, j] - x[n, 0, i, j])) for n, i, j in pixels if i < 2]
    right = [abs(float(x[n, 0, i, j + 1] - x[n, 0, i, j])) for n, i, j in pixels if j < 2]
    assert float(total_variation.variation(x)) == pytest.approx(np.mean(down) + np.mean(right))

    a = [_images(2, 3, 4, 4), _images(2, 5, 2, 2)]
    b = [_images(2, 3, 4, 4, seed=1), _images(2, 5, 2, 2, seed=1)]
    direct = 0.0
    for made, true in zip(a, b, strict=True):
        for n in range(2):
            difference = (made[n] - true[n]).flatten().tolist()
            direct += sum(d * d for d in difference) / len(difference) / 2
    assert float(perceptual.distance(a, b)) == pytest.approx(direct)
    direct = 0.0
    for made, true in zip(a, b, strict=True):
        _, c, h, w = made.shape
        for n in range(2):
            for p in range(c):
                for q in range(c):
                    one = float((made[n, p] * made[n, q]).sum()) / (c * h * w)
                    other = float((true[n, p] * true[n, q]).sum()) / (c * h * w)
                    direct += (one - other) ** 2 / 2
    grams = ([style.gram(layer) for layer in layers] for layers in (a, b))
    assert float(style.distance(*grams)) == pytest.approx(direct)


@pytest.mark.parametrize("key", ["perceptual", "style"])
def test_features_are_compared_image_by_image_in_a_task_and_by_their_means_without_one(
    key: str, tmp_path: Path
) -> None:
    """In another order images are no longer each other's truth, and are as a batch what they
    were."""
    for task, alike in (("generate", True), ("inpaint", False)):
        game = Training(small_config(task=task, tricks={key: True}), tmp_path / task).game
        trick = trick_of(game, key)
        real, _ = game.dataset.batch(torch.arange(8))
        condition = game.condition(real, stream("cpu", 1, "test"))

        fakes = [real, real.flip(0), (real * 0.5).requires_grad_(True)]
        z = torch.zeros(8, 8)
        tables = [Round("generator", real, None, z, None, fake, condition) for fake in fakes]
        same, turned, grey = (trick.generator_terms(game, table, {})[key] for table in tables)
        assert float(same) == pytest.approx(0, abs=1e-9)
        assert (float(turned) == pytest.approx(0, abs=1e-6)) is alike
        assert float(grey) > 0
        (gradient,) = torch.autograd.grad(grey, fakes[2])
        assert float(gradient.abs().max()) > 0


def test_features_and_smoothness_are_asked_of_images_whose_network_has_layers() -> None:
    ring = merge(SMALL, {"data": {"name": "ring"}, "evaluation": {"metrics": ["modes"]}})
    for key in ("perceptual", "style", "total_variation"):
        assert problems_of(merge(SMALL, {"tricks": {key: True}})) == []
        paths = [problem.path for problem in problems_of(merge(ring, {"tricks": {key: True}}))]
        assert f"tricks.{key}" in paths


@pytest.mark.parametrize(
    "task", [{"name": "inpaint", "hole": "anywhere"}, {"name": "super_resolve", "factor": 2}]
)
def test_a_task_records_how_near_it_comes_and_its_generator_is_exported_whole(
    task: dict[str, Any], tmp_path: Path
) -> None:
    training = Training(small_config(task=task, data={"holdout": 0.1}), tmp_path)
    evaluation = training.advance()
    name = task["name"]
    assert {"fid", f"{name}/psnr", f"{name}/ssim"} <= evaluation.metrics.keys()

    game = training.game
    real, _ = game.dataset.batch(torch.arange(4))
    condition = game.condition(real, stream("cpu", 1, "test"))
    z, _ = game.noise(4, stream("cpu", 1, "test"))
    loaded = load_generator(tmp_path)
    assert condition is not None
    assert loaded.condition == tuple(condition.shape[1:])
    with torch.no_grad():
        game.generator.eval()
        assert torch.equal(loaded(z, None, condition), game.generate(z, None, condition))
    with pytest.raises(ValueError, match="works on an image"):
        loaded(z)


def test_what_is_asked_is_part_of_the_protocol_and_nothing_to_search() -> None:
    hole = {"name": "inpaint", "size": 0.25}
    tasks: list[Any] = ["generate", hole, {**hole, "size": 0.75}, {**hole, "gated": False}]
    told = [asked_in_words(small_config(task=task)) for task in tasks]
    small = "; inpaint hole=centre size=0.25"
    assert told == ["", small, "; inpaint hole=centre size=0.75", small]
    searched = {
        "task": "{values: [generate, inpaint]}",
        "task.size": "{min: 0.25, max: 0.75}",
        "task.gated": "{values: [true, false]}",
    }
    for path, domain in searched.items():
        text = f"name: s\nbase: {{data: digits, task: inpaint}}\nparameters: {{{path}: {domain}}}\n"
        text += "limits: {trials: 2}\n"
        if path == "task.gated":
            parse_sweep(text)
            continue
        with pytest.raises(SpecError, match="changes how trials are measured"):
            parse_sweep(text)


def test_one_hole_is_not_compared_with_another(tmp_path: Path) -> None:
    protocols = [
        Training(
            small_config(task={"name": "inpaint", "size": size}), tmp_path / str(size)
        ).protocol
        for size in (0.25, 0.75)
    ]
    assert differing(*protocols).keys() == {"settings"}


@pytest.mark.parametrize("task", ["inpaint", "super_resolve"])
def test_what_is_learnt_from_keeps_what_it_was_made_from(task: str, tmp_path: Path) -> None:
    tricks = {"top_k": {"interval": 0.1, "decay": 0.5}, "latent_consistency": True}
    training = Training(small_config(task=task, tricks=tricks, steps=8), tmp_path)
    training.run_to(8)
    assert training.step == 8


def test_l1_teaches_the_generator_to_answer_right(tmp_path: Path) -> None:
    changes = {"task": "inpaint", "steps": 60, "networks": {"generator": {"width": 8}}}
    changes |= {"evaluation": {"every": 60}, "batch_size": 32}
    found = {}
    for name, tricks in (("plain", {}), ("with", {"l1": {"weight": 100.0}})):
        training = Training(
            load_config(merge(SMALL, {**changes, "tricks": tricks})), tmp_path / name
        )
        found[name] = training.advance().metrics["inpaint/psnr"]
    assert found["with"] > found["plain"] + 0.5


def test_points_and_pictures_too_small_are_refused() -> None:
    points = problems_of({"data": "ring", "task": "inpaint"})
    assert any("points" in problem.message for problem in points)
    small = problems_of({"data": "digits", "task": {"name": "super_resolve", "factor": 4}})
    assert [problem.path for problem in small] == ["task.factor"]
    assert any(p.path == "tricks.l1" for p in problems_of({"data": "digits", "tricks": {"l1": {}}}))
