"""The top of the page: what was searched, the numbers that count, how they were measured."""

from __future__ import annotations

from datetime import UTC, datetime

from sweeper.report import markup
from sweeper.report.markup import text
from sweeper.standings import Standings
from sweeper.standings.against_base import LEVEL, against_base
from sweeper.standings.otherwise import measured_otherwise
from sweeper.standings.values import final
from sweeper.standings.verdict import verdict_in_words
from sweeper.wording import (
    NONE,
    STATE_WORDS,
    better,
    duration,
    measure,
    number,
    plain,
    plural,
    protocol_in_words,
    sentence,
    spread,
)


def header(standings: Standings, state: str) -> str:
    """Name, how far it is, what is optimised."""
    sweep = standings.sweep
    parts = [f'<h1>{text(sweep.name)} <span class="chip">{text(state)}</span></h1>\n']
    if sweep.description:
        parts.append(f"<p>{text(sweep.description)}</p>\n")
    return "".join(parts) + lead(standings)


def lead(standings: Standings) -> str:
    """What is optimised over what, and when that was."""
    sweep = standings.sweep
    goals = " and ".join(
        f"{measure(metric)} ({better(goal)})"
        for metric, goal in zip(standings.metrics, standings.goals, strict=True)
    )
    scheduler = "" if not sweep.scheduler.part.decides else f", scheduler {sweep.scheduler.name}"
    line = (
        f"{goals} over {plural(len(sweep.parameters), 'parameter')}; sampler "
        f"{sweep.search.name}{scheduler}, search seed {sweep.search.seed}."
    )
    if sweep.ablation is not None:
        design = sweep.ablation.name.replace("_", " ")
        line = f"{goals}; {design} over {plural(len(sweep.parameters), 'factor')}."
    when = _when(standings)
    return f'<p class="lead">{text(line)}{f"<br>{text(when)}" if when else ""}</p>\n'


def verdict(standings: Standings) -> str:
    """Whether the winner beats the base, and what the numbers of that are; empty without a base."""
    words = verdict_in_words(standings, measure)
    if not words:
        return ""
    found = against_base(standings)
    kind, note = "", ""
    if found is not None and found.differences[0].low is not None:
        widened = f", widened for {found.family} comparisons" if found.family > 1 else ""
        note = (
            f"Mean difference over the seeds that both ran on, with a {LEVEL:.0%} interval"
            f"{widened}."
        )
        kind = " confirmed" if found.confirmed else ""
    told = f'<p class="verdict{kind}">{text(sentence(words))}.</p>\n'
    return told + (f'<p class="muted">{text(note)}</p>\n' if note else "")


def tiles(standings: Standings) -> str:
    """The numbers that a reader wants first."""
    if standings.sweep.is_ablation:
        # No cell is a winner or a base by its first seed: the table says what is best.
        return f'<div class="tiles">\n{_trials_tile(standings)}</div>\n'
    made = [_best_tile(standings), _base_tile(standings), _trials_tile(standings)]
    planned, saved = standings.steps_planned, standings.steps_saved
    if planned:
        note = f"{saved:,} of {planned:,} training steps: trials stopped with reason"
        made.append(markup.tile("Steps saved", f"{100 * saved / planned:.0f}%", text(note)))
    return f'<div class="tiles">\n{"".join(made)}</div>\n'


