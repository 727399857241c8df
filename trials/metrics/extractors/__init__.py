"""The feature extractors, one a file: the networks through which images are measured."""
