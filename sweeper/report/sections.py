"""The page's tables and texts, each a pure function from the standings to HTML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from sweeper.causes import cause
from sweeper.report import markup
from sweeper.report.leaderboard import searched
from sweeper.report.markup import Cell, text
from sweeper.secrets import redacted
from sweeper.standings import Standing, Standings
from sweeper.standings.against_base import Difference, confirmed_differences
from sweeper.standings.values import OverSeeds, final, seed_of
from sweeper.trial import Trial
from sweeper.wording import (
    NONE,
    STATE_WORDS,
    brief_path,
    duration,
    measure,
    number,
    plain,
    plural,
    setting,
    short_path,
    spread,
)

ROWS = 100
"""Trials that the page's leaderboard lists; the files list all."""
_LOGS = 20
_FRONT = 8


# The leaderboard --------------------------------------------------------------------------------


def leaderboard(standings: Standings, address: Callable[[Trial], str] | None = None) -> str:
    """The best trials with everything searched, sortable; each a link to its `address`, if any."""
    if not standings.search:
        return "<p>No trial has started yet.</p>\n"
    shown = standings.order[:ROWS]
    paths = [path for path in searched(standings) if path != "seed"]
    of_search = any(standing.searched is not None for standing in shown)
    confirmed = any(standing.confirmed is not None for standing in shown)
    gains = confirmed_differences(standings)
    metrics = [measure(metric) for metric in standings.metrics]
    heads = [("front" if len(metrics) > 1 else "#", "right"), ("trial", ""), ("state", "")]
    if of_search:
        heads.append((f"{metrics[0]}, its seeds", "right"))
    if confirmed:
        heads.append((f"{metrics[0]}, fresh seeds", "right"))
    if gains:
        heads.append(("against the base", "right"))
    heads += [(f"{name}, search" if confirmed else name, "right") for name in metrics]
    heads += [(name, "") for name in _headings(paths)]
    heads += [("best on the way", "right"), ("steps", "right"), ("time", "right")]
    heads.append(("seed", "right"))
    rows = [
        (
            "best" if standing.rank == 1 else "",
            _row(standing, standings, paths, (of_search, confirmed), gains, address),
        )
        for standing in shown
    ]
    note = ""
    if len(standings.order) > len(shown):
        note = f"The first {len(shown)} of {len(standings.order):,} trials. "
    if confirmed:
        note += (
            "Ranked by the mean on fresh seeds, which the search never saw; the value of the "
            "search beside it is the luckiest of many draws. "
        )
    if gains:
        note += (
            "Against the base: mean difference over the seeds that both ran on, with its interval; "
            "an interval that contains zero shows no difference. "
        )
    if of_search and not confirmed:
        note += "Ranked by the mean of a configuration over the seeds that the search drew for it. "
    note += _given_up(standings)
    note += (
        "A trial without a final value has no rank; its last measured value is shown in grey, "
        "with the step. "
    )
    note += "Scroll sideways to see the settings."
    note += " All rows: leaderboard.csv, .parquet." if address is None else ""
    return (
        markup.table(heads, rows, sortable=True, tall=len(rows) > 30)
        + f'<p class="muted">{text(note)}</p>\n'
    )


def _given_up(standings: Standings) -> str:
    """Who got no more fresh seeds, and why."""
    lost = standings.race.given_up if standings.race is not None else ()
    return "".join(
        f"Trial {candidate.key} was given up: {candidate.reason}. " for candidate in lost
    )


def _headings(paths: list[str]) -> list[str]:
    """Paths as short as they stay apart."""
    brief = Counter(map(brief_path, paths))
    return [brief_path(p) if brief[brief_path(p)] == 1 else short_path(p) for p in paths]


def _row(
    standing: Standing,
    standings: Standings,
    paths: list[str],
    over_seeds: tuple[bool, bool],
    gains: Mapping[int, Difference],
    address: Callable[[Trial], str] | None,
) -> list[Cell]:
    trial = standing.trial
    cells = [
        _numeric(standing.rank, str(standing.rank or NONE)),
        _named(trial, address),
        _state(standing),
    ]
    scores = zip(over_seeds, (standing.searched, standing.confirmed), strict=True)
    cells += [_over_seeds(score) for is_shown, score in scores if is_shown]
    if gains:
        gain = gains.get(trial.number)
        cells.append(_numeric(gain.difference if gain else None, gain.shown if gain else NONE))
    cells += [_value(trial, standings, index) for index in range(len(standings.goals))]
    seed, best = seed_of(trial), standings.best_on_the_way(trial)
    cells += [_setting(trial.values.get(path)) for path in paths]
    return [
        *cells,
        _numeric(best, number(best)),
        _numeric(trial.steps, f"{trial.steps:,}"),
        _numeric(trial.seconds, duration(trial.seconds)),
        _numeric(seed, NONE if seed is None else str(seed)),
    ]


