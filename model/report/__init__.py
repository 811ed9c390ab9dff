"""The report of a run's evaluation on a split, as one HTML page."""
