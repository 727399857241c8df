"""The best generator as a logged model that `mlflow.pytorch.load_model` turns into images.

It is saved in MLflow's `pt2` format: the graph that `torch.export` traces, with the weights beside
it. Unlike MLflow's older format it holds no pickled class, so loading it runs no code, works
without this package, and still works after the classes here have changed.

    generator = mlflow.pytorch.load_model("models:/m-…")
    images = generator(torch.randn(64, 128))              # (64, C, H, W) in [-1, 1]
"""

from __future__ import annotations

import importlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

from sweeper.company import unpack
from sweeper.tracking import vendor
from sweeper.tracking.store import Refused, Store, translated
from trials.errors import reason_of

EXAMPLES = 4
"""Batch size of the trace; torch.export keeps the first axis free only if it is not 1."""


def log_folder(
    store: Store, experiment: str, run_id: str, name: str, folder: Path, parts: bytes = b""
) -> str:
    """Log the generator of a trial's folder, which may need `parts` of the sweep's company.

    Returns `models:/m-…`.

    Raises:
        Refused: it cannot be loaded or traced.
        Unreachable: MLflow does not answer.
    """
    try:
        unpack(parts)
        generator = importlib.import_module("trials.evaluation.export").load_generator(folder)
    except Exception as error:
        raise Refused(f"cannot load the generator in {folder}: {reason_of(error)}") from error
    return log_generator(store, experiment, run_id, name, generator)


def log_generator(store: Store, experiment: str, run_id: str, name: str, generator: Any) -> str:
    """Log a module that maps z (N, `generator.latent`) to samples as model `name` of the run.

    Returns `models:/m-…`. A model of this name that the run has already is returned as it is, and
    one that was begun and not finished makes way.

    Raises:
        Refused: the module cannot be traced.
        Unreachable: MLflow does not answer.
    """
    if earlier := _finished(store, experiment, run_id, name):
        return earlier
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        model = _save(generator, path, run_id)
        return _log(store, experiment, run_id, name, path, model)


def _finished(store: Store, experiment: str, run_id: str, name: str) -> str:
    condition = f"source_run_id = '{run_id}' AND name = '{name}'"
    with translated(f"look for model {name!r}"):
        for model in store.client.search_logged_models([experiment], condition):
            if str(model.status) == "READY":
                return f"models:/{model.model_id}"
            store.client.delete_logged_model(model.model_id)
    return ""


def _save(generator: Any, path: Path, run_id: str) -> Any:
    """Trace and save the module at `path`. Returns the description that goes with it."""
    numpy = importlib.import_module("numpy")
    torch = importlib.import_module("torch")
    flavour = vendor.load("mlflow.pytorch")
    types = vendor.load("mlflow.types")
    models = vendor.load("mlflow.models")
    generator = generator.cpu().eval().requires_grad_(False)
    latent = int(generator.latent)
    example = torch.zeros(EXAMPLES, latent)
    shape = tuple(generator(example).shape[1:])

    def free_batch(*rest: int, name: str) -> Any:
        return types.Schema([types.TensorSpec(numpy.dtype("float32"), (-1, *rest), name)])

    description = models.Model(run_id=run_id)
    try:
        with warnings.catch_warnings():
            # The tracer and the schema helpers warn of their own deprecations.
            warnings.simplefilter("ignore")
            flavour.save_model(
                generator,
                str(path),
                mlflow_model=description,
                serialization_format="pt2",
                input_example=example,
                signature=models.ModelSignature(
                    free_batch(latent, name="z"), free_batch(*shape, name="images")
                ),
                pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
            )
            # A trace may have fixed the number of images unasked, which shows only now.
            flavour.load_model(str(path))(torch.zeros(EXAMPLES + 1, latent))
    except Exception as error:
        raise Refused(f"torch.export cannot trace the generator: {reason_of(error)}") from error
    return description


def _log(
    store: Store, experiment: str, run_id: str, name: str, path: Path, description: Any
) -> str:
    entities = vendor.load("mlflow.entities")
    with translated(f"log model {name!r}"):
        model = store.client.create_logged_model(experiment, name, source_run_id=run_id)
        description.model_id = model.model_id
        description.save(str(path / "MLmodel"))
        store.client.log_model_artifacts(model.model_id, str(path))
        store.client.finalize_logged_model(model.model_id, "READY")
        output = entities.LoggedModelOutput(model.model_id, step=0)
        store.client.log_outputs(run_id, [output])
    return f"models:/{model.model_id}"
