"""Which failures say something about a configuration."""

INNOCENT = ("worker_died", "cancelled")
"""Symptoms of failures that say nothing about the configuration."""
