"""Tricks that are on or off, one a file. None imports another."""
