"""The best generator comes back from MLflow as something that makes images, in three lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from sweeper.tracking import SWEEP, Outbox, vendor
from sweeper.tracking.backlog import Backlog
from sweeper.tracking.models import log_folder, log_generator
from sweeper.tracking.runs import find_runs
from sweeper.tracking.sender import Sender
from sweeper.tracking.store import Refused, Store
from sweeper.tracking.vendor import ENVIRONMENT


class Generator(nn.Module):
    """What generators here are made of: a projection, transposed convolutions, batch statistics."""

    def __init__(self, latent: int = 16) -> None:
        super().__init__()
        self.latent = latent
        self.project = nn.Linear(latent, 32)
        self.body = nn.Sequential(
            nn.BatchNorm2d(8),
            nn.ConvTranspose2d(8, 4, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 1, 3, 1, 1)),
        )
        self.noise = nn.Parameter(torch.zeros(1))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.body(self.project(z).view(-1, 8, 2, 2))
        return torch.tanh(x + self.noise * torch.randn_like(x))


class Untraceable(Generator):
    """It looks at values, which a graph cannot."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return super().forward(z) if z.sum().item() > 0 else -super().forward(z)


class Fixed(Generator):
    """Its trace would hold for one number of images only."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return super().forward(z) + torch.zeros(len(z), 1, 4, 4)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Store:
    home = tmp_path_factory.mktemp("models")
    shutil.copy(database, home / "mlflow.db")
    return Store(f"sqlite:///{home}/mlflow.db", home / "mlartifacts")


def logged(store: Store, name: str, generator: nn.Module) -> str:
    experiment = store.experiment(name)
    run_id, _ = store.create(experiment, "trial", {}, 1)
    return log_generator(store, experiment, run_id, "generator", generator)


def send(outbox: Path, store: Store) -> None:
    with Backlog(outbox) as backlog:
        sender = Sender(backlog, store, "me", log_folder)
        sender.send()
        sender.send()
        assert backlog.waiting() == {}


class Conditional(nn.Module):
    """One with classes, which draws them itself where none are given."""

    latent = 64
    classes = 10

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(self.classes, self.latent)
        self.body = nn.Sequential(nn.Linear(self.latent, 12), nn.BatchNorm1d(12))

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        if labels is None:
            labels = torch.randint(self.classes, (z.shape[0],))
        return torch.tanh(self.body(z + self.embed(labels)).view(-1, 3, 2, 2))


_THREE_LINES = """
import mlflow, torch, sys
for uri in sys.argv[1:]:
    for count in (1, 5):
        generator = mlflow.pytorch.load_model(uri)
        images = generator(torch.linspace(-1, 1, count * 16).view(count, 16))
        print([round(v, 4) for v in images.flatten().tolist()[:6]], tuple(images.shape))
