"""A run on disk: its files and what proves them, which run a command takes, and runs side by side."""
