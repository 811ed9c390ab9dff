"""The child processes of benchmarks/shards.py: peers, the scanner alone, and the check of a result.

    python benchmarks/peer_programs.py duckdb FOLDER OUT TEMPORARY
    python benchmarks/peer_programs.py polars FOLDER OUT TEMPORARY
    python benchmarks/peer_programs.py scan FILE        CPU seconds of each round over the file's chunks, as JSON
    python benchmarks/peer_programs.py check FILE ...   rows, sum of key_ids and words of the first rows, as JSON

Imports are inside the functions, so that a peer's memory does not include the other libraries.
"""

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

FIRST_ROWS = 1000
_ROUNDS = 5


def build_duckdb(folder: str, out: str, temporary: str) -> None:
    """Shuffle with DuckDB within 512 MB of memory; drawings become lists of lists of bytes."""
    import duckdb

    columns = {
        "key_id": "UBIGINT",
        "word": "VARCHAR",
        "recognized": "BOOLEAN",
        "countrycode": "VARCHAR",
        "timestamp": "TIMESTAMPTZ",
        "drawing": "UTINYINT[][][]",
    }
    connection = duckdb.connect()
    connection.execute("SET memory_limit='512MB'")
    connection.execute("SET threads=1")
    connection.execute("SET preserve_insertion_order=false")
    connection.execute(f"SET temp_directory={_quoted(temporary)}")
    connection.execute("SET max_temp_directory_size='20GB'")
    connection.execute(
        f"COPY (SELECT * FROM read_json({_quoted(f'{folder}/*.ndjson')}, format='newline_delimited', columns={columns})"
        f" ORDER BY hash(key_id)) TO {_quoted(out)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )


def build_polars(folder: str, out: str, temporary: str) -> None:
    """Shuffle with a streaming sort of polars; drawings become lists of lists of bytes."""
    os.environ["POLARS_MAX_THREADS"] = "1"
    os.environ["POLARS_TEMP_DIR"] = temporary
    import polars as pl

    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "key_id": pl.String,
        "word": pl.String,
        "recognized": pl.Boolean,
        "countrycode": pl.String,
        "timestamp": pl.String,
        "drawing": pl.List(pl.List(pl.List(pl.UInt8))),
    }
    time_format = "%Y-%m-%d %H:%M:%S%.f UTC"
    drawings = pl.scan_ndjson(f"{folder}/*.ndjson", schema=schema).with_columns(
        pl.col("key_id").cast(pl.UInt64),
        pl.col("timestamp").str.to_datetime(time_format, time_unit="us", time_zone="UTC"),
    )
    shuffled = drawings.sort(pl.col("key_id").hash(seed=0))
    shuffled.sink_parquet(out, compression="zstd", compression_level=1, engine="streaming")


def scan(path: str) -> None:
    """Print the CPU seconds of each round of parsing a file's chunks from memory, and their size in bytes."""
    from pipeline.sources.chunks import CHUNK_BYTES
    from pipeline.sources.files import find_sources
    from pipeline.sources.readers import read_source, scan_source

    source = find_sources([path])[0]
    chunks = list(read_source(source, chunk_bytes=CHUNK_BYTES))
    scan_source(source, chunks[0])
    seconds, drawings = [], 0
    for _ in range(_ROUNDS):
        start = time.process_time()
        drawings = sum(len(scan_source(source, chunk).drawings) for chunk in chunks)
        seconds.append(time.process_time() - start)
    print(json.dumps({"bytes": Path(path).stat().st_size, "drawings": drawings, "seconds": seconds}))


def check(*paths: str) -> None:
    """Print what a result holds; Parquet files are read in the order of `paths`."""
    if paths[0].endswith(".parquet"):
        print(json.dumps(_check_parquet(paths)))
        return
    rows = 0
    words: list[str] = []
    for path in paths:
        with Path(path).open("rb") as file:
            words += [json.loads(line)["word"] for line in itertools.islice(file, FIRST_ROWS - len(words))]
            file.seek(0)
            rows += sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    print(json.dumps({"rows": rows, "key_sum": None, "words": words}))


def _check_parquet(paths: tuple[str, ...]) -> dict[str, object]:
    import numpy as np
    import pyarrow.parquet as pq

    rows, key_sum = 0, 0
    words: list[str] = []
    for path in paths:
        with pq.ParquetFile(path) as file:
            rows += file.metadata.num_rows
            for batch in file.iter_batches(columns=["key_id"]):
                keys = batch.column(0).to_numpy()
                key_sum += int(keys.sum(dtype=np.uint64))  # modulo 2^64, as the total is
            if len(words) < FIRST_ROWS:
                first = next(file.iter_batches(FIRST_ROWS - len(words), columns=["word"]))
                words += first.column(0).to_pylist()
    return {"rows": rows, "key_sum": key_sum % (1 << 64), "words": words}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


COMMANDS: dict[str, Callable[..., None]] = {
    "duckdb": build_duckdb,
    "polars": build_polars,
    "scan": scan,
    "check": check,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
