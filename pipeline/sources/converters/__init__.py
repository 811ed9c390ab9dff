"""Turn files of other kinds, read as pieces of bytes, into lines of Quick, Draw! ndjson, in bounded memory."""
