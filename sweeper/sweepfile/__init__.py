"""What a sweep is: the file format, the space it describes, its limits. Pure: nothing runs here."""

from sweeper.sweepfile.domains import Domain, Parameter, Range, Toggle, Values
from sweeper.sweepfile.load import load_sweep, parse_sweep, sweep_from_dict
from sweeper.sweepfile.model import Difference, Sweep
from sweeper.sweepfile.resources import Resources
from sweeper.sweepfile.sections import Limits, Objective, Seeds, Tracking
from sweeper.sweepfile.space import Draw, apply, base_draw, count_points, grid_points, walk

__all__ = [
    "Difference",
    "Domain",
    "Draw",
    "Limits",
    "Objective",
    "Parameter",
    "Range",
    "Resources",
    "Seeds",
    "Sweep",
    "Toggle",
    "Tracking",
    "Values",
    "apply",
    "base_draw",
    "count_points",
    "grid_points",
    "load_sweep",
    "parse_sweep",
    "sweep_from_dict",
    "walk",
]
