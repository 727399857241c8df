"""The base of the sections of a sweep file that choose no part."""

from __future__ import annotations

from pydantic import ConfigDict

from trials.settings import Settings


class Section(Settings):
    """One mapping of the file."""

    model_config = ConfigDict(use_attribute_docstrings=True, allow_inf_nan=False)
