"""How every figure looks: one palette, one set of sizes, deterministic bytes.

The colours are Okabe and Ito's (2008), told apart with any colour vision; what matters is also told
by width, dash or marker, so that a black and white print still reads.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from sweeper.report.scales import scale_of

BEST = "#d55e00"
BASE = "#000000"
COMPLETED = "#0072b2"
RUNNING = "#56b4e9"
PRUNED = "#8a8f98"
FAILED = "#aa3377"
GOOD = "#009e73"
GRID = "#e4e6ea"
INK = "#1f2328"
MUTED = "#656d76"

STATE_COLOURS = {
    "completed": COMPLETED,
    "pruned": PRUNED,
    "failed": FAILED,
    "running": RUNNING,
    "waiting": "#c9ced6",
}

WIDTH = 7.6
"""Inches: what a page of text is wide, at a font of nine points."""
NARROW = 3.3
"""What a phone's page is wide: the same fonts, drawn for it, stay legible."""
_LEGEND_ROW = 0.18
DPI = 160

_RC = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa1aa",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "lines.dash_capstyle": "butt",
    "agg.path.chunksize": 20000,
    "path.simplify": True,
}


def styled(width: float = WIDTH) -> Any:
    """The context in which figures of a width, in inches, are drawn; what was set before comes back
    after it."""
    size = {"figure.figsize": (width, 4.0)}
    return mpl.rc_context({**mpl.rcParamsDefault, "backend": "agg", **_RC, **size})


def is_narrow() -> bool:
    """Whether figures are drawn for a phone."""
    return bool(mpl.rcParams["figure.figsize"][0] <= NARROW)


def new_figure(height: float = 4.0, width: float | None = None) -> Figure:
    """An empty figure in inches, as wide as the context says. No pyplot: nothing global, nothing to
    close."""
    size = (width or mpl.rcParams["figure.figsize"][0], height)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend(figure: Figure, columns: int, handles: Sequence[Any] | None = None) -> None:
    """The legend below the axes, in so many columns, or in one on a phone."""
    entries = figure.axes[0].get_legend_handles_labels()[0] if handles is None else handles
    if is_narrow():
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + _LEGEND_ROW * (len(entries) - 1))
        columns = 1
    figure.legend(handles=entries, loc="outside lower center", ncols=columns)


def png(figure: Figure) -> bytes:
    """The figure as PNG. The same figure gives the same bytes: no date, no version in them."""
    buffer = io.BytesIO()
    # Laid out here: `savefig` would draw everything once more to find out where it stands.
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def scale_values(
    axis_owner: Axes,
    values: Sequence[float],
    which: str = "y",
    *,
    whole: bool = False,
    keep: Sequence[float] = (),
) -> None:
    """Choose log or linear for the values, with limits that single explosions cannot stretch; see
    `scales.scale_of`."""
    scale = scale_of(values, whole=whole, keep=keep)
    if scale is None:
        return
    low, high = scale.low, scale.high
    set_limits = axis_owner.set_ylim if which == "y" else axis_owner.set_xlim
    if scale.log:
        margin = (high / low) ** 0.05
        log_axis(axis_owner, which)
        set_limits(low / margin, high * margin)
        return
    axis = axis_owner.yaxis if which == "y" else axis_owner.xaxis
    axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(_plain))
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    set_limits(low - margin, high + margin)


def log_axis(axis_owner: Axes, which: str) -> None:
    """A logarithmic axis: plain numbers, or powers of ten all along where some would be long."""
    (axis_owner.set_yscale if which == "y" else axis_owner.set_xscale)("log")
    axis = axis_owner.yaxis if which == "y" else axis_owner.xaxis

    def shown(value: float, _: int) -> str:
        low, high = axis.get_view_interval()
        return _power(value) if low < 5e-4 or high > 2e6 else _plain(value)

    axis.set_major_formatter(FuncFormatter(shown))
    axis.set_minor_formatter(NullFormatter())


def label_log(axis_owner: Axes, which: str) -> None:
    """Give a log axis that spans less than two decades labels at 2 and 5; after limits are set."""
    axis = axis_owner.yaxis if which == "y" else axis_owner.xaxis
    if axis.get_scale() != "log":
        return
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    if decades < 1.2:
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    elif decades < 2.2:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    elif decades < 3.2:
        axis.set_major_locator(LogLocator(subs=(1, 3)))


def raise_top(axis_owner: Axes, share: float) -> None:
    """Add that share of the axis' length to its upper end."""
    low, high = axis_owner.get_ylim()
    log = axis_owner.get_yscale() == "log"
    axis_owner.set_ylim(low, high * (high / low) ** share if log else high + share * (high - low))


def steps_axis(axis_owner: Axes, last: int) -> None:
    """The axis of training steps, from zero."""
    axis_owner.set_xlim(0, max(last, 1))
    axis_owner.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axis_owner.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _plain(value: float, _: int = 0) -> str:
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        return _power(value)
    return f"{value:,.10g}".replace("-", "−")


def _power(value: float) -> str:
    mantissa, exponent = f"{value:.0e}".split("e")
    power = "10" + str(int(exponent)).translate(_RAISED)
    power = power if mantissa.lstrip("-") == "1" else f"{mantissa.lstrip('-')}·{power}"
    return f"−{power}" if value < 0 else power
