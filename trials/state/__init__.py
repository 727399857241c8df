"""What a training needs to go on exactly: its checkpoint and its random streams."""
