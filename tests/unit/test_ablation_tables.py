"""Tables: what stands in them, what is refused, and that every format takes every character."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sweeper.ablation.columns import COLUMNS
from sweeper.ablation.dataset import trial_table
from sweeper.ablation.design import Design, Factor
from sweeper.ablation.designs.add_one_in import add_one_in
from sweeper.ablation.designs.leave_one_out import leave_one_out
from sweeper.ablation.designs.one_factor import one_factor
from sweeper.ablation.effect_table import effect_table
from sweeper.ablation.factorial import factorial_effects
from sweeper.ablation.formats.latex import escape
from sweeper.ablation.fractional import fractional_factorial
from sweeper.ablation.matrix import outcomes_from_matrix
from sweeper.ablation.reference_columns import REFERENCE_COLUMNS
from sweeper.ablation.table_format import TableFormat, rendered
from sweeper.ablation.tables import Table, TableRefused, build_table
from sweeper.errors import UserError
from sweeper.wording import decimals, number, p_text, seeds_text

PROTOCOL = {"extractor": "digits", "fake_count": "1024", "weights": "averaged"}
FACTORS = [Factor("tricks.ema"), Factor("tricks.diff_augment"), Factor("tricks.r1")]
NASTY = r"50% of $x_1$ & {a}#~^\ <b>|*é ñ ł ß Δ α 中 🚀 ± − “q” [0]"


def feasible(settings: Mapping[str, Any]) -> str | None:
    return None if settings["tricks.r1"] else "spectral_norm requires r1"


def study_records(
    seeds: int = 10, *, failing: bool = False, design: Design | None = None
) -> list[dict[str, Any]]:
    """Leave-one-out runs: without ema is 5 worse, without diff_augment no different."""
    rng = np.random.default_rng(1)
    lift = rng.normal(size=seeds)
    records: list[dict[str, Any]] = []
    for cell in (design or leave_one_out(FACTORS, feasible)).possible:
        for seed in range(seeds):
            broken = failing and "diff" in cell.label and seed in (1, 4)
            value = 20 + lift[seed] + 0.3 * rng.normal() + 5 * ("ema" in cell.label)
            on: dict[str, Any] = {
                path.removeprefix("tricks."): {} for path, x in cell.settings.items() if x
            }
            records.append(
                {
                    "number": len(records),
                    "state": "failed" if broken else "completed",
                    "symptom": "mode_collapse" if broken else None,
                    "cell": cell.label,
                    "values": dict(cell.settings),
                    "config": {"seed": seed, "tricks": on},
                    "objective": None if broken else value,
                    "protocol": {} if broken else PROTOCOL,
                    "metrics": {"kid": value / 100},
                    "seconds": 60.0,
                }
            )
    return records


def ablation(**options: Any) -> Table:
    design = leave_one_out(FACTORS, feasible)
    table = trial_table(study_records(failing=options.pop("failing", False)))
    return build_table(table, metric="fid", design=design, **options)


def column(table: Table, key: str) -> list[str]:
    return list(next(one for one in table.columns if one.key == key).texts)


def test_a_table_has_ticks_means_differences_and_corrected_p() -> None:
    table = ablation()
    assert column(table, "cell") == ["full", "without ema", "without diff_augment", "without r1"]
    assert column(table, "trick.ema") == ["✓", "–", "✓", "✓"]
    assert column(table, "value")[0].endswith("(10)")
    assert column(table, "difference")[0] == "reference"
    assert (
        column(table, "difference")[1].startswith("+4.") or "+5." in column(table, "difference")[1]
    )
    assert column(table, "p")[1] == "0.004"
    assert "Holm-corrected over 2 comparisons" in table.caption
    assert "seeds 0–9" in table.caption
    assert "extractor digits" in table.caption
    assert not re.search(r"[0-9a-f]{12}", table.caption)
    assert re.match(r"Protocol [0-9a-f]{12}: extractor digits, ", table.notes[-1])


def test_a_cell_that_scatters_much_unlike_the_reference_is_named() -> None:
    design = leave_one_out(FACTORS)
    rng = np.random.default_rng(0)
    wide = {"without ema": 8.0, "full": 1.0}
    rows = [
        {
            "number": index,
            "state": "completed",
            "cell": cell.label,
            "values": dict(cell.settings),
            "config": {"seed": seed},
            "objective": 10 + wide.get(cell.label, 1.2) * rng.normal(),
        }
        for index, (cell, seed) in enumerate(
            (cell, seed) for cell in design.cells for seed in range(10)
        )
    ]
    table = build_table(trial_table(rows), design=design)
    (note,) = (note for note in table.notes if "unlike" in note)
    assert note.startswith("Scatter much unlike full: without ema (")
    assert "without diff_augment" not in note
    plain = build_table(trial_table(rows), design=design, columns=["cell", "value"])
    assert not any("unlike" in note for note in plain.notes)


def test_the_best_is_marked_and_so_is_what_cannot_be_told_from_it() -> None:
    table = ablation()
    assert {table.best, *table.equals} == {0, 2}
    markdown = rendered(table, "markdown").decode()
    assert markdown.count("**") == 2
    assert markdown.count("<ins>") == 1


def test_impossible_cells_stand_in_their_place_with_the_reason() -> None:
    table = ablation()
    assert column(table, "value")[3] == "impossible"
    assert column(table, "trick.r1")[3] == "–"
    assert table.notes[:-1] == ("Impossible: without r1 (spectral_norm requires r1)",)


def test_a_cell_that_has_not_run_is_shown_as_such() -> None:
    records = [one for one in study_records() if "diff" not in one["cell"]]
    design = leave_one_out(FACTORS, feasible)
    table = build_table(trial_table(records), metric="fid", design=design)
    assert column(table, "value")[2] == "not run"


@pytest.mark.parametrize("levels", [(1, "auto"), ([1, 2], [3, 4]), (True, "x"), (None, "x")])
def test_levels_of_any_kind_make_a_table_while_some_have_not_run(levels: tuple[Any, ...]) -> None:
    design = one_factor(Factor("a.b", levels))
    (first, second) = design.cells
    rows = [
        {"number": seed, "state": "completed", "cell": first.label, "objective": 1.0 + seed,
         "values": {**first.settings, "seed": seed}}
        for seed in range(3)
    ]  # fmt: skip
    table = build_table(trial_table(rows), design=design)
    assert column(table, "cell") == [first.label, second.label]
    for name in TableFormat.all():
        assert rendered(table, name)


def test_a_column_may_be_called_as_in_the_sweep_file() -> None:
    records = study_records()
    for record in records:
        record["values"]["batch_size"] = 16
    data = trial_table(records)
    typed, stored = (
        [(one.key, one.texts) for one in build_table(data, metric="fid", columns=keys).columns]
        for keys in (
            ["fid", "kid", "batch_size", "tricks.ema"],
            ["value", "metric.kid", "param.batch_size", "param.tricks.ema"],
        )
    )
    assert typed == stored
    assert typed[-1][1][:2] == ["✓", "–"]


def test_a_caption_counts_its_comparisons() -> None:
    design = leave_one_out([Factor("tricks.ema")])
    data = trial_table(study_records(seeds=3, design=design))
    caption = build_table(data, design=design).caption
    assert "two-sided, Holm-corrected over 1 comparison." in caption
    started = data.filter(pa.compute.equal(data["cell"], "full"))
    assert "p: no pair of runs to test yet." in build_table(started, design=design).caption


def test_runs_of_another_design_in_the_same_sweep_stay_out_of_the_family() -> None:
    records = study_records()
    other = add_one_in([Factor("tricks.ema"), Factor("loss", ("hinge", "wgan"))])
    more = study_records(design=other)
    for one in more:
        one["number"] += len(records)
    design = leave_one_out(FACTORS, feasible)
    mixed = build_table(trial_table(records + more), metric="fid", design=design)
    alone = build_table(trial_table(records), metric="fid", design=design)
    assert mixed.caption == alone.caption
    assert column(mixed, "p") == column(alone, "p")


def test_failures_are_stated_by_symptom_and_analysed_both_ways() -> None:
    table = ablation(failing=True)
    assert column(table, "failed") == ["0", "0", "2 of 10: mode_collapse", "–"]
    assert any("2 of 30 runs failed (mode_collapse 2)" in note for note in table.notes)
    assert column(table, "value")[2].endswith("(8)")
    raw = table.raw().to_pylist()[2]
    assert raw["pairs"] == 8
    assert 0 <= raw["improvement"] <= 1
    assert raw["p_worst"] is not None


def test_small_samples_say_that_t_is_used_and_why() -> None:
    records = study_records(seeds=5)
    table = build_table(trial_table(records), reference="full", metric="fid")
    assert "paired t test" in table.caption
    assert any("With 5 pairs a sign-flip p cannot be below 0.0625" in note for note in table.notes)
    fewer = [one for one in records if "diff" not in one["cell"] or one["config"]["seed"] > 0]
    table = build_table(trial_table(fewer), reference="full", metric="fid")
    told = "With 4 to 5 pairs a sign-flip p cannot be below 0.125 to 0.0625, too coarse"
    assert any(told in note for note in table.notes)


def test_every_column_can_be_chosen_and_exports_numbers() -> None:
    keys = [key for key in COLUMNS if key not in ("screened", "objective_2")]
    table = ablation(columns=[*keys, "metric.kid", "param.tricks.ema"], failing=True)
    raw = table.raw()
    assert {"mean", "difference_low", "p_holm", "effect", "iqm_high", "metric.kid"} <= set(
        raw.column_names
    )
    assert len(raw) == len(table) == 4


def test_a_confirmation_shows_the_lucky_number_beside_the_confirmed_one() -> None:
    search = [
        {"number": n, "state": "completed", "role": "search", "values": {"lr": 10.0**-n},
         "seed": 0, "objective": 5.0 + n, "protocol": PROTOCOL}
        for n in range(3)
    ]  # fmt: skip
    replicates = [
        {"number": 3 + 5 * n + s, "state": "completed", "role": "replicate", "of": n,
         "values": {"lr": 10.0**-n}, "seed": 100 + s, "objective": 9.0 - n + 0.1 * s,
         "protocol": PROTOCOL}
        for n in range(2)
        for s in range(5)
    ]  # fmt: skip
    table = build_table(trial_table(search + replicates), metric="fid")
    assert column(table, "cell") == ["trial 00001", "trial 00000"]
    assert column(table, "screened") == ["6.000", "5.000"]
    assert table.best == 0


def test_a_plain_search_is_listed_best_first_without_tests() -> None:
    records = [
        {"number": n, "state": "completed", "values": {"lr": 10.0**-n}, "seed": 0,
         "objective": float(v), "protocol": PROTOCOL}
        for n, v in enumerate([3, 1, 2])
    ]  # fmt: skip
    table = build_table(trial_table(records), metric="fid", limit=2)
    assert column(table, "cell") == ["trial 00001", "trial 00002"]
    assert "The first 2 of 3 configurations" in table.notes
    assert table.equals == frozenset()
    largest = build_table(trial_table(records), metric="is", goal="maximize", limit=1)
    assert column(largest, "cell") == ["trial 00000"]


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_trial_that_took_weights_over_is_a_run_of_no_configuration(confirmed: bool) -> None:
    records = [
        {"number": n, "state": "completed", "role": "search", "values": {"lr": 1e-3}, "seed": n,
         "objective": 1.0 + n, "took_over": n in (2, 3), "protocol": PROTOCOL}
        for n in range(4)
    ] + [
        {"number": 4 + n, "state": "completed", "role": "replicate", "of": 2,
         "values": {"lr": 1e-3}, "seed": 100 + n, "objective": 1.0 + n, "protocol": PROTOCOL}
        for n in range(2 * confirmed)
    ]  # fmt: skip
    table = build_table(trial_table(records), metric="fid")
    (note,) = [one for one in table.notes if one.startswith("Took weights over")]
    if confirmed:
        assert "in the search: trial 00002; fresh seeds trained the last settings" in note
    else:
        assert column(table, "cell") == ["trial 00000", "trial 00002", "trial 00003"]
        assert table.raw()["n"].to_pylist() == [2, 1, 1]
        assert "trial 00002 and trial 00003; the value is of several settings" in note


# Refusals ---------------------------------------------------------------------------------------


def test_mixed_protocols_are_refused_naming_what_differs() -> None:
    records = study_records()
    records[3]["protocol"] = PROTOCOL | {"fake_count": "256"}
    with pytest.raises(TableRefused, match=r"fake_count: 1024 \(runs: 29\), 256 \(runs: 1\)"):
        build_table(trial_table(records), reference="full")
    records[3]["protocol"] = {}
    with pytest.raises(TableRefused, match="not recorded"):
        build_table(trial_table(records), reference="full")


def test_raw_and_averaged_weights_may_meet_because_the_trick_ema_decides_them() -> None:
    records = study_records()
    for one in records:
        if one["cell"] == "without ema":
            one["protocol"] = PROTOCOL | {"weights": "raw"}
    table = build_table(trial_table(records), reference="full")
    assert "weights averaged or raw as each configuration has it" in table.notes[-1]


def test_a_missing_reference_is_refused_with_the_nearest_label() -> None:
    table = trial_table(study_records())
    with pytest.raises(TableRefused, match="did you mean 'without ema'"):
        build_table(table, reference="witout ema")
    failed = [
        one | {"state": "failed"} if one["cell"] == "full" else one for one in study_records()
    ]
    with pytest.raises(TableRefused, match="no run of the reference 'full' has completed"):
        build_table(trial_table(failed), reference="full")
    with pytest.raises(TableRefused, match=r"choose one as `reference`; there are: full"):
        build_table(table, columns=["cell", "value", "p"])


def test_a_test_on_a_single_seed_is_refused_and_a_table_without_tests_is_not() -> None:
    records = study_records()
    kept = [r for r in records if r["cell"] != "without ema" or r["config"]["seed"] == 0]
    with pytest.raises(TableRefused, match="these cells have one: without ema"):
        build_table(trial_table(kept), reference="full")
    table = build_table(trial_table(kept), reference="full", columns=["cell", "value"])
    assert "±" not in column(table, "value")[1]


def test_a_caption_does_not_speak_of_a_best_row_that_is_left_out() -> None:
    rows = [
        {"number": n, "state": "completed", "cell": cell, "values": {"seed": n // 2},
         "objective": value + n // 2}
        for n, (cell, value) in enumerate([("a", 5.0), ("b", 4.0)] * 3)
    ]  # fmt: skip
    whole, part = build_table(trial_table(rows)), build_table(trial_table(rows), limit=1)
    assert (whole.best, part.best) == (1, None)
    assert "Bold: best" in whole.caption
    assert "Bold" not in part.caption
    assert "Underlined: cannot be told from the best, which is not among these rows" in part.caption


def test_an_interval_that_the_seeds_do_not_allow_is_refused() -> None:
    data = trial_table(study_records(seeds=4))
    with pytest.raises(TableRefused, match=r"no sign-flip interval of level 0\.95 for n=4"):
        build_table(data, reference="full", interval="sign_flip")


def test_an_unknown_column_or_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(TableRefused, match="did you mean 'value'"):
        ablation(columns=["cell", "valeu"])
    with pytest.raises(TableRefused, match=r"did you mean 'metric\.kid'"):
        ablation(columns=["cell", "metric.kit"])
    with pytest.raises(UserError, match="there is no table format 'docx'"):
        rendered(ablation(), "docx")
    with pytest.raises(TableRefused, match="no trials"):
        build_table(trial_table([]))


# Formats ----------------------------------------------------------------------------------------


def nasty_table() -> Table:
    """Labels, names and values made of what each format holds special."""
    factors = [Factor("tricks.ema"), Factor("loss", ("hinge", NASTY), name=NASTY)]
    design = leave_one_out(factors, lambda settings: None)
    records = study_records(seeds=6, design=design)
    for one in records:
        one["protocol"] = {"extractor": NASTY}
    return build_table(trial_table(records), design=design, metric=NASTY, name="nasty_table")


@pytest.mark.parametrize("name", TableFormat.all())
def test_every_format_renders_any_text(name: str) -> None:
    content = rendered(nasty_table(), name)
    if name == "json":
        rows = json.loads(content)["rows"]
        assert rows[1]["cell"] == "without ema"
    elif name == "csv":
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        assert float(rows[1]["difference"]) == pytest.approx(5, abs=1)
    elif name == "parquet":
        table = pq.read_table(io.BytesIO(content))
        assert table.schema.metadata[b"sweeper.caption"].decode().startswith(NASTY)
        assert pa.types.is_floating(table.schema.field("mean").type)
    elif name == "html":
        page = ElementTree.fromstring(content)
        assert NASTY in "".join(page.itertext())
    elif name == "markdown":
        lines = content.decode().splitlines()
        bars = [line.replace("\\|", "").count("|") for line in lines[:5]]
        assert len(set(bars)) == 1
    else:
        assert content.decode().isascii()


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_latex_escapes_to_ascii_with_balanced_braces(text: str) -> None:
    escaped = escape(text)
    assert escaped.isascii()
    bare = escaped.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert "\n\n" not in escaped


@pytest.mark.parametrize("text", ["a--b---c", "''", ",,", "–-", "-–-", "\"'", "’'", "‘’‘‘"])
def test_latex_joins_no_two_characters_to_a_ligature(text: str) -> None:
    # Braces keep apart what TeX would join; what stands in braces alone is one character.
    runs = re.split(r"\{(?:|--|---|''|``|'|`)\}", escape(text))
    assert not [run for run in runs if re.search(r"--|''|``|,,", run)]


needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is absent")


def compile_latex(folder: Path, name: str) -> None:
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_names_that_begin_as_commands_of_a_format_are_shown_as_they_are() -> None:
    design = one_factor(Factor("a", ("x&lt;b", "*y"), name="*&amp;"))
    made = build_table(trial_table(study_records(seeds=3, design=design)), design=design)
    # After \\ a star would be read as a command's; &lt; is < in HTML, so in Markdown too.
    assert "\n{*}\\&amp;=x" in rendered(made, "latex").decode()
    shown = MarkdownIt("commonmark").enable("table").render(rendered(made, "markdown").decode())
    assert "*&amp;amp;=x&amp;lt;b" in shown


@needs_latex
def test_the_latex_file_compiles_unedited_alone_and_inside_a_paper(tmp_path: Path) -> None:
    for name, table in (("plain", ablation(failing=True)), ("nasty", nasty_table())):
        (tmp_path / f"{name}.tex").write_bytes(rendered(table, "latex"))
        compile_latex(tmp_path, f"{name}.tex")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,amssymb,graphicx}\n"
        "\\begin{document}See \\ref{tab:ablation}. \\input{plain}\\input{nasty} The end.\n"
        "\\end{document}\n"
    )
    compile_latex(tmp_path, "paper.tex")


@needs_latex
def test_a_long_table_compiles_over_several_pages(tmp_path: Path) -> None:
    records = [
        {"number": n, "state": "completed", "values": {"lr": n / 1e4}, "seed": 0,
         "objective": float(n), "protocol": PROTOCOL}
        for n in range(120)
    ]  # fmt: skip
    (tmp_path / "long.tex").write_bytes(rendered(build_table(trial_table(records)), "latex"))
    compile_latex(tmp_path, "long.tex")


# Wording ----------------------------------------------------------------------------------------


def test_numbers_are_worded_for_readers() -> None:
    assert number(-1.234, 2) == "−1.23"
    assert number(1.234, 2, signed=True) == "+1.23"
    assert number(2.5e9, 1) == "2.500e+09"
    assert number(float("nan"), 2) == "–"
    assert p_text(0.00001) == "< 0.001"
    assert seeds_text([4, 0, 1, 2, 9]) == "0–2, 4, 9"
    assert decimals([0.42, 0.38], [12.0]) == 2
    assert decimals([42.0], [1200.0]) == 0
    assert decimals([], [0.01234]) == 5


def test_tested_columns_are_columns() -> None:
    assert set(COLUMNS) >= set(REFERENCE_COLUMNS)


def test_a_factorials_effects_make_a_table_with_their_aliases() -> None:
    factors = [Factor(f"tricks.{name}") for name in ("ema", "r1", "noise", "diffaug")]
    design = fractional_factorial(factors, runs=8)
    rng = np.random.default_rng(0)
    values = [
        10 - 4 * cell.settings["tricks.ema"] + 0.2 * rng.normal(size=6) for cell in design.cells
    ]
    outcomes = outcomes_from_matrix([cell.label for cell in design.cells], range(6), values)
    table = effect_table(factorial_effects(design, outcomes), design, metric="fid")
    assert column(table, "effect")[0] == "ema"
    assert column(table, "estimate")[0].startswith("−3.9")
    row = column(table, "effect").index("ema × r1")
    assert column(table, "aliases")[row] == "noise × diffaug"
    assert "resolution 4" in table.caption
    assert "Generators: diffaug = ema*r1*noise" in table.notes
    # 2 · 7 / 2⁶ cannot reach 0.05, though the interval is the sign-flip test's.
    assert "sign-flip intervals" in table.caption
    assert "p: paired t test over the seeds, Holm-corrected over 7 effects" in table.caption
    single = outcomes_from_matrix(outcomes.cells, [7], np.array(values)[:, :1])
    caption = effect_table(factorial_effects(design, single), design).caption
    assert "no tests" in caption
    assert "Holm" not in caption
    for name in TableFormat.all():
        assert rendered(table, name)
