"""What a GAN is trained on: every source of data, opened in one way.

``open_data(config)`` gives a :class:`Dataset`; ``check_data(config)`` lists what is wrong before
anything is opened. A source is one file with its configuration and its reader; a new one is added
to ``Source`` in ``trials/data/sources.py``.
"""

from trials.data.config import DataConfig
from trials.data.dataset import Dataset, to_unit
from trials.data.order import Order
from trials.data.resize import RESIZE_RULE
from trials.data.sources import SOURCES, AnyData, check_data, open_data

__all__ = [
    "RESIZE_RULE",
    "SOURCES",
    "AnyData",
    "DataConfig",
    "Dataset",
    "Order",
    "check_data",
    "open_data",
    "to_unit",
]
