"""The loop itself: exactness, streams, accumulation, checkpoints, pictures, the best generator."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from sweeper.testing.small import SMALL, comparable, differ, small_config, tensors_of
from trials import catalogue
from trials.config import load_config, problems_of
from trials.errors import CheckpointError, ConfigError
from trials.evaluation.export import load_generator, saved_header
from trials.presets import merge
from trials.state.checkpoint import FORMAT, recover, save
from trials.temporary import temporary_for
from trials.trainer import Training, train

EVERYTHING: dict[str, Any] = {
    "loss": "hinge",
    "critic_steps": 2,
    "tricks": {"ema": True, "spectral_norm": True, "instance_noise": True, "r1": {"every": 2}},
}


def test_a_rehearsal_leaves_nothing_behind_and_changes_no_training(tmp_path: Path) -> None:
    config = small_config(**EVERYTHING)
    alone = Training(config, tmp_path / "alone")
    expected = comparable(alone.advance().metrics)
    Training(small_config(), tmp_path / "rehearsal").rehearse()
    after = Training(config, tmp_path / "after")
    assert comparable(after.advance().metrics) == expected
    assert not differ(tensors_of(alone), tensors_of(after))
    assert [file.name for file in (tmp_path / "rehearsal").iterdir()] == ["config.json"]


@pytest.mark.parametrize("stop", range(1, 6))
def test_a_training_stopped_at_any_step_goes_on_bit_for_bit(stop: int, tmp_path: Path) -> None:
    config = small_config(**EVERYTHING)
    whole = Training(config, tmp_path / "whole")
    while not whole.finished:
        whole.advance()
    part = Training(config, tmp_path / "part")
    part.run_to(min(stop, 3))
    if stop >= 3:
        part.advance() if part.step < 3 else part.history.append(part.evaluate())
        part.run_to(stop)
    part.save()
    torch.manual_seed(12345)  # whatever the process did meanwhile must not matter
    again = Training(config, tmp_path / "part")
    assert again.restore()
    assert again.step == stop
    while not again.finished:
        again.advance()
    assert not differ(tensors_of(whole), tensors_of(again))
    expected = [comparable(e.metrics) for e in whole.history]
    assert [comparable(e.metrics) for e in again.history] == expected


def test_evaluating_more_often_does_not_change_the_training(tmp_path: Path) -> None:
    seldom = Training(small_config(), tmp_path / "a")
    seldom.run_to(6)
    often = Training(small_config(evaluation={"every": 1}), tmp_path / "b")
    while not often.finished:
        often.advance()
    assert not differ(tensors_of(seldom), tensors_of(often))


def test_each_use_of_randomness_has_its_own_stream(tmp_path: Path) -> None:
    plain = Training(small_config(), tmp_path / "plain")
    noisy = Training(
        small_config(tricks={"label_smoothing": {"kind": "uniform"}}), tmp_path / "noisy"
    )
    for _ in range(3):
        assert torch.equal(plain.game.real_batch()[0], noisy.game.real_batch()[0])
        a, b = (t.game.noise(4, t.game.streams.noise)[0] for t in (plain, noisy))
        assert torch.equal(a, b)
    other = Training(small_config(seed=1), tmp_path / "other")
    assert not torch.equal(plain.game.real_batch()[0], other.game.real_batch()[0])


def test_an_accumulated_batch_equals_the_whole_where_no_batch_statistic_is_used(
    tmp_path: Path,
) -> None:
    changes = {"networks": {"generator": {"norm": "none"}}, "optimizer": _sgd()}
    whole = Training(small_config(**changes), tmp_path / "whole")
    parts = Training(small_config(**changes, accumulate=4), tmp_path / "parts")
    whole.run_to(6)
    parts.run_to(6)
    expected, found = tensors_of(whole), tensors_of(parts)
    assert any(not torch.equal(expected[k], tensors_of_start()[k]) for k in expected)
    for name, tensor in expected.items():
        assert torch.allclose(tensor, found[name], rtol=1e-4, atol=1e-6), name


def _sgd() -> dict[str, Any]:
    """An optimiser whose step is proportional to the gradient, so that its scale is seen."""
    return {player: {"name": "sgd", "lr": 0.1} for player in ("generator", "discriminator")}


def tensors_of_start() -> dict[str, torch.Tensor]:
    """The same networks before any step."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        config = small_config(networks={"generator": {"norm": "none"}}, optimizer=_sgd())
        return tensors_of(Training(config, Path(folder)))


