"""Writing the report of a sweep into its folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from sweeper.ablation.dataset import dataset_as_bytes
from sweeper.ablation.search_statistics import Importance
from sweeper.ablation.tables import Table
from sweeper.home import SweepFolder
from sweeper.report import curves, effects, gallery, lines, parameter_plots, search_plots, style
from sweeper.report.leaderboard import as_csv, leaderboard
from sweeper.report.markup import Picture, text
from sweeper.report.page import page
from sweeper.report.sections import winner_yaml
from sweeper.report.thumbnails import DARK, LIGHT, Paper
from sweeper.standings import Standings
from sweeper.standings.progress import progress_of
from sweeper.wording import measure, plural, sentence
from trials.files import atomic_write

_PAGE_DPI = 116
"""Dots of a figure's file for an inch on the page: drawn at 160, so a little larger than print."""


@dataclass(frozen=True)
class ReportPaths:
    """What was written. `figures` maps each figure's name to its PNG; some sweeps lack some."""

    folder: Path
    html: Path
    leaderboard_csv: Path
    leaderboard_parquet: Path
    best_yaml: Path | None
    """The winner's configuration; None while no trial has completed."""
    figures: Mapping[str, Path]

    @classmethod
    def within(
        cls, report: Path, figures: Mapping[str, Path] | None = None, *, best: bool = False
    ) -> ReportPaths:
        """Where a report lies in its folder; `best` says whether it has a winner."""
        return cls(
            folder=report,
            html=report / "report.html",
            leaderboard_csv=report / "leaderboard.csv",
            leaderboard_parquet=report / "leaderboard.parquet",
            best_yaml=report / "best.yaml" if best else None,
            figures=figures or {},
        )

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file, the page first."""
        files = [self.html, self.leaderboard_csv, self.leaderboard_parquet]
        files += [self.best_yaml] if self.best_yaml is not None else []
        return (*files, *self.figures.values())


def write_report(
    folder: SweepFolder,
    standings: Standings,
    importances: Mapping[str, Importance] | None = None,
    tables: Sequence[Table] = (),
    *,
    fanova: Mapping[str, Importance] | None = None,
    state: str | None = None,
) -> ReportPaths:
    """Write `report/` of a sweep: leaderboard, figures, page. Any trials will do, also none.

    `importances` are the parameters' shares by path, None where they cannot be told yet, `fanova`
    the same by another method; `tables` are ablation tables to show; `state` is the word beside
    the name, by default how far the sweep is. Each file is replaced whole, figures that no longer
    apply are removed, and the same trials and sample grids give the same bytes.

    Raises:
        OSError: a file cannot be written.
    """
    if state is None:
        driven = folder.driver() is not None
        state = progress_of(standings, driven=driven, asked=folder.asked()).in_words()
    report = folder.report
    report.mkdir(parents=True, exist_ok=True)
    board = leaderboard(standings)
    plans = list(_plans(standings, folder, importances, fanova, tables))
    pictures = list(_pictures(plans))
    configuration = winner_yaml(standings)
    html = page(standings, pictures, tables, importances, state)
    contents: dict[str, bytes | str] = {
        "leaderboard.csv": as_csv(board),
        "leaderboard.parquet": dataset_as_bytes(board),
        **{picture.file: picture.png for picture in pictures},
        **({"best.yaml": configuration} if configuration else {}),
        "report.html": html,
    }
    for name, content in contents.items():
        atomic_write(report / name, content)
    for name in {*(plan.file for plan in plans), "best.yaml"} - contents.keys():
        (report / name).unlink(missing_ok=True)
    figures = {picture.key: report / picture.file for picture in pictures}
    return ReportPaths.within(report, figures, best=bool(configuration))


# The figures ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """One figure that a sweep may have."""

    key: str
    file: str
    title: str
    caption: str
    draw: Callable[[], Figure | None] | None = None
    lay_out: Callable[[Paper], Image.Image | None] | None = None
    """Of a sheet of samples, in place of `draw`."""


def _pictures(plans: Sequence[_Plan]) -> Iterator[Picture]:
    """Those that there are: a plot drawn for a page and for a phone, a sheet on both papers."""
    for plan in plans:
        told = (plan.key, plan.file, plan.title, plan.caption)
        if plan.lay_out is not None and (sheet := plan.lay_out(LIGHT)) is not None:
            dark = plan.lay_out(DARK)
            assert dark is not None, "the same samples"
            yield Picture(*told, gallery.png(sheet), dark=gallery.png(dark, DARK))
        elif plan.draw is not None:
            with style.styled():
                figure = plan.draw()
                if figure is None:
                    continue
                png = style.png(figure)
            with style.styled(style.NARROW):
                figure = plan.draw()
                assert figure is not None, "the same trials"
                narrow = style.png(figure)
            yield Picture(*told, png, style.DPI / _PAGE_DPI, narrow=narrow)


def _plans(
    standings: Standings,
    folder: SweepFolder,
    importances: Mapping[str, Importance] | None,
    fanova: Mapping[str, Importance] | None,
    tables: Sequence[Table],
) -> Iterator[_Plan]:
    yield from _curve_plans(standings)
    yield from _effect_plans(standings, tables)
    yield _Plan(
        "pareto",
        "pareto.png",
        "Both objectives",
        "The Pareto front joins the trials that no other beats in both at once.",
        lambda: search_plots.pareto(standings),
    )
    yield _Plan(
        "importances",
        "importances.png",
        "Parameter importance",
        "Share of each searched parameter, by Optuna, over the trials that it could compare. "
        "PED-ANOVA asks what sets the best tenth apart, fANOVA what explains the variance over all "
        "trials; where they disagree, a parameter ruins trials rather than improving the best. "
        "Lines are 95% bootstrap intervals over trials. Dashed: how large the first would be where "
        "no parameter mattered (the largest of 20 shuffles); what stays below may be luck.",
        lambda: search_plots.importances(importances or {}, fanova),
    )
    yield _Plan(
        "best_of_k",
        "best_of_k.png",
        "Expected best against the number of trials",
        "What the best of k trials is expected to score, were k trials drawn from those that ran "
        "(Dodge et al., <i>Show Your Work</i>, arXiv:1909.03004). Where the curve is flat, more "
        "trials of the same search gain little. A trial without a final score counts as one as bad "
        "as the worst.",
        lambda: (
            search_plots.best_of_k(standings)
            if len(standings.goals) == 1 and not standings.sweep.is_ablation
            else None
        ),
    )
    planned, saved = standings.steps_planned, standings.steps_saved
    share = f"{saved / planned:.0%}" if planned else "none"
    yield _Plan(
        "stops",
        "steps_saved.png",
        "Training steps not run, by cause",
        f"Stopping trials early saved {saved:,} of {planned:,} planned steps ({share}).",
        lambda: search_plots.steps_not_trained(standings),
    )
    yield from _sample_plans(standings, folder)


def _effect_plans(standings: Standings, tables: Sequence[Table]) -> Iterator[_Plan]:
    metric, goal = standings.metrics[0], standings.goals[0]
    shown = {"effects": tables[0] if tables else None}
    shown["factor_effects"] = next(
        (table for table in tables if table.columns[0].key == "effect"), None
    )
    for key, table in shown.items():
        yield _Plan(
            key,
            f"{key}.png",
            "Effects with their intervals",
            "An interval entirely on one side of zero shows a difference; one that contains zero "
            "may show none. A filled point is significant after Holm's correction over "
            "all of them.",
            lambda table=table: (  # type: ignore[misc]
                effects.effect_plot(table, metric, goal) if table else None
            ),
        )
    factors = shown["factor_effects"]
    yield _Plan(
        "half_normal",
        "half_normal.png",
        "Half-normal plot",
        "Effects that are noise lie along a line through the origin; real effects lie above it. "
        "Lenth's margins assume that most effects are null.",
        lambda: effects.half_normal_plot(factors, metric) if factors else None,
    )


def _curve_plans(standings: Standings) -> Iterator[_Plan]:
    unseen = sum(1 for trial in standings.search if trial.steps == 0 and trial.state == "failed")
    hidden = f" {plural(unseen, 'trial')} failed before the first measurement." if unseen else ""
    for index, metric in enumerate(standings.metrics):
        suffix = "" if index == 0 else f"_{index + 1}"
        shown, slug = sentence(measure(metric)), re.sub(r"[^A-Za-z0-9]+", "_", metric).strip("_")
        yield _Plan(
            f"over_steps{suffix}",
            f"{slug}_over_steps.png",
            f"{shown} over steps",
            text(
                f"{shown} at every evaluation of every trial of the search. Lines that end early "
                "are trials that were stopped (dot) or failed (cross)." + hidden
                if len(standings.search) <= lines.MANY
                else f"{shown} at the evaluations of all trials of the search; below, how many "
                "were still training. Late steps show survivors only." + hidden
            ),
            lambda index=index: curves.over_steps(standings, index),  # type: ignore[misc]
        )
        yield _Plan(
            f"against{suffix}",
            f"{slug}_against_parameters.png",
            f"{shown} against each searched parameter",
            text(
                "Final scores of completed trials; bars and lines are medians. Along the upper "
                "edge: where trials were stopped or failed, as ticks, or where there are many as "
                "their share of the trials there, the darker the more."
            ),
            lambda index=index: (  # type: ignore[misc]
                None
                if standings.sweep.is_ablation
                else parameter_plots.against_parameters(standings, index)
            ),
        )


def _sample_plans(standings: Standings, folder: SweepFolder) -> Iterator[_Plan]:
    cells = standings.sweep.is_ablation
    yield _Plan(
        "best_samples",
        "best_samples.png",
        f"Samples of the best {'cells' if cells else 'trials'}",
        "Last grids, from the same fixed noise at every evaluation; not selected."
        + (" Each cell's are those of its first run that completed." if cells else ""),
        lay_out=lambda paper: gallery.best_samples(standings, folder, paper),
    )
    yield _Plan(
        "film_strip",
        "film_strip.png",
        "One trial during training",
        "Samples from the same noise, evaluation by evaluation, of "
        + ("the best trial that left any." if standings.best else "a trial without a final score."),
        lay_out=lambda paper: gallery.film_strip(standings, folder, paper),
    )
    yield _Plan(
        "gallery",
        "gallery.png",
        "Configurations from best to worst, by steps",
        text(
            f"Under each picture: {measure(standings.metrics[0])} at that step. Evenly spaced over "
            "the ranking, with the base among them; trials without a final score come last."
        ),
        lay_out=lambda paper: gallery.gallery(standings, folder, paper),
    )
