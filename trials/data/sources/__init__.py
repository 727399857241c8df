"""Sources of data: one class a file, each known by being here."""
