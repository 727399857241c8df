"""The command line: one file a group of verbs, each importing only what it needs."""
