"""What browsers send of a form."""

from __future__ import annotations


def unix(text: str) -> str:
    """The lines as the reader had them: a form's come with carriage returns."""
    return text.replace("\r\n", "\n")
