"""Which parameters matter, and what of it may be luck: texts and tables of the page."""

from __future__ import annotations

from sweeper.ablation.search_statistics import ToggleShare
from sweeper.report import markup
from sweeper.report.markup import Cell
from sweeper.standings import Standings
from sweeper.wording import plural, short_path


def noise(standings: Standings) -> str:
    """How much of the spread between trials is luck."""
    told = standings.noise
    if told is None:
        return (
            "<p>The share of seed noise in the variance between trials is unknown: no "
            "configuration was run on several seeds. <code>seeds: {confirm_top: 3}</code> tells."
            "</p>\n"
        )
    return (
        f"<p>Seed noise alone is {_percent(told.share)} of the variance between the search's "
        f"trials (95% interval {_percent(told.low)} to {_percent(told.high)}, from "
        f"{plural(told.replicates, 'replicate')} of {plural(told.groups, 'configuration')}). "
        "What is left is what the parameters can explain: an importance below that share is not to "
        "be believed.</p>\n"
    )


def shares(standings: Standings) -> str:
    """Which toggles the best tenth of the trials has in common."""
    if not standings.shares:
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
        for share in standings.shares
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
