"""What a reader is shown acts on nothing: no terminal, no spreadsheet, no page."""

from __future__ import annotations

import ast
import csv
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from sweeper.ablation.column import Column
from sweeper.ablation.table_format import rendered
from sweeper.ablation.tables import Table
from sweeper.cli import printing
from sweeper.cli.live import Progress, Running, _picture
from sweeper.cli.main import run
from sweeper.cli.printing import give, print_table
from sweeper.home import Home
from sweeper.report.leaderboard import as_csv
from sweeper.report.markup import text as on_a_page
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.load import read_stored
from sweeper.tracking.table_files import table_files
from sweeper.wording import in_spreadsheet, on_one_line, visible

CLEAR, BELL, TURN = "\x1b[2J", "\x07", "\N{RIGHT-TO-LEFT OVERRIDE}"
HOSTILE = f"gnp.{CLEAR}{BELL}{TURN}\x9b31m\r"
SPELT = r"gnp.\x1b[2J\x07\u202e\x9b31m\r"


def test_what_acts_on_a_terminal_or_turns_the_text_is_spelt_out_and_nothing_else() -> None:
    assert visible(HOSTILE) == SPELT
    joined = "خوب\N{ZERO WIDTH NON-JOINER}تر 👩\N{ZERO WIDTH JOINER}🔬"
    kept = f"θ ± 0.3\tдом\n{joined}\N{NO-BREAK SPACE}中"
    assert visible(kept) == kept
    assert visible("\ud83d") == r"\ud83d"
    assert on_one_line("two\nlines\t") == r"two\nlines\t"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with one trial that has failed for a hostile reason."""
    from tests.unit.test_search_storage import SWEEP

    home = Home.at(tmp_path)
    folder = home.sweep(SWEEP.name)
    folder.create()
    folder.spec_json.write_text(json.dumps(SWEEP.to_dict()))
    ledger = Ledger.open(SWEEP, folder)
    trial = ledger.ask()
    assert trial is not None
    ledger.started(trial.number)
    ledger.fail(trial.number, "error", f"class {HOSTILE}", log_tail=f"one\n{HOSTILE}two")
    return home


@pytest.mark.parametrize(
    "command", [["show", "kept", "0"], ["status", "kept"], ["ls"], ["top", "kept"]]
)
def test_no_command_lets_a_reason_or_a_log_act_on_the_terminal(
    command: list[str], home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--home", str(home.path)]) == 0
    said = capsys.readouterr()
    assert not any(sign in said.out + said.err for sign in (CLEAR[0], BELL, TURN, "\x9b", "\r"))
    if command[0] == "show":
        assert f"class {SPELT}" in said.out
        assert f"one\n{SPELT}two" in said.out


def test_an_error_that_quotes_a_hostile_name_is_shown_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"{CLEAR}{TURN}.yaml"
    assert run(["run", str(file)]) == 2
    assert f"{visible(file.name)}: cannot be read" in capsys.readouterr().err


def test_a_cell_of_a_table_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("#", "cell"), [(1, f"a\n{HOSTILE}b")])
    assert capsys.readouterr().out.splitlines()[1] == rf"1  a\n{SPELT}b"


def test_the_live_view_lets_nothing_act_on_the_terminal(home: Home) -> None:
    sweep = read_stored(home.existing("kept").spec_json)
    progress = Progress(sweep, phase="searching", message=HOSTILE, explained=HOSTILE)
    progress.running[0] = Running(0, "search", 9, 0.0, symptoms=(HOSTILE,))
    progress.stops[HOSTILE] = 1
    console = Console(width=400, file=io.StringIO(), force_terminal=False)
    console.print(_picture(progress, 400))
    shown = console.file.getvalue()
    assert shown.count(SPELT) == 4
    assert not any(sign in shown for sign in (CLEAR[0], BELL, TURN, "\x9b", "\r"))


def test_a_table_for_a_file_is_exact_in_a_pipe_and_harmless_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(f"a,b\r\n{BELL},1\r\n")
    assert capsys.readouterr().out == f"a,b\r\n{BELL},1\r\n"
    give("no end of a line")
    assert capsys.readouterr().out == "no end of a line\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    give(f"a,b\r\n{BELL},1\r\n")
    assert capsys.readouterr().out == "a,b\n\\x07,1\n"


def test_every_line_of_the_command_line_is_printed_through_one_door() -> None:
    for file in Path(printing.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and file.name != "printing.py":
                assert ast.unparse(node.func) not in ("print", "typer.echo"), file.name


def table_of(columns: Mapping[str, list[Any]], caption: str = "") -> Table:
    """A finished table of these columns, with its caption as a note too."""
    made = [Column(key, key, [*map(str, cells)], {key: cells}) for key, cells in columns.items()]
    return Table("t", tuple(made), None, frozenset(), caption, (caption,))


FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\n=1", "＝1")
NUMBERS = (-0.5, -3, "-0.5", "+3", "-1e-3", "-inf", None, True, "a=1", "hinge", "")


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_cell_that_a_spreadsheet_would_run_is_made_a_text_in_every_csv(cell: str) -> None:
    assert in_spreadsheet(cell) == f"'{cell}"
    columns = {cell: [cell, "hinge"], "fid": [-0.5, -3.0]}
    board = as_csv(pa.table(columns)).decode()
    ours = rendered(table_of(columns), "csv").decode()
    for made in (board, ours, table_files("t", columns)["tables/t.csv"]):
        rows = list(csv.reader(io.StringIO(made, newline="")))
        assert rows[0] == [f"'{cell}", "fid"]
        assert rows[1][0] == f"'{cell}"
        assert [float(row[1]) for row in rows[1:]] == [-0.5, -3.0]


def test_a_cell_begins_no_row_of_its_own() -> None:
    columns = {"cell": ["a\r=1+1,2"], "fid": [1.0]}
    for made in (as_csv(pa.table(columns)).decode(), table_files("t", columns)["tables/t.csv"]):
        (row,) = list(csv.reader(io.StringIO(made, newline="")))[1:]
        assert (row[0], float(row[1])) == (r"a\r=1+1,2", 1.0)


@pytest.mark.parametrize("cell", NUMBERS)
def test_what_no_spreadsheet_would_run_stays_as_it_is(cell: object) -> None:
    assert in_spreadsheet(cell) is cell


def test_a_page_and_a_readers_table_show_what_turns_the_text_spelt_out() -> None:
    assert on_a_page(f"<{TURN}") == r"&lt;\u202e"
    table = table_of({HOSTILE: [HOSTILE]}, HOSTILE)
    for form in ("html", "markdown", "latex"):
        made = rendered(table, form).decode()
        assert not any(sign in made for sign in (CLEAR[0], BELL, TURN, "\x9b", "\r")), form
