"""Stopping rules, one a file: whatever `scheduler.name` of a sweep file can name."""
