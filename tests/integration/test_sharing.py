"""Trials that share a machine by what they were seen to take, on the real Ray."""
