"""What a run says of itself: to its audience, to MLflow and in its folder."""
