"""The command line: clear answers, exit statuses, and no slow import where none is needed."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import resource
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from sweeper.__main__ import main
from sweeper.cli import machine
from sweeper.cli.main import run
from sweeper.cli.named import Finding, named
from sweeper.home import Home
from sweeper.standings.progress import Progress
from sweeper.wording import over_of

HEAVY = (
    *("torch", "ray", "mlflow", "sklearn", "matplotlib"),
    *("pandas", "scipy", "pyarrow", "optuna"),
)


def _imported_by(*arguments: str) -> set[str]:
    """Heavy packages that a command imports, in a process of its own."""
    code = (
        "import sys; from sweeper.cli.main import run; run(sys.argv[1:]);"
        f"print('imported', *[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.strip().splitlines()[-1].split()[1:])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one sweep that has begun and has no trials yet."""
    from sweeper.home import Home
    from sweeper.sweepfile import parse_sweep
    from trials.files import atomic_write

    text = """
name: begun
base: {data: digits, steps: 10}
parameters: {batch_size: {values: [16, 32]}}
limits: {trials: 4}
"""
    folder = Home.at(tmp_path).sweep("begun")
    folder.create()
    atomic_write(folder.spec_json, json.dumps(parse_sweep(text).to_dict()))
    return tmp_path


class Interrupted:
    """Ctrl-C while the command is being imported."""

    def find_spec(self, name: str, *rest: object) -> None:
        if name == "sweeper.cli.main":
            raise KeyboardInterrupt


def test_ctrl_c_has_its_answer_from_the_first_import_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "sweeper.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "sweeper: interrupted\n"


def test_ctrl_c_within_a_verb_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sweeper.home.Home.at", Mock(side_effect=KeyboardInterrupt))
    assert run(["ls", "--home", "x"]) == 130
    assert capsys.readouterr().err.endswith("sweeper: interrupted\n")


def test_ctrl_c_while_libraries_tidy_up_brings_no_traceback_of_theirs() -> None:
    tidied = (
        "import atexit, signal; from sweeper.__main__ import main\n"
        "atexit.register(signal.raise_signal, signal.SIGINT)\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", tidied, "--version"], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