def _value(trial: Trial, standings: Standings, index: int) -> Cell:
    """Its final value; of a trial without one what it was last measured with, and when."""
    value = standings.final(trial, index)
    curve = standings.curve(trial, index)
    if value is not None or not curve:
        return _numeric(value, number(value))
    last = max(curve)
    return Cell(f"{number(curve[last])} at {last:,}", "", "right none")


def _named(trial: Trial, address: Callable[[Trial], str] | None) -> Cell:
    name = text(trial.name)
    if address is not None:
        name = f'<a href="{text(address(trial))}">{name}</a>'
    base = " (base)" if trial.role == "base" else ""
    return Cell(name + base, str(trial.number), html=True)


def _state(standing: Standing) -> Cell:
    trial = standing.trial
    words = STATE_WORDS.get(trial.state, trial.state)
    words += f": {plain(trial.cause)}" if trial.cause else ""
    words += "" if standing.comparable else ", measured differently"
    state = trial.state if trial.state in STATE_WORDS else "waiting"
    return Cell(f'<span class="dot s-{state}"></span>{text(words)}', words, html=True)


def _over_seeds(score: OverSeeds | None) -> Cell:
    if score is None:
        return _numeric(None, NONE)
    failed = f", {score.failed} failed" if score.failed else ""
    failed += ", given up" if score.given_up is not None else ""
    return _numeric(
        score.mean,
        f"{spread(score.mean, score.deviation)} ({score.count}{failed})"
        if score.mean is not None
        else f"all {score.failed} failed",
    )


def _numeric(value: float | None, shown: str) -> Cell:
    return Cell(
        shown, "" if value is None else repr(value), "right" if value is not None else "right none"
    )


def _setting(value: Any) -> Cell:
    if value is None:
        return Cell(NONE, "", "none")
    if isinstance(value, bool):
        return Cell("✓" if value else NONE, str(int(value)), "" if value else "none")
    return Cell(setting(value), str(value))


# What went wrong --------------------------------------------------------------------------------


def stops(standings: Standings) -> str:
    """What ended trials early, what that means, and what it saved; empty before any has ended."""
    if not any(trial.over for trial in standings.trials):
        return ""
    seen: Counter[str] = Counter()
    for trial in standings.trials:
        seen.update({symptom.name for symptom in trial.symptoms})
    by_cause = standings.stops
    if not by_cause and not seen:
        return "<p>Every trial so far ran to its last step, and none showed a symptom.</p>\n"
    ended = {stop.cause for stop in by_cause}
    rows = []
    for stop in by_cause:
        words = cause(stop.cause).words if stop.cause else "Why was not recorded."
        steps = f"{stop.steps:,}" + ("" if stop.saves else " lost")
        rows.append((stop.cause, stop.trials, steps, stop.steps, words))
    rows += [(name, 0, "0", 0, cause(name).words) for name in sorted(seen) if name not in ended]
    heads = [("cause", ""), ("trials ended", "right"), ("seen in", "right")]
    heads += [("steps saved", "right"), ("what it means", "")]
    body = []
    for name, count, shown, steps_count, meaning in rows:
        where = seen.get(name, 0) if name else 0
        body.append(
            (
                "",
                [
                    Cell(plain(name), plain(name)),
                    Cell(f"{count:,}", str(count), "right"),
                    Cell(f"{where:,}" if where else NONE, str(where), "right"),
                    Cell(shown, str(steps_count), "right"),
                    Cell(meaning, "", "wrap"),
                ],
            )
        )
    return markup.table(heads, body) + _logs(standings)


