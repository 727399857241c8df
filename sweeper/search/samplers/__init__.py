"""Samplers, one a file: whatever `search.sampler` of a sweep file can name."""
