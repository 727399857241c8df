"""Ray lives here: the trainable, resources, schedulers and the run loop."""
