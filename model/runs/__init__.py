"""A run on disk: reading and checking its files, finding runs, comparing them."""