@pytest.mark.parametrize("decay", ["linear", "cosine", "exponential"])
def test_learning_rates_fall_to_their_floor(decay: str, tmp_path: Path) -> None:
    settings = {"lr": 0.01, "decay": decay, "decay_to": 0.1}
    config = small_config(optimizer={"generator": settings})
    optimizer = config.optimizer.generator.part(config.optimizer.generator)
    assert optimizer.rate(0.0) == pytest.approx(0.01)
    assert optimizer.rate(1.0) == pytest.approx(0.001)
    training = Training(config, tmp_path)
    training.run_to(6)
    rate = training.game.optimizers["generator"].param_groups[0]["lr"]
    assert rate == pytest.approx(optimizer.rate(5 / 6))
    assert training.game.optimizers["discriminator"].param_groups[0]["lr"] == 2e-4


def test_a_loss_that_is_not_finite_ends_the_training_as_divergence(tmp_path: Path) -> None:
    config = small_config(steps=200, evaluation={"every": 100}, optimizer={
        p: {"name": "sgd", "lr": 1.0, "momentum": 0.99} for p in ("generator", "discriminator")
    }, loss="lsgan", networks={"generator": {"norm": "none"}})  # fmt: skip
    result = train(config, folder=tmp_path)
    assert result.state == "failed"
    assert result.symptom is not None
    assert result.symptom.name == "divergence"
    assert result.final is not None
    assert result.final.step < 200
    assert "fid" not in result.final.metrics
    resumed = Training(config, tmp_path)
    assert resumed.restore()
    assert resumed.finished


def test_the_best_generator_is_kept_and_loads_without_the_trainer(tmp_path: Path) -> None:
    result = train(small_config(tricks={"ema": True}), folder=tmp_path)
    assert result.best is not None
    generator = load_generator(tmp_path)
    images = generator(torch.randn(5, generator.latent))
    assert images.shape == (5, 1, 8, 8)
    assert images.abs().max() <= 1
    assert not generator.training


@pytest.mark.parametrize(("metric", "choose"), [("kid", min), ("precision", max)])
def test_without_fid_the_best_generator_is_kept_by_the_first_metric(
    metric: str, choose: Any, tmp_path: Path
) -> None:
    evaluation = {"every": 2, "samples": 64, "metrics": [metric, "recall"]}
    training = Training(small_config(steps=8, evaluation=evaluation), tmp_path)
    while not training.finished:
        training.advance()
    best = choose(e.metrics[metric] for e in training.history)
    assert saved_header(tmp_path)[metric] == best
    found = training.result().best
    assert found is not None
    assert found.metrics[metric] == best


def test_a_generator_is_kept_by_the_metric_that_is_asked_for(tmp_path: Path) -> None:
    evaluation = {"every": 2, "samples": 64, "metrics": ["fid", "recall"], "keep_by": "recall"}
    training = Training(small_config(steps=8, evaluation=evaluation), tmp_path)
    while not training.finished:
        training.advance()
    header = saved_header(tmp_path)
    best = max(training.history, key=lambda e: (e.metrics["recall"], -e.metrics["fid"]))
    assert (header["step"], header["recall"]) == (best.step, best.metrics["recall"])


