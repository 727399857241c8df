"""Verbs about this machine and its MLflow: doctor, ui, sync."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.named import Finding, named
from sweeper.cli.options import HomeOption, JsonOption, SweepName, given_address, print_json
from sweeper.cli.printing import say
from sweeper.home import Home
from sweeper.locks import can_lock
from sweeper.permissions import private
from sweeper.wording import plural

GIBIBYTE = 2**30


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(doctor)
    app.command()(ui)
    app.command()(sync)


def doctor(home: HomeOption = None, json: JsonOption = False) -> int:
    """Check what works on this machine, and what is missing."""
    findings = list(_examine(Home.at(home)))
    if json:
        print_json([finding._asdict() for finding in findings])
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            mark = {True: "ok", False: "BAD", None: "-"}[finding.ok]
            say(f"{mark:<4} {finding.what:<{width}}  {finding.found}")
            if finding.remedy and finding.ok is not True:
                say(f"     {'':<{width}}  {finding.remedy}")
    return 1 if any(finding.ok is False for finding in findings) else 0


def _examine(home: Home) -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", sys.version_info >= (3, 11), version, "3.11 or newer is needed")
    for package in ("torch", "ray", "optuna", "mlflow", "numpy", "scipy", "pyarrow"):
        yield _package(package)
    yield _gpu()
    yield _mps()
    yield _extra("inception", "torch_fidelity", "FID with the published Inception weights")
    yield _extra("service", "fastapi", "the sweep service")
    yield _extra("cluster", "psycopg", "a study kept in PostgreSQL")
    for extra, module in (
        ("s3", "s3fs"),
        ("gs", "gcsfs"),
        ("az", "adlfs"),
        ("hf", "huggingface_hub"),
    ):
        yield _extra(extra, module, f"data and weights at {extra}://")
    yield _home(home)
    yield _space(
        "disk", shutil.disk_usage(_nearest_folder(home)).free, 2, "free space for checkpoints"
    )
    yield _memory()
    if os.path.isdir("/dev/shm"):
        yield _space("shared memory", shutil.disk_usage("/dev/shm").free, 0.5, "Ray's object store")
    yield Finding(
        "cores", True, f"{os.cpu_count()} (limits.parallel times resources.cpu should fit)"
    )
    yield _extractor()
    yield from named(home)


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", f"pip install '{name}'")


def _extra(extra: str, module: str, purpose: str) -> Finding:
    if importlib.util.find_spec(module) is not None:
        return Finding(f"extra {extra}", True, purpose)
    return Finding(
        f"extra {extra}", None, f"not installed: {purpose}", f"pip install 'gan-sweeper[{extra}]'"
    )


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("gpu", True, ", ".join(names))
    reason = "this torch is built for the CPU" if torch.version.cuda is None else "none is visible"
    return Finding("gpu", None, f"none ({reason}); trials run on the CPU with resources.gpu: 0")


def _mps() -> Finding:
    from sweeper.sharing.mps import in_words

    there, told = in_words()
    return Finding("mps", there or None, told)


def _nearest_folder(home: Home) -> Path:
    folder = home.path
    while not folder.exists():
        folder = folder.parent
    return folder


def _home(home: Home) -> Finding:
    folder = _nearest_folder(home)
    another = "choose another with --home"
    if not os.access(folder, os.W_OK):
        return Finding("home", False, f"{folder} cannot be written", another)
    try:
        if not can_lock(folder):
            return Finding(
                "home", False, f"{folder} is on a file system without locks", "mount it with locks"
            )
        count = len(home.names())
    except OSError as error:  # no space or quota is left, or a sweep's folder is nobody's to read
        why = error.strerror or error
        return Finding("home", False, f"{folder} cannot be used: {why}", f"make room, or {another}")
    return Finding("home", True, f"{home.path} ({plural(count, 'sweep')})")


def _space(what: str, free: int, enough: float, purpose: str) -> Finding:
    text = f"{free / GIBIBYTE:.1f} GiB free"
    return Finding(what, free > enough * GIBIBYTE, text, f"{purpose}: {enough:g} GiB or more")


def _memory() -> Finding:
    import psutil

    return _space("memory", psutil.virtual_memory().available, 2, "Ray and two trials")


def _extractor() -> Finding:
    from trials.errors import TrialError
    from trials.metrics.extractors.digits import DigitsExtractor

    try:
        fingerprint = DigitsExtractor().fingerprint
    except (TrialError, OSError) as error:
        return Finding("digits extractor", False, str(error), "reinstall gan-sweeper")
    return Finding("digits extractor", True, f"weights {fingerprint[:12]}")


def sync(
    name: SweepName,
    home: HomeOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            parser=given_address,
            metavar="ADDRESS",
            help="Move all records to this MLflow, and use it from now on.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Send again what has already arrived, for an MLflow restored from a backup.",
        ),
    ] = False,
) -> int:
    """Send MLflow what it lacks, or everything to another MLflow."""
    from sweeper.search.looking import sweep_of
    from sweeper.secrets import without_user
    from sweeper.tracking.address import tracking_uri
    from sweeper.tracking.elsewhere import keep_to, move_to
    from sweeper.tracking.handle import sync as send
    from sweeper.tracking.moved import follow_home

    here = Home.at(home)
    folder, called = here.existing(name), name + here.flag
    given = sweep_of(folder).tracking.uri
    uri = tracking_uri(here.path, to or given)
    with private(here.path), folder.lock():
        if moved := follow_home(uri, here.mlartifacts):
            say(moved)
        if to is None:
            keep_to(folder.outbox, uri, here.mlartifacts, called)
        else:
            move_to(folder.outbox, uri)
        left = send(folder.outbox, uri, here.mlartifacts, again=again)
    command = called if to is None else f"{called} --to {shlex.quote(without_user(uri))}"
    say(left.advice(command) if left else f"{name}: MLflow has everything")
    if to is not None and tracking_uri(here.path, given) != uri:
        place = "MLFLOW_TRACKING_URI" if given is None else "tracking.uri of its file"
        say(f"before {name} is run again, set {place} to {without_user(uri)}")
    return 1 if left else 0


def ui(
    home: HomeOption = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on.  [5000, else a free one]"),
    ] = None,
) -> int:
    """Open MLflow's web interface for the runs of a home."""
    from sweeper.tracking.ui import serve_ui

    return serve_ui(Home.at(home).path, port)
