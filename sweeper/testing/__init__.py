"""Does a part of one's own keep what its base class promises?

In a script or a notebook, one call, which raises `Broken` with everything that is wrong::

    from sweeper.testing import check_part

    check_part(Contrast)

Under pytest, one test for each promise of the part's kind::

    from sweeper.testing import PartSuite

    class TestContrast(PartSuite):
        part = Contrast

The tests of this project's own parts are the same functions. `docs/parts.md` says in words what
the base classes promise.
"""

from sweeper.testing.promises import Broken
from sweeper.testing.suite import PartSuite, check_part, promises_of

__all__ = ["Broken", "PartSuite", "check_part", "promises_of"]
