"""What a GAN is trained on: every source of data, opened in one way.

`open_data(config)` gives a `Dataset`; `check_data(config)` lists what is wrong before
anything is opened, `check_given` also where settings are wrong. A source is one file in
`trials/data/sources`, and a new one is known by being there.
"""

from trials.data.dataset import Dataset, to_unit
from trials.data.opening import (
    AnyData,
    cheap_warnings,
    check_data,
    check_given,
    has_test_split,
    lenient,
    open_data,
    reference_of,
)
from trials.data.order import Order
from trials.data.resize import RESIZE_RULE
from trials.data.source import DataSource
from trials.data.survey import survey, survey_in_words

__all__ = [
    "RESIZE_RULE",
    "AnyData",
    "DataSource",
    "Dataset",
    "Order",
    "cheap_warnings",
    "check_data",
    "check_given",
    "has_test_split",
    "lenient",
    "open_data",
    "reference_of",
    "survey",
    "survey_in_words",
    "to_unit",
]
