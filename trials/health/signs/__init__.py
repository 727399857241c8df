"""The signs of failure, one a file."""
