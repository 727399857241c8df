"""Designs, one a file: whatever `ablation.design` of a sweep file can name."""
