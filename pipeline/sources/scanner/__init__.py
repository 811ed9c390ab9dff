"""Kernels that parse lines of ndjson into flat arrays, with no Python object for each line."""