def test_a_generator_is_kept_by_the_mean_over_classes(tmp_path: Path) -> None:
    evaluation = {"every": 2, "samples": 200, "metrics": ["class_fid"]}
    config = small_config(steps=6, evaluation=evaluation, conditioning="concat")
    training = Training(config, tmp_path)
    while not training.finished:
        training.advance()

    def mean(metrics: Mapping[str, float]) -> float:
        return statistics.fmean(v for k, v in metrics.items() if k.startswith("class_fid/"))

    best = min(training.history, key=lambda e: mean(e.metrics))
    header = saved_header(tmp_path)
    assert (header["step"], header["class_fid"]) == (best.step, mean(best.metrics))
    assert training.result().best == best


@pytest.mark.parametrize(("grid", "rows", "columns"), [(4, 2, 2), (20, 10, 2), (64, 10, 6)])
def test_a_picture_shows_a_row_a_class_or_as_many_classes_as_it_has_room_for(
    grid: int, rows: int, columns: int, tmp_path: Path
) -> None:
    config = small_config(steps=2, conditioning="concat", evaluation={"every": 2, "grid": grid})
    training = Training(config, tmp_path)
    labels = training.monitor.pictures.labels
    assert labels is not None
    shown = 10 if grid >= 10 else grid
    assert labels.unique().tolist() == [index * 10 // shown for index in range(shown)]
    samples = training.advance().samples
    assert samples is not None
    with Image.open(tmp_path / samples) as picture:
        assert picture.width / picture.height == pytest.approx(columns / rows, rel=0.05)


def test_what_is_kept_by_must_be_measured() -> None:
    (problem,) = problems_of(
        {"data": "digits", "evaluation": {"metrics": ["fid", "kid"], "keep_by": "modes"}}
    )
    assert (problem.path, problem.expected) == ("evaluation.keep_by", "one of fid, kid")
    (problem,) = problems_of({"data": "digits", "evaluation": {"keep_by": "fidd"}})
    assert problem.nearest == "fid"


def test_the_watcher_has_scores_and_gradients_however_often_it_looks(tmp_path: Path) -> None:
    config = small_config(steps=7, evaluation={"every": 3, "samples": 64})
    training = Training(config, tmp_path)
    while not training.finished:
        training.advance()
    seen = training.monitor.watcher.history
    assert [signals.step for signals in seen] == [3, 6, 7]
    for signals in seen:
        assert signals.accuracy_real is not None
        assert signals.gradient_generator is not None


def test_pictures_are_drawn_at_every_evaluation(tmp_path: Path) -> None:
    from PIL import Image

    result = train(small_config(), folder=tmp_path)
    for evaluation in result.history:
        assert evaluation.samples is not None
        with Image.open(tmp_path / evaluation.samples) as picture:
            assert picture.width >= 64


@pytest.mark.parametrize("conditioning", ["none", "projection"])
def test_a_picture_is_made_of_as_many_images_at_a_time_as_an_evaluation(
    conditioning: str, tmp_path: Path
) -> None:
    pictures: list[bytes] = []
    for batch in (256, 4):
        rules = {"grid": 30, "batch": batch}
        training = Training(small_config(conditioning=conditioning, evaluation=rules), tmp_path)
        counts: list[int] = []
        network = training.game.generator
        network.register_forward_hook(lambda _, z, made, counts=counts: counts.append(len(made)))
        picture = training.evaluate().samples
        assert picture is not None
        assert max(counts) <= batch
        pictures.append((tmp_path / picture).read_bytes())
    assert pictures[0] == pictures[1]


def test_a_picture_has_one_row_a_class_where_labels_are_used(tmp_path: Path) -> None:
    from PIL import Image

    config = small_config(conditioning="projection", evaluation={"grid": 30})
    evaluation = Training(config, tmp_path).evaluate()
    assert evaluation.samples is not None
    with Image.open(tmp_path / evaluation.samples) as picture:
        tile = 34  # 8 pixels, enlarged four times, and the gap
        assert picture.size == (3 * tile + 2, 10 * tile + 2)


def test_points_are_drawn_over_the_true_modes(tmp_path: Path) -> None:
    from PIL import Image

    mlp = {"family": "mlp", "width": 4, "depth": 1}
    config = small_config(data={"name": "ring"}, networks={"generator": mlp, "discriminator": mlp})
    evaluation = Training(config, tmp_path).evaluate()
    assert evaluation.samples is not None
    with Image.open(tmp_path / evaluation.samples) as picture:
        reach = 1.25  # the modes lie on the unit circle
        right_mode = (round((1 / reach + 1) * picture.width / 2) + 8, picture.height // 2)
        assert picture.getpixel(right_mode) == (160, 160, 160)
        assert (31, 90, 170) in {colour for _, colour in picture.getcolors(picture.width**2)}


def test_reporting_false_ends_the_training_and_it_can_be_taken_up(tmp_path: Path) -> None:
    first = train(small_config(), folder=tmp_path, report=lambda evaluation: False)
    assert first.state == "running"
    assert len(first.history) == 1
    second = train(small_config(), folder=tmp_path)
    assert second.state == "completed"
    assert len(second.history) == 2


def test_a_training_stops_at_the_step_that_it_is_to_reach_and_stays_there(tmp_path: Path) -> None:
    whole = train(small_config(), folder=tmp_path / "whole").history
    until = whole[0].step
    for _ in range(2):  # the second time there is nothing left to train
        part = train(small_config(), folder=tmp_path / "part", until=until)
        assert [one.step for one in part.history] == [until]
    rest = train(small_config(), folder=tmp_path / "part")
    assert [one.metrics["fid"] for one in rest.history] == [one.metrics["fid"] for one in whole]


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    train(small_config(), folder=tmp_path)
    with pytest.raises(CheckpointError, match="another configuration"):
        Training(small_config(seed=3), tmp_path).restore()


KILLED_WHILE_SAVING = """
import os, sys
from pathlib import Path
from trials.state import checkpoint
file, calls, after = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "after"
checkpoint.save(file, "f", {"n": 1})
checkpoint.save(file, "f", {"n": 2})
real, done = os.replace, 0
def kill(*names):
    global done
    done += 1
    if done == calls and not after:
        os._exit(9)
    real(*names)
    if done == calls:
        os._exit(9)
os.replace = kill
checkpoint.save(file, "f", {"n": 3})
"""


@pytest.mark.parametrize(
    ("calls", "when", "left"),
    [(1, "before", 2), (1, "after", 2), (2, "before", 2), (2, "after", 3)],
)
def test_a_kill_while_saving_leaves_the_newest_checkpoint_that_is_whole(
    calls: int, when: str, left: int, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.pt"
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(file), str(calls), when]
    assert subprocess.run(command, check=False).returncode == 9
    assert recover(file, "f") == ({"n": left}, ())
    save(file, "f", {"n": 4})
    assert recover(file, "f") == ({"n": 4}, ())
    file.write_bytes(b"")
    assert recover(file, "f").state == {"n": left}


def test_what_a_kill_has_left_in_a_folder_is_gone_when_a_training_goes_on_there(
    tmp_path: Path,
) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom trials.files import atomic_write\n"
        "atomic_write(Path(sys.argv[1]), lambda path: os.kill(os.getpid(), signal.SIGKILL))"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "checkpoint.pt")], check=False)
    assert len(list(tmp_path.glob(".checkpoint.pt.*.tmp"))) == 1
    ours = temporary_for(tmp_path / "checkpoint.pt")
    ours.touch()
    Training(small_config(), tmp_path)
    assert list(tmp_path.glob(".*")) == [ours]


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    from trials.state.checkpoint import load

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    file = tmp_path / "checkpoint.pt"
    torch.save({"format": FORMAT, "fingerprint": "f", "state": Evil()}, file)
    with pytest.raises(CheckpointError):
        load(file, "f")
    assert not (tmp_path / "executed").exists()


