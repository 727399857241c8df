"""A GAN trainer whose every trick is a switch.

Knows nothing of sweeps: it reads a :class:`trials.config.TrialConfig`, trains, measures,
watches its own health and saves itself exactly.
"""
