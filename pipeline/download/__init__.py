"""Downloads Google's files over HTTPS: whole and checked by checksum, or only their heads."""
