"""The kernels that read lines of ndjson: bytes in, flat arrays out, no Python object a line."""