def test_a_config_survives_being_written_and_read(tmp_path: Path) -> None:
    config = small_config(**EVERYTHING)
    assert load_config(config.as_dict()) == config
    assert load_config(config.as_dict()).fingerprint() == config.fingerprint()
    assert load_config(merge(SMALL, {"seed": 5})).fingerprint() != small_config().fingerprint()


@pytest.mark.parametrize(
    ("loss", "centred"),
    [("non_saturating", True), ("hinge", True), ("lsgan", False), ("wgan", False)],
)
def test_accuracy_is_counted_from_where_the_loss_parts_the_sides(
    loss: str, centred: bool, tmp_path: Path
) -> None:
    training = Training(small_config(loss=loss, steps=10), tmp_path)
    with torch.no_grad():  # every score far above 0, as a critic's may well be
        training.game.discriminator.get_submodule("score").bias.fill_(100.0)
    training.run_to(10)
    metrics = training.evaluate().metrics
    assert metrics["score/fake"] > 50
    accuracies = metrics["accuracy/real"], metrics["accuracy/fake"]
    assert (accuracies == (1.0, 0.0)) == centred


def test_a_generator_that_takes_labels_is_measured_by_class(tmp_path: Path) -> None:
    config = small_config(
        conditioning="projection", evaluation={"metrics": ["fid", "class_fid"], "samples": 64}
    )
    metrics = Training(config, tmp_path).evaluate().metrics
    assert {f"class_fid/{label}" for label in range(10)} <= set(metrics)


