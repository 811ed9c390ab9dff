"""Kernels that parse ndjson lines: they take bytes and fill flat arrays, with no Python object for each line."""
