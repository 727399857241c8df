"""The worker: what it is sent, how it trains a trial, and what it answers."""
