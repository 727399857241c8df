"""The game as it is played: the table apart from the tricks, their hooks, and both together."""
