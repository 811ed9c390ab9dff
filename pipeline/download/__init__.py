"""Google's files over HTTPS: whole and proved by checksum, or the head of each."""