assert "sweeper" not in sys.modules and "trials" not in sys.modules
"""


def test_the_logged_generator_loads_in_three_lines_in_a_process_that_knows_nothing_of_us(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    generator = Generator()
    export = types.ModuleType("trials.evaluation.export")
    export.load_generator = lambda folder: generator  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trials.evaluation.export", export)
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.sweep_started("models", study=str(tmp_path))
        outbox.trial_started(3)
        outbox.trial_ended(3, "completed")
        outbox.model(3, tmp_path)
        outbox.tagged(SWEEP, {"sweeper.winner": "00003"})
        send(tmp_path / "outbox.db", store)
        assert outbox.left().failures == ()
    runs = {run["tags"]["sweeper.trial"]: run for run in find_runs(store.uri, "models")}
    [uri] = {run["tags"]["sweeper.model"] for run in runs.values()}

    done = subprocess.run(
        [sys.executable, "-c", _THREE_LINES, uri, f"runs:/{runs['00003']['run_id']}/generator"],
        env={
            **os.environ,
            **ENVIRONMENT,
            "MLFLOW_TRACKING_URI": store.uri,
            "PYTHONPATH": "",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = []
    for count in (1, 5):
        images = generator.eval()(torch.linspace(-1, 1, count * 16).view(count, 16))
        values = [round(v, 4) for v in images.flatten().tolist()[:6]]
        expected.append(f"{values} {(count, 1, 4, 4)}")
    assert done.stdout.splitlines() == expected * 2


@pytest.mark.parametrize("kind", [Generator, Conditional])
def test_what_is_loaded_is_a_module_as_people_expect_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, kind: type[nn.Module]
) -> None:
    torch.manual_seed(0)
    original = kind()
    uri = logged(store, kind.__name__, original)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    mlflow = vendor.load("mlflow")
    generator = mlflow.pytorch.load_model(uri)
    z = torch.randn(7, original.latent)
    images = generator(z)
    assert not generator.training
    for same in (generator.eval(), generator.train(False), generator.to("cpu")):
        assert same is generator
        assert torch.equal(generator(z), images), "the same z is the same image"
    assert generator.half()(z.half()).dtype is torch.float16
    assert generator.float()(z[:1]).shape == (1, *images.shape[1:])

    model = mlflow.pyfunc.load_model(uri)
    assert model.metadata.get_input_schema().inputs[0].shape == (-1, original.latent)
    assert model.metadata.get_output_schema().inputs[0].shape == (-1, *images.shape[1:])
    example = model.input_example
    assert (type(example), example.shape) == (numpy.ndarray, (4, original.latent))
    assert model.predict(example).shape == (4, *images.shape[1:])
    numpy.testing.assert_allclose(model.predict(z.numpy()), images.numpy(), atol=1e-5)


def test_a_generator_with_classes_takes_a_class_labels_or_neither(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    original = Conditional().eval()
    uri = logged(store, "labels", original)
    mlflow = vendor.load("mlflow")
    generator, model = mlflow.pytorch.load_model(uri), mlflow.pyfunc.load_model(uri)
    z, threes = torch.randn(400, 64), torch.full((400,), 3)
    with torch.no_grad():
        wanted = original(z, threes)
        each = [original(z, torch.full((400,), label)) for label in range(10)]
    torch.testing.assert_close(generator(z, 3), wanted)
    torch.testing.assert_close(generator(z, threes), wanted)
    numpy.testing.assert_allclose(model.predict(z.numpy(), {"labels": 3}), wanted, atol=1e-5)
    drawn = generator(z)
    found = [(drawn - images).abs().amax((1, 2, 3)).lt(1e-5).sum().item() for images in each]
    assert sum(found) == 400
    assert min(found) > 15, "every class is drawn about as often"


def test_the_page_on_mlflow_loads_it_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    page = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text()
    *_, loading = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    there = {"model": logged(store, "page", Conditional())}
    exec(loading, there)
    assert there["images"].shape == (16, 3, 2, 2)


def test_logging_again_finds_the_model_and_clears_away_one_that_was_begun(
    tmp_path: Path, store: Store
) -> None:
    experiment = store.experiment("again")
    run_id, _ = store.create(experiment, "trial", {}, 1)
    begun = store.client.create_logged_model(experiment, "generator", source_run_id=run_id)
    with pytest.raises(Refused, match="cannot load the generator"):
        log_folder(store, experiment, run_id, "generator", tmp_path)
    uri = log_generator(store, experiment, run_id, "generator", Generator())
    assert log_folder(store, experiment, run_id, "generator", tmp_path) == uri  # let go of here
    models = store.client.search_logged_models([experiment])
    assert [f"models:/{model.model_id}" for model in models] == [uri]
    assert begun.model_id not in uri


@pytest.mark.parametrize("kind", [Untraceable, Fixed])
def test_a_generator_whose_graph_would_not_do_is_refused_with_the_reason(
    store: Store, kind: type[Generator]
) -> None:
    experiment = store.experiment("untraceable")
    run_id, _ = store.create(experiment, "trial", {}, 1)
    with pytest.raises(Refused, match=r"torch\.export cannot trace"):
        log_generator(store, experiment, run_id, "generator", kind())
    assert store.client.search_logged_models([experiment]) == []
