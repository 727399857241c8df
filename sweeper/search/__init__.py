"""Optuna lives here: the study that is the ledger, samplers, recovery of interrupted trials."""
