"""Importing this package, as its entry point does, registers its parts."""

from my_parts import contrast, mean_shift, spherical, stripes

__all__ = ["contrast", "mean_shift", "spherical", "stripes"]
