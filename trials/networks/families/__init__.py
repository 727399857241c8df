"""Families of networks: one class a file, each known by being here."""
