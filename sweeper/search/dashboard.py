"""Optuna's dashboard over the studies of a home, to be looked at only, below any address.

The dashboard names its own addresses from the root (`/api/…`, `/dashboard/…`). Its script is given
another root, the first two pieces of the address that it was opened at, so that one script serves
every sweep: /optuna/NAME/dashboard, /optuna/NAME/api/….
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sweeper.errors import SweeperError, UnknownSweep
from sweeper.home import Home, SweepFolder
from sweeper.search.attributes import translated
from sweeper.search.storage import open_storage, storage_exists

KEPT = 8
"""Studies that are kept in memory; the one that nobody asked for longest goes first."""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""

_ROOT = "window.optunaRoot"
_PRELUDE = f'{_ROOT}=location.pathname.split("/",3).join("/");\n'
_CHANGES = (
    ('url_prefix:"/dashboard"', f'url_prefix:{_ROOT}+"/dashboard"'),
    ("${this.baseURL}/api/", f"${{{_ROOT}}}/api/"),
    ("`/csv/${", f"`${{{_ROOT}}}/csv/${{"),
)
"""(what the script says, what it says instead)."""

_PAGE_SCRIPT = "/static/bundle.js"


@dataclass(frozen=True)
class Dashboard:
    """The dashboard of one sweep."""

    study: int
    """The study's number; its page is `dashboard/studies/NUMBER`."""
    app: Application
    """What answers below `api/` and `csv/`. It could write as well: pass it nothing but GETs."""


@dataclass(frozen=True)
class Script:
    """The dashboard's script, made to work below any address."""

    plain: bytes
    packed: bytes
    """The same under gzip."""
    version: str


class Dashboards:
    """Dashboards of a home's sweeps, made when they are asked for, from any thread."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._kept: OrderedDict[tuple[str, int], Dashboard] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str) -> Dashboard:
        """The dashboard of this sweep.

        Raises:
            UnknownSweep: it was never started, or has no study yet.
            LedgerError: its study cannot be read.
        """
        folder = self._home.existing(name)
        key = (name, _identity(folder))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _make(folder)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


@cache
def script() -> Script:
    """The script, from the installed package.

    Raises:
        SweeperError: it is none that could be changed so.
    """
    text = (_package() / "public" / "bundle.js").read_text("utf-8")
    for old, new in _CHANGES:
        if old not in text:
            raise SweeperError(
                "the installed optuna-dashboard cannot be shown below this address; "
                "`optuna-dashboard FILE` on the server's machine shows the study"
            )
        text = text.replace(old, new)
    plain = (_PRELUDE + text).encode()
    return Script(plain, gzip.compress(plain), hashlib.sha256(plain).hexdigest()[:12])


def page(root: str) -> str:
    """The dashboard's one page, for whoever opens it below `root`."""
    text = (_package() / "index.html").read_text("utf-8")
    return text.replace(_PAGE_SCRIPT, f"{root}{_PAGE_SCRIPT}?v={script().version}")


def _make(folder: SweepFolder) -> Dashboard:
    from optuna_dashboard import wsgi

    with translated(folder.path):
        if storage_exists(folder, None):
            storage, _ = open_storage(folder, None)
            names = {study.study_name: study._study_id for study in storage.get_all_studies()}
            if folder.name in names:
                return Dashboard(names[folder.name], wsgi(storage))
    raise UnknownSweep(f"{folder.name} has no study yet: its first trial begins one")


def _identity(folder: SweepFolder) -> int:
    """Another number for another sweep of the same name."""
    try:
        return folder.identity.stat().st_ino
    except FileNotFoundError:
        return 0


def _package() -> Path:
    found = importlib.util.find_spec("optuna_dashboard")
    if found is None or found.origin is None:
        raise SweeperError("optuna-dashboard is not installed: pip install 'gan-sweeper[service]'")
    return Path(found.origin).parent
