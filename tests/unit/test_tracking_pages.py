"""Addresses of MLflow's pages, from what the outbox knows."""

from __future__ import annotations

from pathlib import Path

from sweeper.tracking import SWEEP, Outbox
from sweeper.tracking.backlog import Backlog
from sweeper.tracking.names import EXPERIMENT_ID
from sweeper.tracking.pages import tracking_pages
from sweeper.tracking.receipts import Receipts


def test_nothing_has_an_address_before_mlflow_has_it(tmp_path: Path) -> None:
    pages = tracking_pages(tmp_path / "outbox.db", "/mlflow/")
    assert (pages.sweep, pages.trial(0), pages.table("x"), pages.comparison([0, 1])) == (None,) * 4


def test_runs_are_found_once_mlflow_has_them(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox:
        outbox.sweep_started("mine", study="s")
        outbox.trial_started(0)
        outbox.trial_started(1)
    with Backlog(path) as backlog:
        receipts = Receipts(backlog)
        receipts.created(SWEEP, "aa", "mlflow-artifacts:/7/aa", {})
        receipts.created(0, "bb", "mlflow-artifacts:/7/bb", {})
        early = tracking_pages(path, "/mlflow/")
        assert early.sweep == "/mlflow/#/runs/aa"
        assert early.trial(1) is None
        receipts.created(1, "cc", "mlflow-artifacts:/7/cc", {})
        backlog.database.set_meta(EXPERIMENT_ID, "7")
    pages = tracking_pages(path, "/mlflow/")
    assert pages.sweep == "/mlflow/#/experiments/7/runs"
    assert pages.trial(1) == "/mlflow/#/experiments/7/runs/cc"
    assert pages.table("best_tenth") == (
        "/mlflow/#/experiments/7/runs/aa/artifactPath/tables/best_tenth.json"
    )
    assert pages.comparison([0, 1, 9]) == (
        "/mlflow/#/compare-runs?runs=%5B%22bb%22%2C%20%22cc%22%5D&experiments=%5B%227%22%5D"
    )
    assert pages.comparison([0]) is None
