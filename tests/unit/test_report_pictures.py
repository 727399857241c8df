"""Pictures made of sample grids, and figures whose axes show what is there."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from sweeper.ablation.search_statistics import Importance
from sweeper.report import curves, gallery, parameter_plots, search_plots, style, thumbnails
from sweeper.standings import standings_of
from sweeper.sweepfile import Parameter, Values
from tests.unit.report_sweeps import folder_of, leave_samples, sweep, trial
from trials.evaluation.pictures import image_grid, scatter

SHARES = {"loss": Importance(0.4, 0.1, 0.7, 0.45), "seed": Importance(0.6, 0.2, 0.9, 0.45)}


@pytest.mark.parametrize(("side", "channels", "shown"), [(8, 1, 32), (16, 3, 32), (64, 3, 64)])
def test_the_trainers_grids_come_apart_into_their_images(side, channels, shown):
    images = torch.rand(12, channels, side, side, generator=torch.manual_seed(0)) * 2 - 1
    tiles = thumbnails.split(image_grid(images, columns=4).convert("RGB"))
    assert tiles.shape == (3, 4, shown, shown, 3)
    whole = shown // side
    pixels = ((images[5] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert (tiles[1, 1][::whole, ::whole] == pixels).all()


def test_a_scatter_of_points_is_scaled_as_a_whole():
    picture = scatter(torch.randn(200, 2, generator=torch.manual_seed(0)), None).convert("RGB")
    assert thumbnails.split(picture) is None
    assert thumbnails.thumbnail(picture, 4, 4).size == (276, 276)


def test_a_thumbnail_takes_its_tiles_from_the_whole_grid():
    rows = torch.linspace(-1, 0.9, 10).repeat_interleave(8).reshape(80, 1, 1, 1)
    grid = image_grid(rows.expand(80, 1, 8, 8), columns=8).convert("RGB")
    picture = np.asarray(thumbnails.thumbnail(grid, 4, 4))
    shades = picture[[20 + 68 * row for row in range(4)], 20, 0]
    expected = ((rows[[0, 24, 48, 72], 0, 0, 0] + 1) * 127.5).round()
    assert shades.tolist() == expected.tolist()


def test_the_gallery_goes_from_best_to_worst_with_the_base_among_them(tmp_path):
    folder = folder_of(tmp_path)
    records = [trial(n, 10.0 + n) for n in range(1, 40)] + [trial(0, 35.2)]
    for record in records:
        leave_samples(folder, record.number, 250, 500, 750, 1000)
    standings = standings_of(sweep(), records)
    chosen = [one.trial.number for one, _ in gallery.rows_of(standings, folder)]
    assert len(chosen) == gallery.ROWS
    assert chosen[0] == 1
    assert chosen[-1] == 39
    assert 0 in chosen
    assert gallery.gallery(standings, folder) is not None


def test_a_broken_picture_is_left_out(tmp_path):
    folder = folder_of(tmp_path)
    leave_samples(folder, 0, 250)
    leave_samples(folder, 1, 250, 500, 750)
    standings = standings_of(sweep(), [trial(0, 4.0), trial(1, 2.0)])
    both = gallery.best_samples(standings, folder)
    whole = gallery.film_strip(standings, folder)
    (folder.trial(1) / "samples" / "000750.png").write_bytes(b"no picture")
    assert gallery.film_strip(standings, folder).width < whole.width
    assert gallery.best_samples(standings, folder).width < both.width


def test_no_samples_make_no_picture(tmp_path):
    standings = standings_of(sweep(), [trial(0, 4.0), trial(1, 5.0)])
    folder = folder_of(tmp_path)
    assert gallery.best_samples(standings, folder) is None
    assert gallery.film_strip(standings, folder) is None
    assert gallery.gallery(standings, folder) is None


def test_one_evaluation_is_no_film_and_no_curve(tmp_path):
    folder = folder_of(tmp_path)
    leave_samples(folder, 0, 500)
    standings = standings_of(sweep(), [trial(0, 4.0, curve={500: 4.0})])
    assert gallery.best_samples(standings, folder) is not None
    assert gallery.film_strip(standings, folder) is None
    assert curves.over_steps(standings) is None


def test_one_explosion_does_not_flatten_the_other_curves():
    records = [trial(n, 20.0 + n) for n in range(12)]
    records.append(
        trial(12, state="failed", curve={250: 30.0, 500: 1e29}, steps=500, cause="error")
    )
    with style.styled():
        figure = curves.over_steps(standings_of(sweep(), records))
    low, high = figure.axes[0].get_ylim()
    assert low < 20
    assert high < 1e7


@pytest.mark.parametrize(
    ("values", "scale"),
    [((10.0, 20.0, 30.0), "linear"), ((1.0, 20.0, 300.0), "log"), ((-1.0, 20.0, 300.0), "linear")],
)
def test_an_axis_is_logarithmic_where_values_span_more_than_a_factor_of_ten(values, scale):
    axes = style.new_figure().add_subplot()
    style.scale_values(axes, values)
    assert axes.get_yscale() == scale


@pytest.mark.parametrize("goals", [("maximize",), ("minimize",), ("maximize", "maximize")])
def test_the_best_is_on_every_axis_however_far_ahead_it_is(goals):
    """Limits that no explosion can stretch must not cut off what was searched for."""
    score = 900.0 if goals[0] == "maximize" else -900.0
    records = [trial(number, float(number % 5), 0.1 * (number % 5)) for number in range(20)]
    records.append(trial(20, score, 90.0, curve={500: score, 1000: score}))
    standings = standings_of(sweep(*goals), records)
    figures = [curves.over_steps(standings), parameter_plots.against_parameters(standings)]
    if len(goals) > 1:
        pareto = search_plots.pareto(standings)
        low, high = pareto.axes[0].get_xlim()
        assert low < score < high
        figures.append(search_plots.pareto(standings))
    for figure in figures[:2]:
        low, high = figure.axes[0].get_ylim()
        assert low < score < high
    if len(goals) > 1:
        low, high = figures[2].axes[0].get_ylim()
        assert low < 90 < high


def test_no_name_in_a_figure_is_read_as_mathematics():
    names = Values((r"$\frac{$", "$HOME/$USER"))
    spec = sweep(parameters=(Parameter("loss", names),))
    records = [trial(n, 9.0 + n, values={"loss": names.values[n % 2]}) for n in range(4)]
    with style.styled():
        figure = parameter_plots.against_parameters(standings_of(spec, records))
        style.png(figure)
    labels = [one.get_text() for one in figure.axes[0].get_xticklabels()]
    assert labels == [r"$\frac{$", "$HOME/$USER"]
    assert not any(one.get_parse_math() for one in figure.axes[0].get_xticklabels())


def test_powers_of_ten_are_written_out():
    with style.styled():
        axes = style.new_figure().add_subplot()
        style.log_axis(axes, "y")
        axes.set_ylim(2e-5, 3e3)
        write = axes.yaxis.get_major_formatter()
        assert [write(value) for value in (1e-4, 2e-4, 1e3)] == ["10⁻⁴", "2·10⁻⁴", "10³"]


def test_the_expected_best_is_the_mean_for_one_trial_and_shows_the_base():
    values = [40.0, 10.0, 20.0]
    with style.styled():
        figure = search_plots.best_of_k(
            standings_of(sweep(), [trial(n, value) for n, value in enumerate(values)])
        )
    curve, base = figure.axes[0].lines
    assert curve.get_ydata()[0] == pytest.approx(np.mean(values))
    assert base.get_ydata()[0] == 40.0


def test_one_bar_is_no_chart():
    assert search_plots.importances({"loss": SHARES["loss"]}) is None
    ends = [trial(0, 9.0), *(trial(n, steps=n, cause="divergence") for n in (1, 2))]
    assert search_plots.steps_not_trained(standings_of(sweep(), ends)) is None
    ends.append(trial(3, steps=9, cause="mode_collapse"))
    assert search_plots.steps_not_trained(standings_of(sweep(), ends)) is not None


def test_a_figure_for_a_phone_keeps_its_fonts_and_is_as_wide_as_one():
    standings = standings_of(sweep(), [trial(n, 9.0 + n) for n in range(4)])
    sizes = {}
    for width in (style.WIDTH, style.NARROW):
        with style.styled(width):
            figure = parameter_plots.against_parameters(standings)
            sizes[width] = {label.get_fontsize() for label in figure.axes[0].get_xticklabels()}
            assert Image.open(io.BytesIO(style.png(figure))).width == round(width * style.DPI)
    assert sizes[style.WIDTH] == sizes[style.NARROW]


def test_a_sheet_in_the_dark_shows_the_same_samples_on_dark_paper(tmp_path):
    folder = folder_of(tmp_path)
    leave_samples(folder, 0, 250, 500)
    standings = standings_of(sweep(), [trial(0, 4.0)])
    light, dark = (
        gallery.film_strip(standings, folder, paper)
        for paper in (thumbnails.LIGHT, thumbnails.DARK)
    )
    tile = (thumbnails.BORDER, 60, thumbnails.BORDER + thumbnails.TILE, 100)
    assert light.size == dark.size
    assert light.crop(tile).tobytes() == dark.crop(tile).tobytes()
    assert (light.getpixel((0, 0)), dark.getpixel((0, 0))) == ((255, 255, 255), (29, 33, 38))


def test_figures_hold_no_date_and_no_version():
    with style.styled():
        image = style.png(search_plots.importances(SHARES))
    assert b"matplotlib" not in image.lower()
    assert Image.open(io.BytesIO(image)).info.keys() <= {"dpi"}
