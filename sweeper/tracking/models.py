"""The best generator as a logged model that `mlflow.pytorch.load_model` turns into images.

It is saved as the graph of torch's own operations that `graphs` traces, so it loads without this
package and still after the classes here have changed. MLflow's `pt2` format would need no pickle,
but what it loads raises from `.eval()` and `.train()`. So this is MLflow's usual format, which runs
what is in the file: whoever wants none of that takes `generator.safetensors`, an artifact of the
run, which `trials.evaluation.export.load_generator` reads.

    generator = mlflow.pytorch.load_model("models:/m-…").eval()
    images = generator(torch.randn(64, 128))              # (64, C, H, W) in [-1, 1]
    mlflow.pyfunc.load_model("models:/m-…").predict(z, params={"labels": 3})    # NumPy
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

from sweeper.foreign_parts import unpack
from sweeper.tracking import vendor
from sweeper.tracking.store import Refused, Store, translated
from trials.errors import reason_of


def log_folder(
    store: Store, experiment: str, run_id: str, name: str, folder: Path, parts: bytes = b""
) -> str:
    """Log the generator of a trial's folder, which may need `parts`, the sweep's foreign ones.

    Returns `models:/m-…`. A model of this name that the run has already is returned as it is, and
    one that was begun and not finished makes way.

    Raises:
        Refused: it cannot be loaded or traced.
        Unreachable: MLflow does not answer.
    """
    if earlier := _finished(store, experiment, run_id, name):
        return earlier
    try:
        unpack(parts)
        generator = importlib.import_module("trials.evaluation.export").load_generator(folder)
    except Exception as error:
        raise Refused(f"cannot load the generator in {folder}: {reason_of(error)}") from error
    return log_generator(store, experiment, run_id, name, generator)


def log_generator(store: Store, experiment: str, run_id: str, name: str, generator: Any) -> str:
    """Log a module that maps z (N, `generator.latent`) to samples as model `name` of the run.

    Returns `models:/m-…`.

    Raises:
        Refused: the module cannot be traced.
        Unreachable: MLflow does not answer.
    """
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
    torch = importlib.import_module("torch")
    graphs = importlib.import_module("sweeper.tracking.graphs")
    flavour = vendor.load("mlflow.pytorch")
    description = vendor.load("mlflow.models").Model(run_id=run_id)
    generator = generator.cpu().eval().requires_grad_(False)
    example = graphs.example_of(generator)
    # It warns of its format, about which the user of a sweep can do nothing.
    logging.getLogger("mlflow.pytorch").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The tracer and the schema helpers warn of their own deprecations.
            warnings.simplefilter("ignore")
            shape = tuple(generator(example).shape[1:])
            flavour.save_model(
                graphs.as_graph(generator),
                str(path),
                mlflow_model=description,
                serialization_format="pickle",
                input_example=example.numpy(),
                signature=_signature(generator, shape),
                pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
            )
            # A trace may have fixed the number of images unasked, which shows only now.
            flavour.load_model(str(path))(torch.cat([example, example[:1]]))
    except Exception as error:
        raise Refused(f"torch.export cannot trace the generator: {reason_of(error)}") from error
    return description


def _signature(generator: Any, shape: tuple[int, ...]) -> Any:
    """z → images, and where there are classes the parameter `labels`."""
    numpy = importlib.import_module("numpy")
    types = vendor.load("mlflow.types")

    def free_batch(*rest: int) -> Any:
        # Without a name: of a named one MLflow makes the example a mapping, and refuses it.
        return types.Schema([types.TensorSpec(numpy.dtype("float32"), (-1, *rest))])

    labels = types.ParamSpec("labels", types.DataType.long, -1)
    return vendor.load("mlflow.models").ModelSignature(
        free_batch(int(generator.latent)),
        free_batch(*shape),
        types.ParamSchema([labels]) if getattr(generator, "classes", 0) else None,
    )


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
