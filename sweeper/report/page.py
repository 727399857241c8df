"""The page: one HTML file that needs nothing else, in light and dark, with or without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from string import Template

from sweeper.ablation.formats import html as table_html
from sweeper.ablation.search_statistics import Importance, ToggleShare, too_few_to_tell
from sweeper.ablation.tables import Table
from sweeper.report import markup, sections, summary
from sweeper.report.markup import Cell, Picture, text
from sweeper.standings import Standings
from sweeper.wording import measure, plural, sentence, short_path

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
            "Ablation" if ablation else _title_of(tables),
            shown("effects")
            + "".join(table_html.render(_results_first(table)) for table in tables)
            + shown("factor_effects", "half_normal"),
        ),
        (
            "training",
            f"{metric} over training" if len(standings.metrics) == 1 else "Training",
            shown("pareto", "over_steps", "over_steps_2"),
        ),
        ("parameters", "What matters", _what_matters(standings, importances, shown)),
        ("budget", "Was the search long enough?", shown("best_of_k")),
        ("stops", "Trials that ended early", shown("stops") + sections.stops(standings)),
        ("range", "From best to worst", shown("gallery")),
        ("protocol", "How it was measured", summary.protocol(standings)),
        ("winner", "The winner's configuration", sections.winner(standings)),
        ("again", "Doing it again", sections.reproduce(standings)),
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
    return Template(_resource("page.html")).substitute(
        title=text(f"{standings.sweep.name} · sweep report"),
        style=_resource("page.css"),
        body="".join(body),
    )


def _title_of(tables: Sequence[Table]) -> str:
    """What a search's tables are: of those confirmed on fresh seeds, or of all it tried."""
    confirmed = any(column.key == "screened" for table in tables for column in table.columns)
    return "On fresh seeds" if confirmed else "Configurations as a table"


def _results_first(table: Table) -> Table:
    """A table of many tricks is wider than the page: what came out stands before what went in."""
    columns = sorted(table.columns, key=lambda column: column.key.startswith(("trick.", "param.")))
    return replace(table, columns=tuple(columns))


def _why_empty(standings: Standings) -> str:
    over = sum(standings.counts.get(state, 0) for state in ("pruned", "failed"))
    if not standings.trials:
        return "This sweep has no trial yet. What is below fills up as trials end."
    if over == len(standings.trials):
        count = "The only trial" if over == 1 else f"All {over} trials"
        return (
            f"{count} ended before the last step, so nothing has a final score. "
            "What ended them stands below."
        )
    return "No trial has completed yet. What is below fills up as trials end."


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
        count, parameters = len(standings.finished), len(standings.sweep.parameters)
        why = too_few_to_tell(count, parameters) or "no completed trials differ in their parameters"
        content = markup.notice(f"Which parameter matters most: {why}.") + content
    return content + _noise(standings) + _shares(standings)


def _noise(standings: Standings) -> str:
    """How much of the spread between trials is luck."""
    noise = standings.noise
    if noise is None:
        return (
            "<p>How much of the variance between trials is seed noise is not known: no "
            "configuration was run on several seeds. <code>seeds: {confirm_top: 3}</code> tells."
            "</p>\n"
        )
    return (
        f"<p>Seed noise alone is {_percent(noise.share)} of the variance between the search's "
        f"trials (95% interval {_percent(noise.low)} to {_percent(noise.high)}, from "
        f"{plural(noise.replicates, 'replicate')} of {plural(noise.groups, 'configuration')}). "
        "What is left is what the parameters can explain: an importance below that share is not to "
        "be believed.</p>\n"
    )


def _shares(standings: Standings) -> str:
    """Which toggles the best tenth of the trials has in common."""
    shares = standings.shares
    if not shares:
        return ""
    heads = [("trick", ""), ("on in the best tenth", "right"), ("on in the rest", "right")]
    heads += [("difference [95%]", "right"), ("p (Fisher, Holm)", "right")]
    rows = [
        (
            "",
            [
                Cell(short_path(share.name), short_path(share.name)),
                Cell(f"{share.top:.0%}", repr(share.top), "right"),
                Cell(f"{share.rest:.0%}", repr(share.rest), "right"),
                Cell(_points(share), repr(share.difference), "right"),
                Cell(
                    "< 0.001" if share.p_holm < 0.001 else f"{share.p_holm:.3f}",
                    repr(share.p_holm),
                    "right",
                ),
            ],
        )
        for share in shares
    ]
    return (
        "<h3>What the best trials share</h3>\n"
        + markup.table(heads, rows, sortable=True)
        + '<p class="muted">In percentage points. A sampler that learns repeats what worked, so '
        "trials are not independent and the intervals are too narrow by an unknown amount; an "
        "ablation with paired seeds settles it.</p>\n"
    )


def _points(share: ToggleShare) -> str:
    low, high = 100 * share.low, 100 * share.high
    return f"{100 * share.difference:+.0f} [{low:+.0f}, {high:+.0f}]".replace("-", "−")


def _percent(share: float) -> str:
    return "under 1%" if share < 0.01 else f"{share:.0%}"


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
