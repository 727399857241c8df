"""The sections of a sweep's page: the report's own, and beside them what a report cannot be, live.

Each is a function from what the study says to HTML. A section that takes long to work out is
`late`: it is made when somebody comes to it, and the page is there before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from sweeper.ablation.formats import html as table_html
from sweeper.ablation.tables import Table
from sweeper.report import gallery, markup, summary, what_matters
from sweeper.report import sections as report
from sweeper.report.effects import SIGNIFICANT, effects_of
from sweeper.report.lines import MANY
from sweeper.report.long_enough import long_enough
from sweeper.report.page import results_first, tables_title
from sweeper.results import finished_tables, table_of
from sweeper.service.pages import addresses, drawing
from sweeper.service.pages.drawing import Interval
from sweeper.service.pages.rendering import piece
from sweeper.service.readings import Reading
from sweeper.standings import Standings
from sweeper.wording import measure, number, sentence, short_path

Made = Callable[[Reading], Markup]

COPIED = ("latex", "markdown", "csv")
"""Formats in which a table can be copied from its page."""


LATER = Markup('<p class="muted">Results appear here as trials end.</p>\n')
"""In place of a section that has nothing to show yet."""


@dataclass(frozen=True)
class Section:
    """One section: its key in addresses, its heading, what makes it; `late`: not before somebody
    looks at it."""

    key: str
    title: str
    make: Made
    late: bool = False


def _html(content: str) -> Markup:
    return Markup(content)


def _of(section: Callable[[Standings], str]) -> Made:
    """A section of the report as it is."""
    return lambda reading: _html(section(reading.standings))


def sections_of(standings: Standings) -> list[Section]:
    """Those that a sweep of this kind has, in the order of its page."""
    metric = sentence(measure(standings.metrics[0]))
    of_search = [
        Section("leaderboard", "Leaderboard", _leaderboard),
        Section("steps", f"{metric} over steps", _over_steps),
        Section("parallel", "Parallel coordinates", _parallel),
        Section("parameters", "Each parameter", _parameters, late=True),
        Section("matters", "What the best trials share", _what_matters, late=True),
        Section("tables", tables_title(bool(standings.replicates)), _tables, late=True),
    ]
    of_ablation = [
        Section("tables", "Ablation", _tables, late=True),
        Section("steps", f"{metric} over steps", _over_steps),
    ]
    return [
        *(of_ablation if standings.sweep.is_ablation else of_search),
        Section("budget", "Was the search long enough?", _of(long_enough)),
        Section("stops", "Trials that ended early", _of(report.stops)),
        Section("gallery", "Gallery", _gallery, late=True),
        Section("protocol", "How it was measured", _of(summary.protocol)),
        Section("winner", "The winner's configuration", _of(report.winner)),
        Section("again", "Reproduce it", _of(report.reproduce)),
    ]


def _headline(reading: Reading) -> Markup:
    """The verdict and the numbers that count."""
    standings = reading.standings
    parts = [summary.lead(standings), summary.verdict(standings), summary.tiles(standings)]
    return _html("".join(parts))


HEADLINE = Section("headline", "The headline", _headline)
"""What stands above all sections."""


def _leaderboard(reading: Reading) -> Markup:
    name, standings = reading.folder.name, reading.standings
    board = _html(report.leaderboard(standings, lambda t: addresses.trial(name, t.number)))
    return piece("sweep/leaderboard.html", name=name, board=board, standings=standings)


def _over_steps(reading: Reading) -> Markup:
    standings = reading.standings
    many = len(standings.search) > MANY
    return piece("sweep/chart.html", name=reading.folder.name, standings=standings, many=many)


def _parallel(reading: Reading) -> Markup:
    if len(reading.standings.finished) < 2:
        return Markup()
    return piece("sweep/parallel.html", name=reading.folder.name, standings=reading.standings)


def _parameters(reading: Reading) -> Markup:
    """A small panel a parameter, drawn here: no script is needed."""
    standings = reading.standings
    panels = [(p.path, drawing.against_parameter(standings, p)) for p in standings.sweep.parameters]
    shown = [(short_path(path), panel) for path, panel in panels if panel]
    if not shown:
        return Markup()
    return piece("sweep/parameters.html", panels=shown, standings=standings, most=drawing.POINTS)


def _what_matters(reading: Reading) -> Markup:
    """Toggles with their intervals, and how much is luck."""
    standings = reading.standings
    rows = [
        Interval(
            short_path(share.name),
            100 * share.difference,
            100 * share.low,
            100 * share.high,
            None if share.low <= 0 <= share.high else share.difference > 0,
            share.p_holm < SIGNIFICANT,
        )
        for share in standings.shares
    ]
    words = "How much more often each trick is on in the best tenth, in percentage points"
    return piece(
        "sweep/matters.html",
        drawn=drawing.intervals(rows, words),
        words=words,
        noise=_html(what_matters.noise(standings)) if standings.finished else "",
        shares=_html(what_matters.shares(standings)),
    )


def tables_of(reading: Reading) -> list[Table]:
    """The tables that the trials so far support, results first."""
    standings = reading.standings
    return [results_first(t) for t in finished_tables(standings.sweep, table_of(standings))]


def _tables(reading: Reading) -> Markup:
    standings = reading.standings
    goal = standings.goals[0]
    shown = []
    for table in tables_of(reading):
        rows = [
            Interval(
                effect.name,
                effect.estimate,
                effect.low,
                effect.high,
                None
                if effect.low <= 0 <= effect.high
                else (effect.estimate < 0) == (goal == "minimize"),
                effect.p < SIGNIFICANT,
            )
            for effect in effects_of(table)
        ]
        words = f"Effects on {measure(standings.metrics[0])} with 95% intervals"
        drawn = drawing.intervals(rows, words)
        shown.append((table.name, _html(table_html.render(table)), drawn))
    if not shown:
        return _html("<p>There are too few trials for a table so far.</p>\n")
    return piece("sweep/tables.html", name=reading.folder.name, tables=shown, formats=COPIED)


def _gallery(reading: Reading) -> Markup:
    """Configurations from best to worst; a slider chooses the step."""
    standings = reading.standings
    rows = gallery.rows_of(standings, reading.folder)
    if not rows:
        return _html("<p>No trial has samples yet.</p>\n")
    steps = sorted({step for _, samples in rows for step in samples})
    shown = [
        {
            "trial": standing.trial,
            "rank": standing.rank,
            "steps": sorted(samples),
            "values": {
                step: number(standings.curve(standing.trial).get(step)) for step in sorted(samples)
            },
        }
        for standing, samples in rows
    ]
    return piece("sweep/gallery.html", name=reading.folder.name, rows=shown, steps=steps)


def by_key(standings: Standings) -> Mapping[str, Section]:
    """The sections by their keys, and the headline."""
    return {section.key: section for section in (HEADLINE, *sections_of(standings))}


def notice(words: str) -> Markup:
    """A remark in place of a section."""
    return _html(markup.notice(words))
