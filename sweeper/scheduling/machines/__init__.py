"""Machines and their devices: where a worker is, which are about to go, and which are wrong."""
