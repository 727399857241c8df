"""Ray lives here: the run of a sweep from its start to its end, in the shapes that Tune knows."""
