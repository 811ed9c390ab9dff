"""Hostile sources whose build must stay below 400 MB, and ranges of hashes that are read in pieces."""

import gzip
import struct
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import zstandard

from pipeline.drawings import Drawings, from_strokes
from pipeline.shards import admit, tally, write
from pipeline.shards.manifest import read_manifest
from pipeline.shards.ranges import RangeReader
from pipeline.shards.verify import verify_folder
from pipeline.sources import limits
from tests.shards.builds import build, counts_of, files_of, peak_bytes, record, records, rows_of
from tests.shards.builds import write as write_sources

MOST = 400e6
MIB = 1 << 20
DOT = b'"drawing":[[[0,255],[0,255]]]}\n'


def row(key: int, strokes: list[int]) -> bytes:
    """A record of Google's .bin with so many points in each stroke."""
    head = struct.pack("<Q2sbIH", key, b"DE", 1, 1488000000, len(strokes))
    return head + b"".join(struct.pack("<H", points) + bytes(2 * points) for points in strokes)


def line_of_points(count: int) -> bytes:
    one = b"1," * (count - 1) + b"1"
    return b'{"word":"cat","key_id":"%d","drawing":[[[' + one + b"],[" + one + b"]]]}\n"


def csv_of(rows: Iterable[bytes]) -> list[bytes]:
    return [b"countrycode,drawing,key_id,recognized,timestamp,word\n", *rows]


TABLE = b'DE,"[[[0, 255], [0, 255]]]",%d,True,2017-03-08 21:12:07.26604,%s\n'
STROKES = b'{"word":"cat","key_id":"%d","drawing":[' + b"[[1],[1]]," * 65_534 + b"[[1],[1]]]}\n"
RAW = b'{"word":"cat","key_id":"%d","drawing":[[[' + b"],[".join([b"1," * 99_999 + b"9"] * 3) + b"]]]}\n"
HOSTILE: dict[str, tuple[str, Callable[[], Iterable[bytes]]]] = {
    "repeats": ("a.ndjson.gz", lambda: [b'{"word":"cat",' + DOT] * 2_000_000),
    "one key_id": ("a.ndjson.gz", lambda: (b'{"word":"w%d","key_id":"5",' % (k % 50) + DOT for k in range(1_500_000))),
    "country codes of 1 MB": (
        "a.ndjson.gz",
        lambda: (b'{"word":"cat","countrycode":"%d%s",' % (k, b"x" * (MIB - 200)) + DOT for k in range(200)),
    ),
    "many country codes": (
        "a.ndjson.gz",
        lambda: (b'{"word":"cat","key_id":"%d","countrycode":"%d",' % (k, k) + DOT for k in range(600_000)),
    ),
    "words of 1 MB": ("a.ndjson.gz", lambda: (b'{"word":"%d%s",' % (k, b"x" * (MIB - 200)) + DOT for k in range(200))),
    "words of 256 bytes": ("a.ndjson.gz", lambda: (b'{"word":"%0256d",' % k + DOT for k in range(60_000))),
    "points": ("a.ndjson.gz", lambda: (line_of_points(65_535) % k for k in range(400))),
    "strokes": ("a.ndjson.gz", lambda: (STROKES % k for k in range(200))),
    "raw points": ("a.ndjson.gz", lambda: (RAW % k for k in range(100))),
    "long lines": ("a.ndjson.gz", lambda: (b'{"pad":"%s","word":"cat",' % (b"x" * (MIB - 99)) + DOT for _ in range(200))),
    "rejects": ("a.ndjson.gz", lambda: [b"{\n" * MIB] * 4 + [b'{"word":"cat",' + DOT] * (5 * MIB)),
    "an endless element": ("a.json.gz", lambda: [b'[{"word":"', *[b"x" * MIB] * 200, b'"},{"word":"cat",' + DOT + b"]"]),
    "an endless gap": ("a.json.gz", lambda: [b'[{"word":\n', *[b"\n" * MIB] * 100, b'"cat",' + DOT + b"]"]),
    "fields of a table": ("a.csv.gz", lambda: csv_of(TABLE % (k, b"x" * (MIB - 200)) for k in range(100))),
    "an endless field": ("a.csv.gz", lambda: [*csv_of([TABLE % (1, b"cat")]), b'DE,"', *[b"x" * MIB] * 200]),
    "records of points": ("cat.bin.gz", lambda: (row(k, [65_535]) for k in range(400))),
    "records of strokes": ("cat.bin.gz", lambda: (row(k, [1] * 65_535) for k in range(200))),
    "an endless record": (
        "cat.bin.gz",
        lambda: [row(1, [2]), row(2, [1])[:15] + b"\xff\xff", *[b"\xff\xff" + bytes(131_070)] * 1000],
    ),
    "a window of 128 MiB": ("a.ndjson.zst", lambda: (b'{"word":"cat","key_id":"%d",' % k + DOT for k in range(4_000_000))),
}


def write_hostile(path: Path, pieces: Iterable[bytes]) -> None:
    if path.suffix == ".zst":
        parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
        with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(path.open("wb")) as file:
            for piece in pieces:
                file.write(piece)
        return
    with gzip.open(path, "wb", compresslevel=1) as file:
        for piece in pieces:
            file.write(piece)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", HOSTILE)
def test_no_source_takes_more_than_400_mb(tmp_path: Path, name: str) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak memory of a process is read from /proc, which is not here")
    file, pieces = HOSTILE[name]
    (tmp_path / "in").mkdir()
    write_hostile(tmp_path / "in" / file, pieces())
    code, peak, said = peak_bytes("shards", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--workers", "1")
    assert code in (0, 3, 4), said
    assert "Traceback" not in said
    assert peak < MOST, f"{peak / 1e6:.0f} MB"
