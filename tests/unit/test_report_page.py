"""The page and the files beside it: whole for any sweep, safe, and the same each time."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.ablation.dataset import trial_table
from sweeper.ablation.designs.full_factorial import FullFactorial
from sweeper.ablation.designs.leave_one_out import LeaveOneOut
from sweeper.ablation.reference_columns import REFERENCE_COLUMNS
from sweeper.ablation.search_statistics import Importance
from sweeper.ablation.tables import build_table
from sweeper.report import gallery, write_report
from sweeper.report.leaderboard import as_csv, leaderboard
from sweeper.report.long_enough import long_enough
from sweeper.report.page import page, results_first
from sweeper.results import finished_tables
from sweeper.search.samplers.grid import Grid
from sweeper.standings import standings_of
from sweeper.sweepfile import Limits, Parameter, Toggle, Tracking
from tests.unit.report_sweeps import (
    PARAMETERS,
    PROTOCOL,
    STEPS,
    folder_of,
    leave_samples,
    replicate,
    sweep,
    trial,
)

SHARES = {"loss": Importance(0.7, 0.5, 0.9, 0.45), "tricks.ema": Importance(0.3, 0.1, 0.5, 0.45)}
VOID = {"meta", "img", "br", "link", "hr", "input", "source"}


class Page(HTMLParser):
    """Reads a page and objects to what is not well formed."""

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(content)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def finished():
    """A sweep in which everything happened."""
    records = [
        trial(0, 40.0),
        trial(1, 20.0),
        trial(2, 25.0, state="pruned", objective=None, cause="scheduler", steps=500),
        trial(3, 90.0, state="failed", objective=None, cause="mode_collapse", steps=750),
        trial(4, 30.0),
        trial(5, steps=0, cause="error", reason="RuntimeError: no", log_tail="Traceback"),
    ]
    return records + [replicate(6 + seed, 1, 100 + seed, 21.0 + seed) for seed in range(3)]


def write_finished(home):
    folder = folder_of(home)
    for number in (0, 1, 3):
        leave_samples(folder, number, 250, 500)
    return write_report(folder, standings_of(sweep(), finished()), SHARES)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_finished(tmp_path_factory.mktemp("home"))


def page_of(spec, records, tables=(), state="finished"):
    return Page(page(standings_of(spec, records), [], tables, None, state))


@pytest.mark.parametrize(
    ("planned", "told"), [(None, "interrupted, 2 of 40 trials"), (2, "finished")]
)
def test_a_grid_that_is_smaller_than_its_limit_is_finished(planned, told, tmp_path):
    spec = sweep(limits=Limits(trials=40), search=Grid.Config())
    records = [trial(0, 9.0), trial(1, 8.0)]
    written = write_report(folder_of(tmp_path), standings_of(spec, records, planned))
    assert f">{told}<" in written.html.read_text()


def test_a_finished_sweep_leaves_its_files_and_a_page_that_shows_them(written):
    assert set(written.figures) == {
        "over_steps",
        "against",
        "importances",
        "best_of_k",
        "stops",
        "best_samples",
        "film_strip",
        "gallery",
    }
    assert written.figures["over_steps"].name == "fid_over_steps.png"
    assert all(path.stat().st_size > 0 for path in written.all)
    assert {path.name for path in written.folder.iterdir()} == {p.name for p in written.all}
    best = written.best_yaml.read_text()
    assert yaml.safe_load(best)["seed"] == 1
    told = "FID 22.0 ± 1.0 on fresh seeds (3); FID 20.00 in the search."
    assert best.splitlines()[0] == f"# Trial 00001 of the sweep small: {told}"
    shown = Page(written.html.read_text())
    assert len(shown.of("img")) == len(written.figures)
    assert "22.0 ± 1.0" in shown.text
    assert "20.00 in the search" in shown.text
    assert "Not confirmed: trial 00001 against the base configuration, FID −20.00" in shown.text
    assert "RuntimeError: no" in shown.text


def test_every_picture_has_another_for_a_phone_or_for_the_dark(written):
    shown = Page(written.html.read_text())
    sheets = sum("samples" in key or key in ("film_strip", "gallery") for key in written.figures)
    media = [attrs["media"] for attrs in shown.of("source")]
    assert media.count("(prefers-color-scheme: dark)") == sheets
    assert media.count("(max-width: 620px)") == len(written.figures) - sheets


def test_a_stopped_trial_shows_what_it_was_last_measured_with(written):
    assert "40.00 at 500" not in Page(written.html.read_text()).text
    stopped = trial(2, state="pruned", curve={250: 31.0, 500: 25.5}, steps=500)
    shown = page_of(sweep(), [trial(0, 40.0), stopped])
    assert "25.50 at 500" in shown.text


def halves(*values, repeats=()):
    """The answer to whether a search of these values was long enough."""
    records = [
        trial(n, *([] if value is None else [value]), state="completed" if value else "pruned")
        for n, value in enumerate(values)
    ]
    seeds = enumerate(repeats)
    records += [replicate(len(values) + n, 0, 100 + n, value) for n, value in seeds]
    return long_enough(standings_of(sweep(), records))


LEARNT = [9.0, 8.0, 7.0, None, 7.5, 6.0, 5.0, 5.5, 4.0, 3.0]


@pytest.mark.parametrize(
    ("values", "repeats", "said"),
    [
        (LEARNT[:9], (), "Too few trials to tell"),
        (LEARNT, (), "It is unclear: the later 5 of 10 trials improved the best FID by 4.000"),
        (LEARNT, (9.0, 9.1), "Probably not: the later 5 of 10 trials still improved"),
        (LEARNT, (2.0, 20.0), "Probably: the later 5 of 10 trials improved the best FID by 4.000"),
        ([5.0] * 10, (), "Probably: the later 5 of 10 trials gained nothing"),
    ],
)
def test_whether_a_search_was_long_enough_is_judged_by_the_noise_of_seeds(values, repeats, said):
    assert said in halves(*values, repeats=repeats)


def test_the_page_asks_the_network_for_nothing(written):
    html = written.html.read_text()
    shown = Page(html)
    assert all(attrs["src"].startswith("data:image/") for attrs in shown.of("img"))
    assert all(attrs["srcset"].startswith("data:image/") for attrs in shown.of("source"))
    assert all(attrs["href"].startswith("#") for attrs in shown.of("a"))
    assert not shown.of("link")
    assert not any("src" in attrs for attrs in shown.of("script"))
    assert not re.search(r"url\(|@import|https?://", html)
    policy = next(a["content"] for a in shown.of("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_the_same_sweep_gives_the_same_bytes(written, tmp_path):
    again = write_finished(tmp_path)
    assert {p.name: p.read_bytes() for p in again.all} == {
        p.name: p.read_bytes() for p in written.all
    }


ALL_FAILED = [trial(n, steps=0, cause="divergence") for n in range(3)]
RUNNING = [trial(0, 9.0, state="running", objective=None, ended=None), trial(1, state="waiting")]
TWO = [trial(n, float(10 + n), 0.9 - abs(3 - n) / 10) for n in range(6)]


@pytest.mark.parametrize(
    ("goals", "records", "figures", "words"),
    [
        ((), [], set(), "has no trials yet"),
        ((), [trial(0, 40.0)], {"over_steps"}, "finished"),
        (
            (),
            [trial(0, 40.0), trial(1, 20.0)],
            {"over_steps", "against", "best_of_k"},
            "FID −20.00 in",
        ),
        ((), ALL_FAILED, set(), "All 3 trials ended before the last step"),
        ((), RUNNING, {"over_steps"}, "No trial has completed yet"),
        (
            ("minimize", "maximize"),
            TWO,
            {"over_steps", "over_steps_2", "against", "against_2", "pareto"},
            "on the Pareto front",
        ),
    ],
    ids=["none", "one", "two", "all failed", "running", "two objectives"],
)
def test_a_partial_sweep_gets_a_page_with_what_there_is(tmp_path, goals, records, figures, words):
    spec = sweep(*goals, parameters=PARAMETERS[:1], limits=Limits(trials=len(records) or 4))
    paths = write_report(folder_of(tmp_path), standings_of(spec, records))
    assert set(paths.figures) == figures
    assert words in Page(paths.html.read_text()).text
    assert (paths.best_yaml is None) == (not any(r.state == "completed" for r in records))


def test_what_a_sweep_no_longer_has_is_removed(tmp_path):
    folder = folder_of(tmp_path)
    first = write_report(folder, standings_of(sweep(), [trial(0, 40.0), trial(1, 20.0)]))
    (folder.report / "notes.txt").write_text("mine")
    write_report(folder, standings_of(sweep(), []))
    assert not any(path.exists() for path in first.figures.values())
    assert not first.best_yaml.exists()
    assert (folder.report / "notes.txt").read_text() == "mine"


def test_nothing_from_a_file_is_read_as_markup():
    hostile = "</code></pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    spec = sweep(description=hostile)
    records = [
        trial(0, 40.0, values={"loss": hostile, hostile: 1}, config={"loss": hostile}),
        trial(1, cause=hostile, reason=hostile, log_tail=hostile),
        trial(2, 30.0, protocol={**PROTOCOL, "extractor": hostile}),
    ]
    shown = page_of(spec, records, state=hostile)
    assert len(shown.of("script")) == 1
    assert not any("onerror" in attrs for _, attrs in shown.tags)
    assert hostile in shown.text


def test_a_password_in_an_address_is_not_shown():
    shown = page_of(sweep(tracking=Tracking(uri="http://user:secret@host:5000")), [])
    assert "***@host:5000" in shown.text
    assert "secret" not in shown.text


def test_an_ablation_table_is_part_of_the_page():
    records = finished()
    table = build_table(trial_table(record.as_dict() for record in records), metric="FID")
    assert table.caption.split(";")[0] in page_of(sweep(), records, [table]).text


def test_an_ablations_page_begins_with_its_tables():
    records = finished()
    table = build_table(trial_table(record.as_dict() for record in records), metric="FID")
    (searched,) = finished_tables(sweep(), trial_table(map(vars, records[:5])))
    headings = page_of(sweep(), records[:5], [searched]).text
    assert "On fresh seeds" not in headings  # nobody got any
    assert "Configurations as a table" in headings
    ablation = sweep(ablation=FullFactorial.Config(seeds=2))
    for spec, first, said in (
        (sweep(), "leaderboard", "On fresh seeds"),
        (ablation, "tables", "Ablation"),
    ):
        shown = page_of(spec, records, [table])
        assert shown.of("section")[0]["id"] == first
        assert said in shown.text


def test_a_cell_of_an_ablation_is_shown_by_its_name_with_the_mean_of_all_its_seeds():
    first_seed = {"steps": STEPS, "seed": 3}
    records = [
        trial(0, 4.0, cell="full", config=first_seed),
        trial(1, 1.0, cell="without ema", config=first_seed),
        *(replicate(2 + n, 0, 5 + n, 4.0) for n in range(2)),
        *(replicate(4 + n, 1, 5 + n, 5.0 + 4 * n) for n in range(2)),
    ]
    spec = sweep(ablation=LeaveOneOut.Config(seeds=3))
    first, second = standings_of(spec, records).order
    assert (first.trial.cell, first.confirmed.mean, first.confirmed.count) == ("full", 4.0, 3)
    assert (second.confirmed.mean, second.confirmed.count) == (5.0, 3)
    headline = gallery._headline(second, standings_of(spec, records))
    assert headline == ["#2  without ema", "FID 1.000, trial 00001", "5.0 ± 4.0 on 3 seeds"]


def test_results_stand_before_the_ticks_on_the_page():
    records = [trial(n, 4.0 + n, values={"tricks.ema": n < 2}) for n in range(4)]
    table = build_table(trial_table(record.as_dict() for record in records), metric="FID")
    keys = [column.key for column in results_first(table).columns]
    assert keys.index("cell") < keys.index("value") < keys.index("trick.ema")


def test_an_ablation_is_not_read_as_a_search(tmp_path):
    """Its cells are no draws: no expected best of k, no importances, no share of seed noise."""
    records = [trial(n, 10.0 + n) for n in range(6)]
    records += [replicate(6 + n, n, 100, 11.0 + n) for n in range(6)]
    ablation = FullFactorial.Config(seeds=2)
    for spec, said in ((sweep(), True), (sweep(ablation=ablation), False)):
        paths = write_report(folder_of(tmp_path), standings_of(spec, records))
        text = Page(paths.html.read_text()).text
        assert ("best_of_k" in paths.figures) == said
        assert ("too few trials to tell" in text) == said
        assert ("against" in paths.figures) == said
        assert ("seed noise" in text) == said
        assert ("sampler tpe" in text) == said
        assert ("Ranked by the mean on fresh seeds" in text) == said
        assert ("Best FID, confirmed" in text) == said
        assert ("full factorial over 3 factors" in text) != said
        assert ("The search draws the same configurations" in text) == said


def test_an_ablation_that_allows_no_test_yet_shows_its_values_without_one():
    spec = sweep(
        parameters=(Parameter("tricks.ema", Toggle()), Parameter("tricks.r1", Toggle())),
        ablation=LeaveOneOut.Config(seeds=2),
    )
    cells = ("full", "without ema", "without r1")

    def made(*ends):
        values = zip(cells, ends, strict=True)
        records = [trial(n, *end, cell=cell) for n, (cell, end) in enumerate(values)]
        return finished_tables(spec, trial_table(map(vars, records)))[0]

    for ends, said in ((((4.0,), (5.0,), (6.0,)), "4.000"), (((), (5.0,), ()), "failed")):
        table = made(*ends)
        assert [column.key for column in table.columns[:1]] == ["cell"]
        texts = {column.key: column.texts for column in table.columns}
        assert texts["value"][0] == said
        assert not REFERENCE_COLUMNS.keys() & texts.keys()


def test_a_film_of_a_trial_without_a_score_is_not_called_the_best_ones(tmp_path):
    folder = folder_of(tmp_path)
    leave_samples(folder, 0, 250, 500)
    unscored = trial(0, curve={250: 9.0, 500: 8.0})
    for records, said in (([unscored], False), ([trial(0, 9.0)], True)):
        shown = Page(write_report(folder, standings_of(sweep(), records)).html.read_text()).text
        assert "One trial during training" in shown
        assert ("the best trial that left any" in shown) == said


def test_thousands_of_trials_are_summed_up(tmp_path):
    records = [trial(n, 10.0 + n % 97) for n in range(1000)]
    paths = write_report(folder_of(tmp_path), standings_of(sweep(), records))
    text = Page(paths.html.read_text()).text
    assert "The first 100 of 1,000 trials" in text
    assert paths.html.stat().st_size < 3_000_000


def test_the_report_loads_no_trainer_and_no_vendor():
    code = (
        "import sys, sweeper.report;"
        "print([m for m in ('torch', 'optuna', 'ray', 'mlflow', 'matplotlib.pyplot')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Any records at all -----------------------------------------------------------------------------

NUMBERS = st.one_of(st.floats(), st.floats(1e-6, 1e6), st.sampled_from((0.0, 5.0)))


SHARE = st.builds(Importance, *[st.floats(0.0, 1.0)] * 4)


@st.composite
def any_records(draw, objectives):
    records = []
    for number in range(draw(st.integers(0, 10))):
        state = draw(st.sampled_from(("waiting", "running", "completed", "pruned", "failed")))
        role = draw(st.sampled_from(("search", "search", "base", "replicate")))
        curve = draw(st.dictionaries(st.integers(1, 2000), NUMBERS, max_size=3))
        records.append(
            trial(
                number,
                state=state,
                role=role,
                of=draw(st.integers(0, number)) if role == "replicate" else None,
                objective=draw(st.tuples(*[NUMBERS] * objectives))
                if state == "completed"
                else None,
                curve=curve,
                steps=max(curve, default=0),
                cause=draw(st.sampled_from((None, "divergence", "scheduler", "unheard of"))),
                protocol=draw(st.sampled_from(({}, PROTOCOL, {**PROTOCOL, "fake_count": "9"}))),
                ended=draw(st.sampled_from((None, 1_700_000_100.0))),
            )
        )
    return records


@settings(deadline=None, max_examples=30)
@given(data=st.data(), goals=st.lists(st.sampled_from(("minimize", "maximize")), max_size=2))
def test_no_record_breaks_the_page_or_the_leaderboard(data, goals):
    records = data.draw(any_records(max(len(goals), 1)))
    standings = standings_of(sweep(*goals), records)
    Page(page(standings, [], [], None, "finished"))
    assert as_csv(leaderboard(standings)).count(b"\n") == len(records) + 1


@pytest.mark.slow
@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data(), goals=st.lists(st.sampled_from(("minimize", "maximize")), max_size=2))
def test_no_record_breaks_a_figure(tmp_path_factory, data, goals):
    records = data.draw(any_records(max(len(goals), 1)))
    folder = folder_of(tmp_path_factory.mktemp("home"))
    written = write_report(folder, standings_of(sweep(*goals), records), {"loss": data.draw(SHARE)})
    assert all(path.stat().st_size > 0 for path in written.all)
