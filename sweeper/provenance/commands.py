"""The commands that train a trial again, as a script for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import yaml

from sweeper.provenance.installed import changed, requirements
from sweeper.provenance.recipe import Recipe, numbers
from sweeper.provenance.run_record import PATCH, REQUIREMENTS, Kept
from sweeper.wording import on_one_line, plural

UNRECORDED = "the version that made the trial wrote nothing of it down"

_SHOWN = 8
"""Distributions that are named where others are installed."""


def script(recipe: Recipe, home: Path) -> str:
    """What to run, in any folder, to have the trial again; comments say what it was made of.

    A trial that never took another one's weights is given in full, so that the script needs no
    home; else `--like` trains its donors first.
    """
    lines = [f"# {words}" for words in map(on_one_line, _about(recipe))]
    lines += _environment(recipe.run) if recipe.run else []
    out = shlex.quote(recipe.name)
    if len(recipe.segments) > 1:
        donors = ", ".join(f"{part.number:05d} up to {part.until}" for part in recipe.segments[:-1])
        lines.append(f"# What its weights went through before is trained first: trial {donors}.")
        like = shlex.quote(f"{recipe.sweep.name}/{recipe.trial.number}")
        at = shlex.quote(str(home))
        lines.append(f"sweeper train --like {like} --home {at} --out {out}")
    else:
        file = shlex.quote(f"{recipe.name}.yaml")
        config = yaml.safe_dump(
            dict(recipe.segments[0].config), sort_keys=False, allow_unicode=True, width=10_000
        )
        lines += [f"cat > {file} <<'END OF TRIAL'", config.rstrip("\n"), "END OF TRIAL"]
        until = f" --until {recipe.until}" if recipe.until else ""
        lines.append(f"sweeper train {file} --threads {recipe.threads}{until} --out {out}")
    return "\n".join([*lines, *_expected(recipe)]) + "\n"


def _about(recipe: Recipe) -> Iterator[str]:
    """What it was made of, a line each."""
    yield f"Trial {recipe.trial.name} of {recipe.sweep.name}, {recipe.trial.state}."
    if not recipe.attempts:
        yield f"What it ran on is not known: {UNRECORDED}."
        return
    for place, attempt in enumerate(recipe.attempts):
        told = attempt.surroundings
        since = f"from step {attempt.step} " if place else ""
        gpu = (
            f"{told['gpu']}, driver {told.get('gpu_driver') or 'unknown'}" if "gpu" in told else ""
        )
        words = [f"torch {told.get('torch')}", f"Python {told.get('python')}"]
        words += [f"threads: {told.get('threads')}", told.get("processor", ""), gpu or "no GPU"]
        yield f"It ran {since}on {told.get('machine')}: {', '.join(filter(None, words))};"
        yield f"gan-sweeper {told.get('code')}."
    if protocol := recipe.attempts[-1].protocol:
        known = {key: protocol.get(f"{key}_hash", "")[:12] for key in ("data", "extractor")}
        yield ", ".join(f"{key} {protocol.get(key)} {start}" for key, start in known.items())
    if recipe.run is not None:
        yield from _about_start(recipe.run)


def _about_start(run: Kept) -> Iterator[str]:
    """Where and from what the sweep was started."""
    if run.record.command:
        yield f"The sweep was started by: {shlex.join(run.record.command)}"
        yield f"in {run.record.folder}"
    checkout = run.record.checkout
    if checkout is None or not checkout.commit:
        return
    remote = f" of {checkout.remote}" if checkout.remote else ""
    yield f"In {checkout.folder} was commit {checkout.commit}{remote}"
    if checkout.changed:
        there = f"{run.place / PATCH}" if run.record.patch else "not recorded"
        yield f"with changes to {plural(len(checkout.changed), 'file')}: {there}"
    for name, reason in checkout.left_out.items():
        yield f"  without {name}: {reason}"


def _environment(run: Kept) -> Iterator[str]:
    """What it takes to have the same distributions here, where they are not."""
    listed = run.place / REQUIREMENTS
    try:
        then = listed.read_text(encoding="utf-8")
    except OSError:
        yield f"# {on_one_line(str(listed))}, the list of what was installed, cannot be read."
        return
    others = changed(then, requirements())
    if not others:
        yield "# The distributions that are installed here are those of then."
        return
    named = [f"{name} {before or 'none'}" for name, (before, _) in others.items()]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    yield f"# Installed here are others than then, which had {', '.join(named[:_SHOWN])}{more}:"
    version = ".".join(run.record.python.split(".")[:2])
    yield f"{shlex.quote(f'python{version}')} -m venv environment"
    yield f"environment/bin/pip install -r {shlex.quote(str(listed))}"
    yield 'export PATH="$PWD/environment/bin:$PATH"'
    for line in then.splitlines():
        if line.startswith("# "):
            yield f"{on_one_line(line)} (install it as well)"


def _expected(recipe: Recipe) -> Iterator[str]:
    """What was measured of the objective, to look at beside what comes out."""
    metrics = [objective.metric for objective in recipe.sweep.objective]
    for (step, metric), value in numbers(recipe.measured).items():
        if metric in metrics:
            yield f"# step {step}: {metric} {value!r}"
