"""One evaluation: every metric from one pass, real statistics computed once, conditions checked."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from sweeper.wording import protocol_in_words
from trials.data.dataset import Dataset
from trials.data.intake import Tally
from trials.errors import ConfigError, DataError
from trials.metrics.cache import Arrays, cached
from trials.metrics.classes import balance
from trials.metrics.config import EvaluationConfig, check_evaluation
from trials.metrics.evaluator import Evaluator
from trials.metrics.extractors.digits import DigitsExtractor
from trials.metrics.standing import standing_statistics

CONFIG = EvaluationConfig(samples=300, batch=128)


def digits(holdout: int = 0) -> Dataset:
    bunch = load_digits()
    images = torch.from_numpy(np.round(bunch.images * 255 / 16).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bunch.target)
    held_out = images[:holdout] if holdout else None
    return Dataset("digits", f"d{holdout}", images[holdout:], labels[holdout:], held_out)


def ring(points: int = 4000) -> Dataset:
    angles = torch.arange(8) * (torch.pi / 4)
    centres = torch.stack([angles.cos(), angles.sin()], dim=1)
    generator = torch.Generator().manual_seed(0)
    noise = 0.01 * torch.randn(points, 2, generator=generator)
    return Dataset(
        "ring", "r", centres[torch.arange(points) % 8] + noise, modes=centres, mode_std=0.01
    )


def redrawn(data: Dataset, seed: int = 1) -> Callable[[int, Tensor | None], Tensor]:
    """The perfect generator: it returns real images, of the class asked for where one is."""
    generator = torch.Generator().manual_seed(seed)

    def sample(count: int, labels: Tensor | None) -> Tensor:
        if labels is None or data.labels is None:
            chosen = torch.randint(len(data), (count,), generator=generator)
        else:
            pools = [(data.labels == label).nonzero()[:, 0] for label in labels]
            chosen = torch.stack(
                [pool[torch.randint(len(pool), (), generator=generator)] for pool in pools]
            )
        return data.batch(chosen)[0]

    return sample


def test_a_perfect_generator_scores_perfectly_on_every_default_metric() -> None:
    data = digits()
    evaluator = Evaluator(CONFIG, data)
    measured = evaluator.measure(redrawn(data), weights="raw", seed=0)
    values = measured.values
    assert set(values) == {
        *("fid", "kid", "precision", "recall", "density", "coverage"),
        *("inception_score", "class_coverage", "class_kl"),
    }
    assert values["fid"] < 1.0
    assert abs(values["kid"]) < 0.1
    assert min(values["precision"], values["recall"]) > 0.9
    assert values["class_coverage"] == 1.0
    assert values["inception_score"] > 8.5
    assert measured.signals is not None
    assert measured.signals.diversity == pytest.approx(1, abs=0.05)
    assert measured.signals.class_coverage == pytest.approx(1, abs=0.02)
    json.dumps(values)
    assert all(type(value) is float for value in values.values())


def test_one_mode_is_seen_by_the_measures_of_diversity() -> None:
    data = digits()
    ones = data.batch((data.labels == 1).nonzero()[:, 0])[0]  # type: ignore[union-attr]
    measured = Evaluator(CONFIG, data).measure(
        lambda count, _: ones[torch.arange(count) % 3], weights="raw", seed=0
    )
    assert measured.values["precision"] > 0.9  # real images, so each one is plausible
    assert measured.values["recall"] < 0.05
    assert measured.values["class_coverage"] == pytest.approx(0.1)
    assert measured.signals is not None
    assert measured.signals.diversity < 0.5
    assert measured.signals.duplicates == 1.0
    assert measured.signals.class_coverage == pytest.approx(0.1, abs=0.02)


def test_points_are_measured_by_modes() -> None:
    data = ring()
    evaluator = Evaluator(CONFIG, data)
    values = evaluator.measure(redrawn(data), weights="raw", seed=0).values
    assert set(values) == {"fid", "modes", "high_quality", "reverse_kl"}
    assert values["modes"] == 8
    assert values["high_quality"] > 0.95
    assert values["reverse_kl"] < 0.05
    lost = evaluator.measure(lambda n, _: torch.full((n, 2), 9.0), weights="raw", seed=0)
    assert lost.values["modes"] == lost.values["high_quality"] == 0
    assert lost.values["reverse_kl"] == pytest.approx(math.log(8))
    assert lost.signals is not None
    assert lost.signals.class_coverage == pytest.approx(1 / 8)
    cloud = evaluator.measure(lambda n, _: 0.6 * torch.randn(n, 2), weights="raw", seed=0)
    assert cloud.signals is not None
    assert cloud.signals.class_coverage == pytest.approx(1, abs=0.05)  # shapeless, not collapsed


@pytest.mark.parametrize("count", [256, 512, 5000])
def test_few_samples_of_many_classes_are_no_collapse(count: int) -> None:
    chance = torch.Generator().manual_seed(1)

    def counts(classes: int, count: int) -> Tensor:
        drawn = torch.randint(classes, (count,), generator=chance)
        return torch.bincount(drawn, minlength=1008)

    real = counts(1008, 50_000)
    assert balance(real, counts(1008, count)) > 0.85
    assert balance(real, counts(20, count)) < 0.2
    assert balance(real[:10], counts(3, count)[:10]) == pytest.approx(0.3, abs=0.03)


def test_memorisation_tells_copies_from_fresh_images() -> None:
    data = digits(holdout=400)
    assert data.held_out is not None
    config = EvaluationConfig(samples=300, batch=128, metrics=("memorisation",))
    evaluator = Evaluator(config, data)
    copied = evaluator.measure(redrawn(data), weights="raw", seed=0)
    assert copied.values["memorisation"] == 1.0
    fresh = Dataset("fresh", "f", data.held_out)
    unseen = evaluator.measure(redrawn(fresh), weights="raw", seed=0)
    assert unseen.values["memorisation"] == pytest.approx(0.5, abs=0.05)


def test_fid_by_class_follows_the_labels_asked_for() -> None:
    data = digits()
    config = EvaluationConfig(samples=600, metrics=("fid", "class_fid"))
    evaluator = Evaluator(config, data, conditional=True)
    right = evaluator.measure(redrawn(data), weights="raw", seed=0).values
    assert set(right) == {"fid"} | {f"class_fid/{label}" for label in range(10)}
    faithful = redrawn(data)
    swapped = {label: (0 if label == 7 else 7 if label == 0 else label) for label in range(10)}

    def confused(count: int, labels: Tensor | None) -> Tensor:
        assert labels is not None
        return faithful(count, torch.tensor([swapped[int(label)] for label in labels]))

    wrong = evaluator.measure(confused, weights="raw", seed=0).values
    assert wrong["class_fid/0"] > 10 * right["class_fid/0"]
    assert wrong["class_fid/1"] < 2 * right["class_fid/1"]
    assert wrong["fid"] < 2 * right["fid"]


def test_samples_that_are_not_finite_score_nan_not_a_number() -> None:
    def broken(count: int, _: Tensor | None) -> Tensor:
        images = torch.zeros(count, 1, 8, 8)
        images[0, 0, 0, 0] = math.nan
        return images

    measured = Evaluator(CONFIG, digits()).measure(broken, weights="raw", seed=0)
    assert measured.signals is None
    assert all(math.isnan(value) for value in measured.values.values())
    assert "fid" in measured.values


def test_real_statistics_are_computed_once_and_read_back_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = digits()
    first = Evaluator(CONFIG, data, cache=tmp_path).measure(redrawn(data), weights="raw", seed=0)
    files = sorted(tmp_path.glob("*.npz"))
    assert [path.name.split("-")[0] for path in files] == ["moments", "pairs"]
    seen: list[int] = []
    extract = DigitsExtractor.__call__

    def counting(self: DigitsExtractor, images: Tensor) -> object:
        seen.append(len(images))
        return extract(self, images)

    monkeypatch.setattr(DigitsExtractor, "__call__", counting)
    again = Evaluator(CONFIG, data, cache=tmp_path).measure(redrawn(data), weights="raw", seed=0)
    assert sum(seen) == CONFIG.samples
    assert again.values == first.values

    def cut(whole: bytes) -> bytes:  # by a full disk, or a killed machine
        return whole[:1000]

    def repacked(whole: bytes) -> bytes:  # one bit of how its first array is packed
        place = whole.rindex(b"PK\x01\x02") + 11
        return whole[:place] + b"\x77" + whole[place + 1 :]

    for damage in (cut, repacked):
        for path in files:
            path.write_bytes(damage(path.read_bytes()))
        repaired = Evaluator(CONFIG, data, cache=tmp_path).measure(
            redrawn(data), weights="raw", seed=0
        )
        assert repaired.values == first.values
        assert sorted(tmp_path.glob("*.npz")) == files

    other = Dataset("digits", "other content", data.images[:900])
    Evaluator(CONFIG, other, cache=tmp_path).measure(redrawn(data), weights="raw", seed=0)
    assert len(list(tmp_path.glob("*.npz"))) == 4

    # Whatever was copied over them, of other data or of another part, is known not to be them.
    strange, *_ = (path for path in tmp_path.glob("*.npz") if path not in files)
    for path in files:
        path.write_bytes(strange.read_bytes())
    swapped = Evaluator(CONFIG, data, cache=tmp_path).measure(redrawn(data), weights="raw", seed=0)
    assert swapped.values == first.values


def test_of_two_that_need_the_same_statistics_one_waits_for_the_other(tmp_path: Path) -> None:
    facts, begun, over = {"part": "moments"}, threading.Event(), threading.Event()

    def first() -> Arrays:
        begun.set()
        assert over.wait(60)
        return {"mean": np.ones(3)}

    def second() -> Arrays:
        raise AssertionError("computed what the other one was computing")

    with ThreadPoolExecutor(2) as pool:
        computing = pool.submit(cached, tmp_path, facts, first)
        assert begun.wait(60)
        waiting = pool.submit(cached, tmp_path, facts, second)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        over.set()
        assert computing.result(60)["mean"].tolist() == waiting.result(60)["mean"].tolist()


def test_the_protocol_says_what_was_left_out_of_the_data() -> None:
    data = digits()
    assert "intake" not in Evaluator(CONFIG, data).protocol("raw", 300).as_dict()
    tally = Tally("digits", 1798, 0.01)
    tally.corrupt("a.png", "a link that leads nowhere")
    told = Evaluator(CONFIG, replace(data, intake=tally.intake())).protocol("raw", 300).as_dict()
    assert told["intake"] == "1 of 1798 pictures skipped"
    assert "intake: 1 of 1798 pictures skipped" in protocol_in_words("fid", told)


def test_labels_have_the_proportions_of_the_data_and_the_order_of_the_seed() -> None:
    data = digits()
    asked: list[Tensor] = []

    def listening(count: int, labels: Tensor | None) -> Tensor:
        assert labels is not None
        asked.append(labels)
        return torch.zeros(count, 1, 8, 8)

    evaluator = Evaluator(EvaluationConfig(samples=1797, metrics=("fid",)), data)
    for seed in (0, 0, 1):
        evaluator.measure(listening, weights="raw", seed=seed)
    runs = torch.cat(asked).view(3, -1)
    assert data.labels is not None
    for run in runs:
        assert torch.equal(run.bincount(), data.labels.bincount())
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_protocol_tells_everything_a_value_depends_on() -> None:
    config = EvaluationConfig(samples=64, batch_statistics="standing", standing_batches=4)
    protocol = Evaluator(config, digits()).protocol("averaged", 64)
    assert protocol.as_dict() | {"extractor_hash": "", "settings": ""} == {
        "extractor": "digits",
        "extractor_hash": "",
        "data": "digits",
        "data_hash": "d0",
        "real_count": "1797",
        "fake_count": "64",
        "resize": "channels averaged; area-averaged to 8x8",
        "quantisation": "round((x+1)*127.5) clamped to 0..255",
        "weights": "averaged",
        "batch_statistics": "standing:4x256",
        "settings": "",
    }


def test_a_class_with_one_image_has_no_distance_of_its_own() -> None:
    config = EvaluationConfig(samples=15, metrics=("fid", "class_fid"))
    values = (
        Evaluator(config, digits(), conditional=True)
        .measure(redrawn(digits()), weights="raw", seed=0)
        .values
    )
    # Of 15 labels drawn, some stand alone.
    assert "fid" in values
    assert 1 < len(values) < 11


def test_a_class_that_the_data_lack_chooses_no_generator() -> None:
    config = EvaluationConfig(metrics=("fid", "class_fid"), keep_by="class_fid/33")
    with pytest.raises(DataError, match=r"digits has no class_fid/33 \(expected class_fid/0, "):
        Evaluator(config, digits(), conditional=True)


def test_metrics_that_the_trial_cannot_give_are_named_together() -> None:
    config = EvaluationConfig(metrics=("modes", "memorisation", "class_fid", "kid"), samples=5)
    with pytest.raises(ConfigError) as caught:
        Evaluator(config, digits())
    messages = [problem.message for problem in caught.value.problems]
    assert len(messages) == 4
    assert "modes needs data with known modes" in messages[0]
    before_opening = check_evaluation(
        config, data="digits", kind="image", modes=False, held_out=False, conditional=False
    )
    assert before_opening == caught.value.problems


def test_standing_statistics_are_the_average_batch_and_leave_no_trace() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    network[2].eval()
    network(torch.randn(8, 3))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    batches = torch.randn(6, 32, 3)
    hidden = [network[0](batch) for batch in batches]
    with standing_statistics(network, lambda i: network(batches[i]), len(batches)):
        norm = network[1]
        torch.testing.assert_close(
            norm.running_mean, torch.stack([h.mean(dim=0) for h in hidden]).mean(dim=0)
        )
        torch.testing.assert_close(
            norm.running_var, torch.stack([h.var(dim=0) for h in hidden]).mean(dim=0)
        )
        assert not norm.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert network[1].training
    assert network[1].momentum == 0.1
    assert not network[2].training