def test_what_cannot_be_measured_is_refused_with_every_other_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        small_config(
            accumulate=3, evaluation={"metrics": ["fid", "modes", "memorisation", "class_fid"]}
        )
    assert [problem.path for problem in caught.value.problems] == [
        "accumulate",
        *["evaluation.metrics"] * 3,
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_or_endless_is_refused(value: float) -> None:
    """A weight of infinity trains nothing, and no saved config could be read back."""
    for key, trick in catalogue.tricks().items():
        for knob, field in trick.Config.model_fields.items():
            if field.annotation is not float:
                continue
            path = catalogue.path_of(key)
            selects = path in catalogue.SELECTORS
            changes = (
                {path: {"name": key, knob: value}} if selects else {"tricks": {key: {knob: value}}}
            )
            found = [problem.path for problem in problems_of(merge(SMALL, changes))]
            assert f"{path}.{knob}" in found
    for knob in ("lr", "eps", "weight_decay"):
        changes = {"optimizer": {"generator": {knob: value}}}
        found = [problem.path for problem in problems_of(merge(SMALL, changes))]
        assert found == [f"optimizer.generator.{knob}"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"accumulate": 8, "networks": {"generator": {"norm": "batch"}}}, "accumulate"),
        ({"accumulate": 8, "networks": {"discriminator": {"norm": "batch"}}}, "accumulate"),
        (
            {
                "networks": {"discriminator": {"norm": "batch"}},
                "tricks": {"packing": {"samples": 8}},
            },
            "tricks.packing.samples",
        ),
        (
            {
                "networks": {"generator": {"norm": "batch"}},
                "evaluation": {"batch_statistics": "standing", "batch": 1},
            },
            "evaluation.batch",
        ),
    ],
)
def test_batch_norm_over_vectors_is_not_given_a_lone_sample(
    changes: dict[str, Any], path: str, tmp_path: Path
) -> None:
    networks = {"generator": {"norm": "none"}, "discriminator": {"norm": "none"}}
    mapping = merge(merge(SMALL, {"data": "ring", "networks": networks}), changes)
    (problem,) = problems_of(mapping)
    assert problem.path == path
    assert "one sample" in problem.message
    # Feature maps have a deviation within one sample.
    training = Training(load_config(merge(mapping, {"data": "digits"})), tmp_path)
    training.run_to(1)
    assert training.step == 1
