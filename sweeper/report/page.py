"""The page: one HTML file that needs nothing else, in light and dark, with or without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import Template

from sweeper.ablation.formats import html as table_html
from sweeper.ablation.search_statistics import Importance, too_few_to_tell
from sweeper.ablation.tables import Table
from sweeper.report import markup, sections, summary, what_matters
from sweeper.report.assets import SORTING, STYLE, asset
from sweeper.report.long_enough import long_enough
from sweeper.report.markup import Picture, text
from sweeper.standings import Standings
from sweeper.standings.one_setting import left_out, of_one_setting
from sweeper.wording import measure, sentence

_FOOTER = (
    "<footer>Made by <code>sweeper report</code> from the sweep's study; the same trials give the "
    "same page. Every run with its metrics, samples and checkpoint: <code>sweeper ui</code>."
    "</footer>\n"
)


def page(
    standings: Standings,
    pictures: Sequence[Picture],
    tables: Sequence[Table],
    importances: Mapping[str, Importance] | None,
    state: str,
) -> str:
    """The whole page. `pictures` are those that could be drawn, in any order."""
    by_key = {picture.key: picture for picture in pictures}

    def shown(*keys: str) -> str:
        return "".join(markup.figure(by_key[key]) for key in keys if key in by_key)

    metric = sentence(measure(standings.metrics[0]))
    ablation = standings.sweep.is_ablation
    parts = [
        ("leaderboard", "Leaderboard", "" if ablation else sections.leaderboard(standings)),
        ("samples", "Samples", shown("best_samples", "film_strip")),
        (
            "tables",
            "Ablation" if ablation else tables_title(bool(standings.replicates)),
            shown("effects")
            + "".join(table_html.render(results_first(table)) for table in tables)
            + shown("factor_effects", "half_normal"),
        ),
        (
            "training",
            f"{metric} over training" if len(standings.metrics) == 1 else "Training",
            shown("pareto", "over_steps", "over_steps_2"),
        ),
        ("parameters", "What matters", _what_matters(standings, importances, shown)),
        ("budget", "Was the search long enough?", long_enough(standings) + shown("best_of_k")),
        ("stops", "Trials that ended early", shown("stops") + sections.stops(standings)),
        ("range", "From best to worst", shown("gallery")),
        ("protocol", "How it was measured", summary.protocol(standings)),
        ("winner", "The winner's configuration", sections.winner(standings)),
        ("again", "Reproduce it", sections.reproduce(standings)),
    ]
    parts = [part for part in parts if part[2]]
    if ablation:
        parts.sort(key=lambda part: part[0] != "tables")  # stable: only the tables move, to the top
    links = "".join(f'<a href="#{key}">{text(title)}</a>' for key, title, _ in parts)
    body = [summary.header(standings, state), summary.verdict(standings), summary.tiles(standings)]
    if not standings.finished:
        body.append(markup.notice(_why_empty(standings)))
    body.append(f"<nav>{links}</nav>\n")
    body += [
        f'<section id="{key}"><h2>{text(title)}</h2>\n{content}</section>\n'
        for key, title, content in parts
    ]
    body.append(_FOOTER)
    return Template(asset("page.html")).substitute(
        title=text(f"{standings.sweep.name} · sweep report"),
        style=asset(STYLE),
        script=asset(SORTING),
        body="".join(body),
    )


def tables_title(confirmed: bool) -> str:
    """What a search's tables are: of those confirmed on fresh seeds, or of all it tried."""
    return "On fresh seeds" if confirmed else "Configurations as a table"


def results_first(table: Table) -> Table:
    """A table of many tricks is wider than the page: what came out stands before what went in."""
    columns = sorted(table.columns, key=lambda column: column.key.startswith(("trick.", "param.")))
    return replace(table, columns=tuple(columns))


def _why_empty(standings: Standings) -> str:
    over = sum(standings.counts.get(state, 0) for state in ("pruned", "failed"))
    if not standings.trials:
        return "This sweep has no trials yet. The sections below fill as trials end."
    if over == len(standings.trials):
        count = "The only trial" if over == 1 else f"All {over} trials"
        return (
            f"{count} ended before the last step, so nothing has a final score. "
            "The causes are listed below."
        )
    return "No trial has completed yet. The sections below fill as trials end."


def _what_matters(
    standings: Standings, importances: Mapping[str, Importance] | None, shown: object
) -> str:
    assert callable(shown)
    if standings.sweep.is_ablation:
        return ""  # its effects say what matters, on all seeds of every cell
    content = str(shown("importances", "against", "against_2"))
    if not content:
        return ""
    if not importances:
        count, parameters = len(of_one_setting(standings)), len(standings.sweep.parameters)
        why = too_few_to_tell(count, parameters) or "no completed trials differ in their parameters"
        content = markup.notice(f"Which parameter matters most: {why}.") + content
    if apart := left_out(standings):
        content += f"<p>From the importances, {apart}.</p>\n"
    return content + what_matters.noise(standings) + what_matters.shares(standings)
