"""Each part is held to what its base class promises: `pytest examples/my_parts`."""

from my_parts.contrast import Contrast
from my_parts.golden import Golden
from my_parts.mean_shift import MeanShift
from my_parts.spherical import Spherical
from my_parts.stripes import Stripes

from sweeper.testing import PartSuite


class TestContrast(PartSuite):
    part = Contrast


class TestStripes(PartSuite):
    part = Stripes


class TestMeanShift(PartSuite):
    part = MeanShift


class TestSpherical(PartSuite):
    part = Spherical


class TestGolden(PartSuite):
    part = Golden