@pytest.mark.parametrize(
    ("closed", "verb", "status"),
    [
        (">&-", "ls", 0),
        (">&- 2>&-", "ls", 0),
        ("<&-", "login https://sweeps.lab", 2),
    ],
)
def test_streams_that_are_closed_lead_nowhere(
    closed: str, verb: str, status: int, home: Path
) -> None:
    here = "" if verb.startswith("login") else f"--home {shlex.quote(str(home))}"
    command = f"{shlex.quote(sys.executable)} -m sweeper {verb} {here} {closed}"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_in_a_folder_that_was_removed_says_so(home: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"rmdir {gone} && exec {shlex.quote(sys.executable)} -m sweeper ls --home {home}"
    done = subprocess.run(["sh", "-c", command], cwd=gone, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("sweeper: the current folder has been removed")


def test_an_empty_text_is_no_home(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ls", "--home", ""]) == 2
    assert "--home" in capsys.readouterr().err


def test_a_log_is_followed_where_a_later_attempt_has_put_another_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.cli import local
    from sweeper.home import Home, SweepFolder
    from trials.files import atomic_write

    log = Home.at(home).sweep("begun").trial(0) / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("step 1\n")
    written = iter(["step 1\nstep 2\n", "step 1\nstep 2\nstep 3\n"])

    def driver(folder: SweepFolder) -> int | None:
        text = next(written, None)
        if text is None:
            return None
        atomic_write(log, text)
        return 1

    monkeypatch.setattr(SweepFolder, "driver", driver)
    monkeypatch.setattr(local, "LOOK_EVERY", 0.0)
    lines = local.HomeSource(Home.at(home)).log("begun", 0, tail=None, follow=True)
    assert [line.strip() for line in lines] == ["step 1", "step 2", "step 3"]


def test_looking_imports_nothing_slow(home: Path) -> None:
    assert _imported_by("--help") == set()
    assert _imported_by("ls", "--home", str(home)) == set()
    assert _imported_by("status", "begun", "--home", str(home)) == set()


def test_checking_a_file_imports_the_trainer_and_nothing_that_runs(home: Path) -> None:
    file = Path(__file__).parents[2] / "search_spaces" / "quickstart.yaml"
    assert _imported_by("validate", str(file), "--home", str(home)) == {"torch"}


@pytest.mark.slow
def test_a_run_imports_no_more_than_its_first_trial_needs() -> None:
    code = f"import sys, sweeper.api; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Ray Tune brings pandas and pyarrow; the report and its tables wait for the end.
    assert set(done.stdout.split()) == {"torch", "ray", "optuna", "pandas", "pyarrow"}


def test_a_sweep_without_trials_can_be_looked_at(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ls", "--home", str(home), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["state"], entry["budget"], entry["over"]) == (
        "begun", "interrupted", 4, 0,
    )  # fmt: skip
    assert run(["status", "begun", "--home", str(home)]) == 0
    assert "0 of 4" in capsys.readouterr().out
    assert run(["top", "begun", "--home", str(home)]) == 0
    assert "no trial has completed" in capsys.readouterr().out


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"gan-sweeper \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_a_limit_below_what_has_run_makes_no_fraction_above_one() -> None:
    assert [over_of(*pair) for pair in ((2, 20), (5, 3), (5, None), (0, None))] == [
        "2 of 20", "5 of 5", "5", "0",
    ]  # fmt: skip
    assert Progress("interrupted", 5, 3).in_words() == "interrupted, 5 trials"


def test_an_ablation_is_finished_when_every_cell_has_its_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sweeper.home import Home
    from sweeper.search.ledger import Ledger
    from sweeper.sweepfile import parse_sweep
    from trials.files import atomic_write

    sweep = parse_sweep(
        "name: study\nbase: {data: digits, steps: 10}\n"
        "parameters: {tricks.ema: {toggle: true}}\n"
        "ablation: {design: leave_one_out, seeds: 2}\n"
    )
    folder = Home.at(tmp_path).sweep("study")
    folder.create()
    atomic_write(folder.spec_json, json.dumps(sweep.to_dict()))
    ledger = Ledger.open(sweep, folder)
    assert ledger.plan() == 4
    said = []
    while (asked := ledger.ask()) is not None:
        ledger.started(asked.number)
        ledger.complete(asked.number, [1.0 + asked.number])
        assert run(["ls", "--home", str(tmp_path), "--json"]) == 0
        (entry,) = json.loads(capsys.readouterr().out)
        said.append((entry["over"], entry["budget"], entry["state"]))
    assert said == [(n, 4, "finished" if n == 4 else "interrupted") for n in (1, 2, 3, 4)]
    assert _imported_by("ls", "--home", str(tmp_path)) == set()


def test_runs_that_something_else_logged_become_a_table_with_their_own_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.tracking import foreign

    def logged(number: int, method: str, seed: int, **metrics: float) -> dict[str, object]:
        return {
            "run_id": str(number), "parent": "above", "status": "FINISHED", "metrics": metrics,
            "params": {"seed": str(seed)}, "tags": {"method": method},
            "started": 1.0, "ended": 2.0,
        }  # fmt: skip

    runs = [
        {**logged(0, "", 0), "run_id": "above", "parent": None, "params": {}, "tags": {}},
        logged(1, "ours", 0, inception=9.0),
        logged(2, "ours", 1, inception=8.0),
        logged(3, "old", 0, inception=5.0),
        logged(4, "old", 1),
        {**logged(5, "", 0, inception=1.0), "tags": {}},
    ]
    monkeypatch.setattr(foreign, "find_runs", lambda uri, experiment: runs)
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "objective: metrics.inception\ngoal: maximize\ncell: tags.method\nseed: params.seed\n"
    )
    file = tmp_path / "theirs.parquet"
    imported = ["import-mlflow", "theirs", "--mapping", str(mapping), "-o", str(file)]
    assert run([*imported, "--home", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "5 runs, of which 1 failed" in said
    assert "1 run without a value at tags.method, and in no table of cells" in said
    assert run(["table", str(file), "--limit", "1"]) == 0
    text = capsys.readouterr().out
    assert "| ours | **8.50 ± 0.71 (2)** | 0 |" in text
    assert "inception (higher is better)" in text
    assert "1 of 4 runs failed (no_value 1)" in text
    assert "1 run without a cell: left out" in text
    assert "| old |" not in text
    assert run(["table", str(file), "--effects"]) == 2
    assert run(["table", str(file), "--columns", ""]) == 2
    _a_write_that_fails_keeps_what_was_there(["table", str(file)], tmp_path / "table.md")
    _links_and_pipes_stay_what_they_are(["table", str(file)], tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(["import-mlflow", "/Users/ada/../x", "--mapping", str(mapping)]) == 0
    assert (tmp_path / "Users_ada_.._x.parquet").exists()
    mapping.write_text(
        "objective: metrics.inception\ncell: tags.methud\nparameters: {lr: params.lr}\n"
    )
    capsys.readouterr()
    assert run([*imported, "--home", str(tmp_path)]) == 2
    refused = capsys.readouterr().err
    assert "cell: no run has 'tags.methud'; did you mean 'tags.method'?" in refused
    assert "parameters.lr: no run has 'params.lr'" in refused


def _a_write_that_fails_keeps_what_was_there(verb: list[str], file: Path) -> None:
    file.write_text("an earlier table")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32, before[1]))  # of bytes in a file
    try:
        assert run([*verb, "-o", str(file)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_text() == "an earlier table"
    assert [one.name for one in file.parent.glob(f"*{file.name}*")] == [file.name]


def _links_and_pipes_stay_what_they_are(verb: list[str], folder: Path) -> None:
    link, pipe = folder / "link.md", folder / "pipe"
    link.symlink_to("linked.md")
    assert run([*verb, "--out", str(link)]) == 0
    assert link.is_symlink()
    assert "ours" in (folder / "linked.md").read_text()
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run([*verb, "--out", str(pipe)]) == 0
    assert b"ours" in os.read(reader, 1 << 16)
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "train"),
        (["status"], "NAME"),
        (["status", "nothing"], "no sweep named 'nothing'"),
        (["show", "begun", "7"], "has no trial 7"),
        (["show", "begun", "seven"], "integer"),
        (["show", "../etc", "0"], "cannot name a sweep"),
        (["pause", "begun"], "is not running"),
        (["tricks", "gradient_penlty"], "gradient_penalty"),
        (["tricks", "ema", "--presets"], "no preset called 'ema'"),
        (["train", "dcgan", "--set", "data.path=http://me:pw@h/x"], "holds a password"),
        (["train", "dcgn"], "did you mean 'dcgan'"),
        (["train", "dcgan", "--set", "steps"], "path=value"),
        (["train", "dcgan", "--set", "stepz=3"], "did you mean 'steps'"),
        (["train", "begun/spec.json", "--set", "steps.x=1"], "--set steps.x=1: steps is 10, so"),
        (["validate", "/nowhere.yaml"], "cannot be read"),
        (["run", "/nowhere.yaml"], "cannot be read"),
        (["run", "/nowhere.yaml", "error"], "cannot be read"),
        (["run", "begun/spec.json", "error"], "causes need --retry-failed"),
        (["run", "begun/spec.json", "--retry-failed", "eror"], "did you mean 'error'"),
        (
            ["run", "begun/spec.json", "--retry-failed", "divergence"],
            "would end the same way again",
        ),
        (["top", "begun", "--count", "0"], "greater than or equal to 1"),
        (["table", "begun", "--format", "word"], "markdown"),
        (["table", "nothing.parquet"], "no such file"),
        (["export", "begun", "-o", "/nowhere/x.parquet"], "cannot be written"),
        (["export", "begun", "-o", "."], ". cannot be written: Is a directory"),
        (["export", "begun", "-o", "/"], "/ cannot be written: Is a directory"),
        (["train", "dcgan", "--threads", "100000"], "1024"),
        (["sync", "begun", "--to", ""], "an empty text is not an address"),
        (["logs", "begun", "99"], "has no trial 99"),
        (["ablate", "begun"], "no completed trial"),
        (["ablate", "begun", "--from", "7"], "has no trial 7"),
        (["import-mlflow", "x", "--mapping", "/nowhere.yaml"], "not a valid mapping"),
    ],
)
def test_nonsense_gets_one_clear_answer(
    arguments: list[str],
    said: str,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWEEPER_HOME", str(home))
    monkeypatch.chdir(home)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    assert "Traceback" not in captured.out + captured.err
    assert not (home / "trained").exists()


def test_the_list_of_commands_says_of_each_what_it_does_in_a_whole_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].strip().splitlines()
    assert len(listed) > 20
    for line in listed:
        assert line.rstrip().endswith("."), line
        assert "..." not in line, line


def test_every_problem_of_a_file_is_reported_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: bad\nbase: {data: digts}\nparameters:\n  x: {min: 2, max: 1}\nlimts: 1\n"
    )
    assert run(["validate", str(file)]) == 2
    text = capsys.readouterr().out
    assert "bad.yaml:2" in text
    assert "digits" in text
    assert "bad.yaml:4" in text
    assert "bad.yaml:5" in text
    assert "limits" in text


@pytest.mark.parametrize(
    ("lines", "plan"),
    [
        ("limits: {trials: 9}", "9 trials"),
        (
            "limits: {trials: 9}\nseeds: {confirm_top: 1, replicates: 4}",
            "9 trials, then up to 8 runs on fresh seeds (the best and the base, 4 seeds each)",
        ),
        (
            "limits: {trials: 9}\nseeds: {confirm_top: 3, confirm_base: false}",
            "9 trials, then up to 15 runs on fresh seeds (the best 3, 5 seeds each)",
        ),
        (
            "limits: {trials: 2}\nseeds: {confirm_top: 10}",
            "2 trials, then up to 10 runs on fresh seeds (the best and the base, 5 seeds each)",
        ),
        (
            "limits: {trials: 1}\nseeds: {confirm_top: 1, replicates: 4}",
            "1 trial, then up to 4 runs on fresh seeds (the base, 4 seeds each)",
        ),
        (
            "search: {sampler: grid, start_with_base: false}\nseeds: {confirm_top: 2}",
            "2 trials, then up to 10 runs on fresh seeds (the best 2, 5 seeds each)",
        ),
        (
            "search: {sampler: grid, start_with_base: false}\nseeds: {confirm_top: 8}",
            "2 trials, then up to 10 runs on fresh seeds (the best 2, 5 seeds each)",
        ),
    ],
)
def test_a_valid_file_is_told_with_the_trials_that_it_asks_for(
    lines: str, plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.yaml"
    space = "parameters: {batch_size: {values: [16, 32]}}"
    file.write_text(f"name: s\nbase: {{data: digits}}\n{space}\n{lines}\n")
    assert run(["validate", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{file}: valid; {plan}"


def test_the_catalogue_is_listed_and_every_trick_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from trials import catalogue

    assert run(["tricks", "--json"]) == 0
    listed = {entry["name"] for entry in json.loads(capsys.readouterr().out)}
    assert listed == set(catalogue.tricks())
    assert run(["tricks", "gradient_penalty"]) == 0
    text = capsys.readouterr().out
    for part in ("λ", "1704.00028", "weight", "0.1 to 100.0 (log)", "weight_clipping"):
        assert part in text
    assert run(["tricks", "--presets"]) == 0
    assert "1511.06434" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["sngan"], ["lsgan", "--presets"]])
def test_a_preset_is_shown_by_its_name(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from trials import presets

    assert run(["tricks", *arguments, "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown == json.loads(
        json.dumps({"name": arguments[0], **presets.load(arguments[0])}, default=str)
    )


def test_a_file_that_is_no_text_is_no_training(tmp_path, capsys):
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xdd\x00\x01")
    assert run(["train", str(file)]) == 2
    assert "is not UTF-8 text" in capsys.readouterr().err


def test_one_training_runs_reports_and_is_taken_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [
        "train", "dcgan", "--out", str(tmp_path / "t"), "--set", "steps=4",
        "--set", "evaluation.every=2", "--set", "evaluation.samples=32",
        "--set", "networks.generator.width=4", "--set", "networks.discriminator.width=4",
        "--set", "batch_size=8", "--set", "evaluation.metrics=[fid]",
    ]  # fmt: skip
    assert run(small) == 0
    first = capsys.readouterr().out
    assert "step      4" in first
    assert "best fid" in first
    assert run(small) == 0
    assert "step      4" not in capsys.readouterr().out  # there was nothing left to train
    # What it runs on, and a setting that a former version did not know, make it no other training.
    record = tmp_path / "t" / "config.json"
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({key: kept[key] for key in kept if key != "generator_batch"}))
    assert run([*small, "--set", "device=cpu", "--set", "graphs=true"]) == 0
    assert run([*small, "--set", "seed=1"]) == 2
    assert "another configuration" in capsys.readouterr().err


def test_doctor_says_what_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor", "--home", str(tmp_path), "--json"])
    findings = {entry["what"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert findings["torch"]["ok"]
    assert findings["digits extractor"]["ok"]
    assert findings["home"]["ok"]


@pytest.mark.parametrize(
    ("variable", "given", "told"),
    [
        ("RAY_ADDRESS", "127.0.0.1:9", "127.0.0.1:9"),
        ("SWEEPER_STORAGE", "postgresql+psycopg://nobody@127.0.0.1:9/none", "127.0.0.1"),
        ("SWEEPER_DATABASE", "mysql://x", "is not a database address"),
        ("SWEEPER_STORAGE", "sqlite:////dev/null/none.db", "/dev/null is not a writable folder"),
        ("SWEEPER_DATABASE", f"sqlite:///{__file__}", "is not an SQLite database"),
        ("SWEEPER_DATABASE", "sqlite:////dev/null/none.db", "/dev/null is not a writable folder"),
        ("SWEEPER_BUCKET", "/dev/null/none", "/dev/null/none"),
        ("SWEEPER_EVICTION", "amazon", "aws, gcp, azure"),
        ("SWEEPER_MACHINES", "rubbish", "rubbish"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:1/a b", "http://127.0.0.1:1/a b"),
        ("RAY_ADDRESS", "a..b:12", "a..b:12"),
        ("RAY_ADDRESS", "127.0.0.1:²", "127.0.0.1:²"),
        ("RAY_ADDRESS", "foo", "foo is not the address of a Ray cluster: expected HOST:PORT"),
        (
            "SWEEPER_STORAGE",
            "sqlite://",
            "in memory, which is lost at exit: expected sqlite:///FILE.db",
        ),
        (
            "MLFLOW_TRACKING_URI",
            "sqlite://",
            "in memory, which is lost at exit: expected sqlite:///FILE.db",
        ),
        (
            "MLFLOW_TRACKING_URI",
            "sqlite:////dev/null/none.db",
            "/dev/null is not a writable folder",
        ),
    ],
)
def test_doctor_looks_at_what_the_environment_names(
    variable: str,
    given: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, given)
    (finding,) = [one for one in named(Home(tmp_path)) if one.what == variable]
    assert finding.ok is False
    assert told in finding.found


def test_doctor_asks_mlflow_as_its_own_client_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a name in the address, and with a certificate that MLflow's variables alone know of."""
    files = (tmp_path / "cert.pem", tmp_path / "key.pem")
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=lab"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        [*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )

    def found(server: ThreadingHTTPServer, address: str) -> Finding:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{address}:{server.server_address[1]}")
        (finding,) = [one for one in named(Home(tmp_path)) if one.what == "MLFLOW_TRACKING_URI"]
        return finding

    with _mlflow_with_nothing() as plain, _mlflow_with_nothing(files) as secure:
        assert found(plain, "http://me@127.0.0.1").ok
        refused = found(secure, "https://127.0.0.1")
        assert refused.ok is False
        assert "certificate" in refused.found
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(files[0]))
        assert found(secure, "https://127.0.0.1").ok


@contextlib.contextmanager
def _mlflow_with_nothing(certificate: Sequence[Path] = ()) -> Iterator[ThreadingHTTPServer]:
    """A server that knows no experiment, behind TLS where it has a certificate and its key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_doctor_makes_nothing_and_asks_nobody_who_is_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("SWEEPER_STORAGE", "SWEEPER_DATABASE"):
        monkeypatch.setenv(variable, f"sqlite:///{tmp_path}/{variable}.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks://profile")
    assert {finding.what for finding in named(Home(tmp_path)) if finding.ok} >= {
        *("SWEEPER_STORAGE", "SWEEPER_DATABASE", "MLFLOW_TRACKING_URI")
    }
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", ["SWEEPER_STORAGE", "SWEEPER_DATABASE"])
def test_doctor_waits_for_no_database_that_never_answers(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.cli.named.ANSWER_IN", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv(variable, f"postgresql+psycopg://me@127.0.0.1:{port}/sweeps")
        (finding,) = [one for one in named(Home(tmp_path)) if one.what == variable]
    assert finding.ok is False
    assert "timeout" in finding.found


def test_doctor_goes_on_where_a_full_disk_keeps_it_from_trying_the_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(folder: Path) -> bool:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(machine, "can_lock", full)
    assert run(["doctor", "--home", str(tmp_path), "--json"]) == 1
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["home"]["found"] == f"{tmp_path} cannot be used: Disk quota exceeded"


def _in_a_process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sweeper", *arguments], stderr=subprocess.PIPE, text=True, **options
    )


def test_what_the_system_refuses_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / ("long" * 100)
    assert run(["ls", "--home", str(home)]) == 1
    assert capsys.readouterr().err == f"sweeper: cannot use {home}: File name too long\n"


def test_who_reads_no_further_hears_of_no_error(home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = _in_a_process("ls", "--home", str(home), stdout=pipe)
    assert (done.returncode, done.stderr) == (1, "")


UNREAD = """
import sys
from types import SimpleNamespace
from sweeper.cli import live, run_summary
from sweeper.home import Home
from sweeper.scheduling.recording.events import PhaseChanged
from sweeper.search.looking import read_standings

home = Home.at(sys.argv[1])
standings = read_standings(home.existing("begun"))
with live.view(standings.sweep) as listener:
    listener(PhaseChanged("searching", "", 0.0))
    sys.stdin.read()
    listener(PhaseChanged("confirming", "", 0.0))
result = dict(standings=standings, report="", folder=home.path, message="", state="failed")
run_summary.print_ending(SimpleNamespace(**result), home)
sys.exit(7)
"""
"""A sweep that begins and ends, and lasts until its standard input does."""


@pytest.mark.parametrize("both", [False, True], ids=["standard output", "errors too"])
@pytest.mark.parametrize("reader", [os.pipe, os.openpty], ids=["pipe", "terminal"])
def test_a_sweep_goes_on_to_its_end_when_nobody_reads_what_it_says(
    home: Path, reader: Callable[[], tuple[int, int]], both: bool
) -> None:
    here, there = reader()
    with subprocess.Popen(
        [sys.executable, "-c", UNREAD, str(home)],
        stdin=subprocess.PIPE,
        stdout=there,
        stderr=there if both else subprocess.PIPE,
        text=True,
        env={**os.environ, "TERM": "xterm"},
    ) as sweep:
        os.close(there)
        assert os.read(here, 9)
        os.close(here)
        _, told = sweep.communicate("", timeout=60)
    assert sweep.returncode == 7, told
    if not both:
        assert told.count("standard output was closed") == 1


def test_who_only_follows_a_sweep_ends_with_the_reader(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.cli.live import view
    from sweeper.home import Home
    from sweeper.scheduling.recording.events import PhaseChanged
    from sweeper.search.looking import read_standings

    sweep = read_standings(Home.at(home).existing("begun")).sweep
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as unread:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(unread, write_through=True))
        with pytest.raises(BrokenPipeError), view(sweep, follows=True) as listener:
            listener(PhaseChanged("searching", "", 0.0))


def test_a_terminal_that_cannot_show_greek_gets_an_answer_all_the_same() -> None:
    done = _in_a_process(
        "tricks", "ema", stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
    )
    assert done.returncode == 0, done.stderr
    assert r"\u03b8" in done.stdout


def test_a_pipe_gets_whole_lines_and_a_terminal_what_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.cli.printing import print_table

    long = "x" * 300
    print_table(("#", "configuration"), [(1, long)])
    assert long in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    print_table(("#", "configuration"), [(1, long)])
    assert max(map(len, capsys.readouterr().out.splitlines())) == 60


def test_a_phase_is_said_once_and_the_last_message_is_left_to_the_ending(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sweeper.cli.live import Lines, Progress
    from sweeper.scheduling.recording.events import PhaseChanged, SweepEnded
    from sweeper.sweepfile import parse_sweep

    sweep = parse_sweep("name: s\nbase: {data: digits}\nlimits: {trials: 1}\n")
    lines, progress = Lines(sweep), Progress(sweep)
    for event in (
        PhaseChanged("searching", "", 0.0),
        PhaseChanged("confirming", "trial 3 is given up", 1.0),
        SweepEnded("finished", "5 records are not in MLflow yet", 2.0),
    ):
        lines(event)
        progress.hear(event)
    assert capsys.readouterr().out == "searching\nconfirming: trial 3 is given up\nfinished\n"
    assert (progress.phase, progress.message) == ("finished", "")


def test_advice_names_the_home_that_was_given(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.home import Home

    folder = Home.at(home).sweep("begun")
    with folder.lock():
        assert run(["pause", "begun", "--home", str(home)]) == 0
        assert f"`sweeper resume begun --home {home}`" in capsys.readouterr().out
        monkeypatch.setenv("SWEEPER_HOME", str(home))
        assert run(["stop", "begun"]) == 0
        assert "--home" not in capsys.readouterr().out


def test_a_command_to_copy_works_where_a_path_has_a_space(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from types import SimpleNamespace

    from sweeper.cli.run_summary import print_ending
    from sweeper.home import Home
    from sweeper.search.looking import read_standings

    spaced = tmp_path / "my home"
    spaced.mkdir()
    (home / "begun").rename(spaced / "begun")
    folder = Home.at(spaced).existing("begun")
    to_go_on = ["sweeper", "run", str(folder.sweep_yaml), "--home", str(spaced)]
    assert run(["pause", "begun", "--home", str(spaced)]) == 2
    advice = capsys.readouterr().err.split("`")[1]
    assert shlex.split(advice) == to_go_on
    result = {"report": "r.html", "folder": folder.path, "message": "", "state": "interrupted"}
    ended: Any = SimpleNamespace(standings=read_standings(folder), **result)
    print_ending(ended, Home.at(spaced))
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("go on")]
    assert shlex.split(line.removeprefix("go on")) == to_go_on


@pytest.mark.parametrize(
    ("uri", "where"),
    [("", "sweeper ui --home {home}"), ("http://me@mlflow:5000", "http://mlflow:5000")],
)
def test_the_ending_says_where_the_runs_are(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
    where: str,
) -> None:
    from types import SimpleNamespace

    from sweeper.cli.run_summary import print_ending
    from sweeper.home import Home
    from sweeper.search.looking import read_standings

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    here = Home.at(home)
    result: Any = SimpleNamespace(
        best=None,
        standings=read_standings(here.existing("begun")),
        report="r.html",
        folder=home / "begun",
        message="",
        state="finished",
    )
    print_ending(result, here)
    assert f"runs     {where.format(home=home)}\n" in capsys.readouterr().out


def test_an_ablation_is_previewed_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "name: a\nbase: {data: digits}\nablation: {design: add_one_in, seeds: 3}\n"
        "parameters: {tricks.ema: {toggle: true}, tricks.spectral_norm: {toggle: true}}\n"
    )
    assert run(["preview", str(file), "--no-probe"]) == 0
    text = capsys.readouterr().out
    assert "a: add_one_in over 2 factors" in text
    assert "9 runs, 1 at a time" in text
    assert run(["preview", str(file), "--no-probe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 9


@pytest.mark.parametrize(
    ("verb", "told"),
    [("ablate", "without ema"), ("train", "nothing: there is no such setting")],
)
def test_a_file_may_come_through_a_pipe(
    verb: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "name: a\nbase: {data: digits}\nsearch: {sampler: grid}\n"
    text += "parameters: {tricks.ema: {toggle: true}}\n"
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    given = ["--preview", "--home", str(tmp_path)] if verb == "ablate" else ["--set", "nothing=1"]
    run([verb, str(pipe), *given])
    writer.join()
    said = capsys.readouterr()
    assert told in said.out + said.err


def test_a_grid_without_a_limit_is_finished_when_its_cells_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sweeper.home import Home
    from sweeper.search.ledger import Ledger
    from sweeper.sweepfile import parse_sweep
    from trials.files import atomic_write

    sweep = parse_sweep(
        "name: g\nbase: {data: digits}\nparameters: {batch_size: {values: [16, 32]}}\n"
        "search: {sampler: grid, start_with_base: false}\n"
    )
    folder = Home.at(tmp_path).sweep("g")
    folder.create()
    atomic_write(folder.spec_json, json.dumps(sweep.to_dict()))
    ledger = Ledger.open(sweep, folder)
    ledger.plan()
    for done in (1, 2):
        asked = ledger.ask()
        assert asked is not None
        ledger.started(asked.number)
        ledger.complete(asked.number, [1.0])
        assert run(["ls", "--home", str(tmp_path), "--json"]) == 0
        (entry,) = json.loads(capsys.readouterr().out)
        assert (entry["over"], entry["budget"]) == (done, 2)
        assert entry["state"] == ("finished" if done == 2 else "interrupted")
    assert _imported_by("ls", "--home", str(tmp_path)) == set()


def test_a_damaged_sweep_hides_no_other(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sweeper.home import Home

    broken = Home.at(home).sweep("broken")
    broken.create()
    for damage in (b'{"name": ', b"\xff\xfe", b"[1]"):
        broken.spec_json.write_bytes(damage)
        assert run(["status", "broken", "--home", str(home)]) == 2
        assert str(broken.spec_json) in capsys.readouterr().err
        assert run(["ls", "--home", str(home)]) == 1
        said = capsys.readouterr()
        assert "begun" in said.out
        assert str(broken.spec_json) in said.err
    assert run(["ls", "--home", str(home), "--json"]) == 1
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["begun"]


def test_what_ran_when_its_driver_died_is_not_called_running(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sweeper.home import Home
    from sweeper.search.ledger import Ledger
    from sweeper.search.looking import sweep_of

    folder = Home.at(home).existing("begun")
    ledger = Ledger.open(sweep_of(folder), folder)
    asked = ledger.ask()
    assert asked is not None
    ledger.started(asked.number)
    assert run(["status", "begun", "--home", str(home)]) == 0
    text = capsys.readouterr().out
    assert "begun: interrupted" in text
    assert "1 cut off; 0 of 4 over" in text
    assert "running" not in text
    with folder.lock():
        assert run(["status", "begun", "--home", str(home)]) == 0
    assert "1 running; 0 of 4 over" in capsys.readouterr().out


def written_pictures(folder: Path) -> Path:
    """A sweep over 24 pictures: two classes, one picture twice, one that cannot be decoded."""
    import numpy as np
    from PIL import Image

    for number in range(23):
        place = folder / "pictures" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        seed = 0 if number == 22 else number
        pixels = np.random.default_rng(seed).integers(0, 256, (12, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number:02d}.png")
    (folder / "pictures" / "b" / "99.png").write_bytes(b"no picture")
    file = folder / "sweep.yaml"
    file.write_text(
        f"name: s\nbase:\n  data: {{name: image_folder, path: {folder}/pictures, size: 8, "
        "max_corrupt: 0.05}\n  evaluation: {extractor: digits}\n"
        "parameters: {seed: {values: [0, 1]}}\nlimits: {trials: 2}\n"
    )
    return file


def test_validate_warns_of_a_trick_that_some_trials_only_are_trained_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "{name: s, base: {data: digits}, ablation: {design: add_one_in}, "
        "parameters: {tricks.perceptual: {toggle: true}, tricks.ema: {toggle: true}}}"
    )
    assert run(["validate", str(file)]) == 0
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert "tricks.perceptual: trains on the layers of the extractor that the score is" in warning


def test_validate_decodes_all_data_where_it_is_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written_pictures(tmp_path)
    assert run(["validate", str(file)]) == 0
    assert "skipped" not in capsys.readouterr().out, "a look cannot know"
    asked = ["validate", str(file), "--data", "--home", str(tmp_path / "home")]
    assert run([*asked, "--json"]) == 0
    ((entry,)) = json.loads(capsys.readouterr().out)
    facts = entry["data"]
    assert facts["count"] == 23
    assert facts["class_counts"] == {"a": 12, "b": 11}
    assert facts["sizes"] == {"8 × 12": 23}
    assert facts["modes"] == {"RGB": 23}
    assert facts["skipped"] == 1
    ((reason, count),) = facts["skipped_for"].items()
    assert (reason.startswith("not a picture"), count) == (True, 1)
    assert facts["duplicates"] == 1
    assert facts["leaked"] == 0
    assert any(item.is_dir() for item in (tmp_path / "home" / "cache" / "data").iterdir())
    assert run(asked) == 0
    told = capsys.readouterr().out
    assert "23 images of 3 × 8 × 8" in told
    assert "2 classes: a (12), b (11)" in told
    assert "stored as 8 × 12 (23); mode RGB (23)" in told
    assert "1 duplicate\n" in told
    assert f"{tmp_path}/pictures/b/99.png (not a picture" in told
    assert "warning: 1 of 24 pictures skipped" in told

    assert run([*asked, "--set", "base.data.max_corrupt=0.01"]) == 2
    told = capsys.readouterr().out
    assert "1 or more of 24 images in" in told
    assert "1 skipped" in told, "all of it is told, not the first alone"


def test_training_tells_what_was_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    file = written_pictures(tmp_path)
    small = ["steps=1", "batch_size=4", "networks.generator.width=8"]
    small += ["networks.discriminator.width=8", "evaluation.samples=8", "evaluation.metrics=[fid]"]
    overrides = [word for text in small for word in ("--set", text)]
    assert run(["train", str(file), "--out", str(tmp_path / "out"), *overrides]) == 0
    assert "data (image_folder): 1 of 24 pictures skipped: 1 not a picture" in caplog.text
    link = tmp_path / "pictures" / "a" / "gone.png"
    link.symlink_to("nowhere")
    (tmp_path / "pictures" / "b" / "99.png").unlink()
    assert run(["preview", str(file), "--no-probe"]) == 0
    assert "1 of 24 pictures skipped: 1 a link that leads" in capsys.readouterr().err
    assert run(["validate", str(file)]) == 0
    assert "warning: 1 of 24 pictures skipped" in capsys.readouterr().out


def test_train_tells_of_a_wrong_path_beside_a_wrong_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trial.yaml"
    file.write_text(f"data: {{name: image_folder, path: {tmp_path}/nowhere}}\nbatch_size: 1\n")
    assert run(["train", str(file), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "data.size: is missing" in told
    assert "nowhere does not exist" in told
    assert "batch_size" in told
    assert not (tmp_path / "out").exists()
