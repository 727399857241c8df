"""Names, values, notes and addresses as MLflow takes them."""

from __future__ import annotations

import posixpath
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from sweeper.errors import TrackingError, UserError
from sweeper.tracking import tracking_uri
from sweeper.tracking.address import database_file
from sweeper.tracking.limits import MAX_KEY, MAX_PARAM, flatten, safe_key
from sweeper.tracking.notes import trial_note
from sweeper.tracking.ui import serve_ui, ui_address, ui_command
from trials.health import Sign


@given(st.text(max_size=300))
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    key = safe_key(name)
    # MLflow's own rules: validate_param_and_metric_name, path_not_unique, MAX_ENTITY_KEY_LENGTH.
    assert re.fullmatch(r"[/\w.\- :]+", key)
    assert posixpath.normpath(key) == key
    assert key not in (".", "..")
    assert not key.startswith(("/", "../"))
    assert len(key) <= MAX_KEY
    assert safe_key(key) == key


@given(st.lists(st.text(max_size=20), unique=True, max_size=20))
def test_different_names_stay_different(names: list[str]) -> None:
    assert len({safe_key(name) for name in names}) == len(names)


def test_a_configuration_becomes_dotted_parameters_and_toggles_are_true_or_false() -> None:
    config = {
        "optimizer": {"generator": {"lr": 1e-4, "betas": (0.5, 0.9)}},
        "loss": "hinge",
        "tricks": {},
        "flip": True,
        "ceiling": None,
        "poem": "x" * 7000,
    }
    params = flatten(config)
    assert len(params.pop("poem")) == MAX_PARAM
    assert params == {
        "optimizer.generator.lr": "0.0001",
        "optimizer.generator.betas": "[0.5, 0.9]",
        "loss": "hinge",
        "tricks": "{}",
        "flip": "True",
        "ceiling": "null",
    }


def test_the_address_of_mlflow_is_the_files_then_the_environments_then_the_homes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri(tmp_path) == "http://mlflow:5000"
    assert tracking_uri(tmp_path, "https://other") == "https://other"


@pytest.mark.parametrize("name", ["50%20off", "what?"])
def test_a_home_whose_path_means_something_else_in_an_address_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingError, match=r"tracking\.uri"):
        tracking_uri(tmp_path / name)
    assert tracking_uri(tmp_path / name, "https://other") == "https://other"


@pytest.mark.parametrize(
    ("uri", "advice"),
    [
        ("http://me:hunter2@mlflow:5000", "MLFLOW_TRACKING_PASSWORD"),
        ("postgresql+psycopg://me:hunter2@db/mlflow", "PGPASSFILE"),
        ("postgresql+psycopg://db/mlflow?user=me&password=hunter2", "PGPASSFILE"),
        ("https://dapi-hunter2hunter2@mlflow.example", "MLFLOW_TRACKING_TOKEN"),
        ("http://[::1", "is not an address"),
        ("./mlruns", "sqlite:///FILE.db"),
        ("file:///srv/mlruns", "sqlite:///FILE.db"),
    ],
)
def test_an_address_that_cannot_work_or_tells_a_secret_is_refused(
    tmp_path: Path, uri: str, advice: str
) -> None:
    with pytest.raises(TrackingError) as refused:
        tracking_uri(tmp_path, uri)
    assert advice in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_the_ui_listens_on_loopback_only_and_on_a_port_that_is_free(tmp_path: Path) -> None:
    command = ui_command(tmp_path)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert f"sqlite:///{tmp_path}/mlflow.db" in command
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ui_address(command))
    assert ui_address(ui_command(tmp_path, 6006)) == "http://127.0.0.1:6006"


def test_the_ui_refuses_a_port_that_is_taken_and_a_home_without_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=r"nothing is recorded in .* yet"):
        serve_ui(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match="is taken"):
            serve_ui(tmp_path, other.getsockname()[1])


def test_the_ui_shows_the_database_that_sweeps_are_recorded_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    assert f"sqlite:///{tmp_path}/other.db" in ui_command(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me@mlflow.example")
    assert serve_ui(tmp_path) == 0
    assert "https://mlflow.example: open that" in capsys.readouterr().out


def test_a_note_says_what_a_trial_was_and_what_came_of_it() -> None:
    note = trial_note(
        number=12,
        sweep="quickstart",
        state="failed",
        steps=500,
        metric="fid",
        value=1234.5678,
        values={"loss": "wgan"},
        of=3,
        cause="divergence",
        log_tail="loss is NaN",
    )
    assert note == (
        "**Trial 00012** of the sweep `quickstart` failed at step 500 with fid 1235.\n\n"
        "It repeats the configuration of trial 00003 on another seed.\n\n"
        "Cause: **divergence**.\n\n"
        "| searched parameter | value |\n|---|---|\n| `loss` | `wgan` |\n\n"
        "Last lines of the log:\n\n```\nloss is NaN\n```"
    )


def test_a_note_explains_a_symptom_and_says_what_may_help() -> None:
    sign = Sign.all()["mode_collapse"]
    note = trial_note(
        number=3,
        sweep="quickstart",
        state="pruned",
        steps=400,
        cause="mode_collapse",
        meaning=f"{sign.summary}.",
        reason="Two samples differ 12% as much as two real images do. (step 400)",
        advice=sign.advice,
    )
    assert note == (
        "**Trial 00003** of the sweep `quickstart` was stopped early at step 400.\n\n"
        "Cause: **mode_collapse**. The samples are far less diverse than the data.\n\n"
        "Two samples differ 12% as much as two real images do. (step 400)\n\n"
        f"What may help: {sign.advice}"
    )


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////home/me/sweeps/mlflow.db", "/home/me/sweeps/mlflow.db"),
        ("sqlite:///here.db", "here.db"),
        ("sqlite:////runs/#3 of May/mlflow.db?timeout=5", "/runs/#3 of May/mlflow.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql://host/mlflow", None),
        ("http://127.0.0.1:5000", None),
    ],
)
def test_the_file_of_an_sqlite_address_is_the_one_that_mlflow_opens(
    uri: str, file: str | None
) -> None:
    assert database_file(uri) == (None if file is None else Path(file))
    if uri.startswith("sqlite:") and file is not None:
        assert make_url(uri).database == file
