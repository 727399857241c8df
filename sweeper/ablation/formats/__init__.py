"""Formats of a table, one a file: each a pure function from a table to text or bytes."""
