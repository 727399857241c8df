"""What every answer and request of the API is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints

Item = TypeVar("Item")


class Shape(BaseModel):
    """An answer. Numbers that are none, as JSON has no word for NaN and infinity, are null."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)


class Asked(BaseModel):
    """A request's body: closed to names it does not know."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, extra="forbid", allow_inf_nan=False, strict=True
    )


def plain(value: Any) -> Any:
    """A value as JSON can hold it: what is no finite number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return value


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text cannot hold the character U+0000")
    return text


Number = Annotated[float | None, BeforeValidator(plain)]
"""A number, or null where it is none."""

Plain = Annotated[dict[str, Any], BeforeValidator(plain)]
"""Names and values of any kind."""

Numbers = Annotated[list[float | None], BeforeValidator(plain)]

Text = Annotated[str, AfterValidator(_no_nul)]
Line = Annotated[Text, StringConstraints(max_length=200)]
