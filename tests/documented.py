"""The commands and snippets that README and docs show, as a reader would copy them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md")))

ELSEWHERE: Mapping[str, str] = {
    "docker ": "needs Docker, which no test has; `make lint` checks the files",
    "cp docker/": "goes with Docker",
    "make ": "a target of its own, run by whoever changes something",
    "python3 -m venv": "an environment of its own",
    "pip install": "fetches packages",
    "sweeper extractor train": "trains for a while: tests/unit/test_own_extractors.py",
    'python -c "import pickle': "reads CIFAR-10: tests/unit/test_data_files.py runs the line",
    "kubectl ": "needs Kubernetes; `make lint` and tests/unit/test_kubernetes.py check the files",
    "openssl ": "goes with Kubernetes",
    "sbatch ": "a Slurm: tests/integration/test_slurm.py has one on this machine",
    ". /shared": "goes with Slurm",
    "ray start": "a cluster of several machines: tests/cluster_simulation.py",
    "ray ": "needs a cloud; tests/unit/test_clouds.py checks the file",
    "sky ": "needs a cloud; tests/unit/test_clouds.py checks the file",
    "export ": "sets the environment of a cluster or of a service",
    "mkdir /lab": "a folder of a lab, with its group",
    "createdb": "a PostgreSQL of one's own: tests/service/conftest.py starts one",
    "curl ": "a service of somebody's: tests/service/test_notices.py asks the same",
    "sweeper login": "a service: tests/service/test_cli_server.py signs in",
    "sweeper serve": "a service: tests/service/test_serve.py starts it",
    "sweeper token": "a service: tests/service/test_serve.py and test_cli_server.py",
    "sweeper queue": "a service: tests/service/test_cli_server.py",
    "sweeper ui": "goes on until it is ended: tests/faults/test_ui_signals.py",
    "optuna-dashboard": "goes on until it is ended: tests/integration/test_optuna_dashboard.py",
    "python -m benchmarks": "takes minutes to hours; its numbers stand beside it",
    "python -c 'import mlflow": "MLflow behind a service: tests/service/test_mlflow_door.py",
    "sweeper show quickstart": "tests/unit/test_provenance.py",
    "sweeper train --like quickstart": "tests/unit/test_provenance.py",
    "sweeper sync": "an MLflow server of somebody's: tests/integration/test_mlflow_browsing.py",
    "sweeper run mine.yaml --home /shared": "a cluster of several machines",
}
"""Beginning of a command → why it is run in no folder of this test, and where else it is."""

OF_A_SERVICE: Mapping[str, str] = {
    "docs/client.md": "tests/service/test_cli_server.py runs each of these verbs on a server",
    "docs/service.md": "tests/service/test_serve.py and test_cli_server.py",
}
"""Page → where its commands, which are given to a service, are run."""

SNIPPETS_ELSEWHERE: Mapping[str, str] = {
    "docs/client.md": "a service: tests/service/test_client.py has the same calls",
    "docs/mlflow.md": "an MLflow with runs: tests/integration/test_mlflow_browsing.py",
    "docs/parts.md": "each is a part, which tests/conformance/test_parts_page.py tries",
    "CONTRIBUTING.md": "a trick, which tests/unit/test_documentation.py trains",
}
"""Page → why its Python snippets are run by another test."""


class Command(NamedTuple):
    """One command of a page, without its comment."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """What a shell makes of it."""
        return shlex.split(self.text)

    @property
    def elsewhere(self) -> str:
        """Why it cannot run here; empty where it can."""
        if self.page in OF_A_SERVICE:
            return OF_A_SERVICE[self.page]
        text = re.sub(r"^(\w+=\S* )+", "", self.text)
        return next((why for start, why in ELSEWHERE.items() if text.startswith(start)), "")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> Iterator[Command]:
    """The commands of a page's shell blocks, in their order."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            text = " ".join(re.sub(r"(^|\s)#.*", "", line).split())
            if text:
                yield Command(page, text)


def inline(page: str) -> Iterator[Command]:
    """The commands of `sweeper` that a page names within a sentence."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for span in re.findall(r"`([^`]+)`", text):
        words = " ".join(span.split())
        if words.startswith("sweeper "):
            yield Command(page, words)