def _logs(standings: Standings) -> str:
    """Reasons and last lines of log of the trials that failed."""
    failed = [trial for trial in standings.trials if trial.state == "failed"]
    parts = []
    for trial in failed[:_LOGS]:
        line = f"<b>trial {text(trial.name)}</b>, {text(plain(trial.cause))}, step {trial.steps:,}"
        reason = f": {text(trial.reason)}" if trial.reason else ""
        log = markup.preformatted(trial.log_tail) if trial.log_tail.strip() else ""
        parts.append(f"<p>{line}{reason}</p>{log}")
    if not parts:
        return ""
    more = f" (the first {_LOGS})" if len(failed) > _LOGS else ""
    return markup.details(f"{plural(len(failed), 'failed trial')}{more}", "".join(parts))


# Reproduction -----------------------------------------------------------------------------------


def winner(standings: Standings) -> str:
    """The winner's whole configuration, or those on the Pareto front; empty without a winner."""
    if not standings.winners:
        return ""
    if len(standings.goals) == 1:
        return (
            "<p>The whole configuration, as it was trained. The same lines are in "
            "<code>best.yaml</code>.</p>\n"
            + markup.preformatted(winner_yaml(standings))
            + _final_score(standings.winners[0].trial)
        )
    parts = []
    for index, standing in enumerate(standings.winners[:_FRONT]):
        content = markup.preformatted(as_yaml(standing.trial.config))
        title = f"trial {standing.trial.name}: {_scores(standing, standings)}"
        parts.append(markup.details(title, content, shown=index == 0))
    count = len(standings.winners)
    more = f" The first {_FRONT} are here." if count > _FRONT else ""
    return f"<p>{plural(count, 'trial')} on the Pareto front.{more}</p>\n" + "".join(parts)


def _final_score(trial: Trial) -> str:
    """What its generator scored on noise that chose nothing; empty where that was not measured."""
    if trial.final is None:
        return ""
    values = ", ".join(
        f"<code>{text(name)}</code> {number(value)}" for name, value in trial.final.metrics.items()
    )
    return (
        f"<p>The generator that it kept, of step {trial.final.step:,}, measured once more on fresh "
        f"noise, so that no choice among trials or steps flatters it: {values}.</p>\n"
    )


def winner_yaml(standings: Standings) -> str:
    """`best.yaml`: a trial config with its origin as a comment; empty without a winner."""
    best = standings.best
    if best is None:
        return ""
    scores = _scores(best, standings)
    if best.confirmed is not None and best.confirmed.mean is not None:
        mean = spread(best.confirmed.mean, best.confirmed.deviation)
        over, own = "on fresh seeds", "in the search"
        if standings.sweep.is_ablation:
            over, own = "over the seeds of its cell", "on this one"
        seeds = f"{over} ({best.confirmed.count})"
        scores = f"{measure(standings.metrics[0])} {mean} {seeds}; {scores} {own}"
    head = f"# Trial {best.trial.name} of the sweep {standings.sweep.name}: {scores}.\n"
    return head + "# sweeper train best.yaml\n" + as_yaml(best.trial.config)


def _scores(standing: Standing, standings: Standings) -> str:
    """`FID 12.3, recall 0.51`."""
    values = [final(standing.trial, index) for index in range(len(standings.metrics))]
    pairs = zip(standings.metrics, values, strict=True)
    return ", ".join(f"{measure(metric)} {number(value)}" for metric, value in pairs)


def reproduce(standings: Standings) -> str:
    """The commands, and the sweep's file with every default written out."""
    name = standings.sweep.name
    content = redacted(as_yaml(standings.sweep.to_dict()))
    commands = [f"sweeper run {name}.yaml            # the whole sweep, from the file below"]
    if standings.winners:
        commands.append("sweeper train best.yaml   # the winner alone")
    width = max(len(command.split("#")[0].rstrip()) for command in commands) + 3
    aligned = [
        f"{command.split('#')[0].rstrip():<{width}}#{command.split('#')[1]}" for command in commands
    ]
    draws = (
        "<p>The search draws the same configurations from the same seed when it runs one trial "
        "at a time (<code>--set limits.parallel=1</code>).</p>\n"
    )
    return (
        markup.preformatted("\n".join(aligned))
        + ("" if standings.sweep.is_ablation else draws)
        + markup.details(f"{name}.yaml, every default written out", markup.preformatted(content))
    )


def as_yaml(content: Mapping[str, Any]) -> str:
    """Plain YAML in the order given; what YAML has no word for as text."""
    simple = json.loads(json.dumps(content, default=str))
    return str(yaml.safe_dump(simple, sort_keys=False, allow_unicode=True, width=88))
