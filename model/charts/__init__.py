"""Charts, all in one style."""
