"""Importing this package, as its entry point does, registers its parts."""

from my_parts import contrast, golden, mean_shift, spherical, stripes

__all__ = ["contrast", "golden", "mean_shift", "spherical", "stripes"]
