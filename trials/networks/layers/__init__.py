"""Layers: one file each."""