def _best_tile(standings: Standings) -> str:
    metric = measure(standings.metrics[0])
    best = standings.best
    if best is None:
        return markup.tile(f"Best {metric}", NONE, "no trial has completed yet", "first")
    lucky, name = final(best.trial), f"trial {best.trial.name}"
    if best.trial.donors:
        name += f" ({best.trial.took_over_last})"
    if len(standings.goals) > 1:
        note = f"{name}; {plural(len(standings.winners), 'trial')} on the Pareto front"
        return markup.tile(f"Best {metric}", text(number(lucky)), text(note), "first")
    if best.confirmed is not None and best.confirmed.mean is not None:
        shown = spread(best.confirmed.mean, best.confirmed.deviation)
        note = f"{name}, mean ± sd on {plural(best.confirmed.count, 'fresh seed')}"
        if best.confirmed.failed:
            note += f", {best.confirmed.failed} more failed"
        note += f"; {number(lucky)} in the search"
        return markup.tile(f"Best {metric}, confirmed", text(shown), text(note), "first")
    if best.searched is not None and best.searched.mean is not None:
        shown = spread(best.searched.mean, best.searched.deviation)
        note = f"{name}, mean ± sd on {plural(best.searched.count, 'seed')} of the search"
        note += f", {best.searched.failed} more failed" if best.searched.failed else ""
        note += f"; {number(lucky)} its own"
        return markup.tile(f"Best {metric}, over seeds", text(shown), text(note), "first")
    note = f"{name}; one seed, the luckiest of {plural(len(standings.finished), 'trial')}"
    if len(standings.finished) == 1:
        note = name
    return markup.tile(f"Best {metric}", text(number(lucky)), text(note), "first")


def _base_tile(standings: Standings) -> str:
    """The base configuration: on fresh seeds, where it has any, as the best beside it."""
    base = next((one for one in standings.order if one.trial is standings.base), None)
    if base is None:
        return ""
    if not base.comparable:
        return markup.tile("Base configuration", NONE, "measured by another protocol")
    score = final(base.trial)
    if score is None:
        why = f": {plain(base.trial.cause)}" if base.trial.cause else ""
        return markup.tile("Base configuration", NONE, text(f"{base.trial.state}{why}"))
    confirmed = base.confirmed
    if confirmed is None or confirmed.mean is None:
        return markup.tile("Base configuration", text(number(score)), "in the search, one run")
    note = f"mean ± sd on {plural(confirmed.count, 'fresh seed')}"
    note += f", {confirmed.failed} more failed" if confirmed.failed else ""
    shown = spread(confirmed.mean, confirmed.deviation)
    return markup.tile(
        "Base configuration", text(shown), text(f"{note}; {number(score)} in the search")
    )


def _trials_tile(standings: Standings) -> str:
    total = len(standings.trials)
    share = "".join(
        f'<span class="s-{state}" style="flex:{count}"></span>'
        for state, count in standings.counts.items()
    )
    counts = " · ".join(
        f'<span class="dot s-{state}"></span>{count:,} {STATE_WORDS[state]}'
        for state, count in standings.counts.items()
    )
    replicates = total - len(standings.search)
    note = f'<div class="share">{share}</div>{counts}' if total else "none has started"
    if replicates and not standings.sweep.is_ablation:
        note += f"<br>{replicates:,} of them on fresh seeds"
    return markup.tile("Trials", f"{total:,}", note)


def _when(standings: Standings) -> str:
    starts = [t.started for t in standings.trials if t.started is not None]
    ends = [t.ended for t in standings.trials if t.ended is not None]
    if not starts or not ends:
        return ""
    first, last = (datetime.fromtimestamp(time, UTC) for time in (min(starts), max(ends)))
    same_day = first.date() == last.date()
    end = f"{last:%H:%M}" if same_day else f"{last:%Y-%m-%d %H:%M}"
    trained = sum(t.seconds or 0.0 for t in standings.trials)
    return (
        f"{first:%Y-%m-%d %H:%M} to {end} UTC, {duration(max(ends) - min(starts))} of wall-clock "
        f"time; {duration(trained)} summed over trials."
    )


def protocol(standings: Standings) -> str:
    """How the numbers were measured, and a notice where not all were; empty before any trial."""
    if not standings.trials:
        return ""
    fields = dict(standings.protocol)
    weights = {trial.protocol.get("weights") for trial in standings.finished}
    if len(weights - {None}) > 1:
        fields["weights"] = "averaged where a trial averages them, else raw"
    sentences = [protocol_in_words(metric, fields) for metric in standings.metrics]
    if len(sentences) > 1 and fields:
        sentences = [sentences[0], f"{measure(standings.metrics[1])} is measured on the same."]
    parts = [f"<p>{text(' '.join(sentences))}</p>\n"]
    if told := measured_otherwise(standings):
        parts.append(
            markup.notice(
                f"{told}: values of two protocols cannot be compared, so these have no rank and "
                "are in no figure and no table."
            )
        )
    return "".join(parts)
