"""The symptoms, one a file."""
