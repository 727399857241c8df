"""The one door to the `mlflow` package: imported late (it takes seconds) and silenced first."""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from types import ModuleType

ENVIRONMENT = {
    # Nothing phones home.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # Runs are of models, not of prompts.
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
    # MLflow's own seven retries keep who reads from a server that is down waiting for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""What every process gets that imports mlflow on our behalf."""

WRITER_ENVIRONMENT = {
    **ENVIRONMENT,
    # A lost answer must not be retried blindly: the writer looks before it creates.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


def load(name: str = "mlflow") -> ModuleType:
    """The module `name` of mlflow. What the user's environment says already stands.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    # A new database goes through every migration of MLflow's history, and says so.
    for logger in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    # MLflow's own mappings, which SQLAlchemy 2.1 frowns on; nothing that a user could mend.
    warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
    return importlib.import_module(name)
