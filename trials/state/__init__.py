"""What a training needs to go on exactly: its checkpoint, its random streams, its files' names."""
