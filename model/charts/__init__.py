"""Charts of runs and predictions, all in one style."""
