"""Decays: one formula a file, each known by being here."""
