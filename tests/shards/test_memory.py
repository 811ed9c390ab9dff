"""Hostile sources whose build must stay below 400 MB, and ranges of hashes that are read in pieces."""

import gzip
import itertools
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.errors import InputError
from pipeline.shards.verify import verify_folder
from pipeline.sources import limits
from tests.shards.builds import build, counts_of, peak_bytes, record, rows_of
from tests.shards.builds import write as write_sources

MOST = 400e6
MIB = 1 << 20
DOT = b'"drawing":[[[0,255],[0,255]]]}\n'


def row(key: int, strokes: list[int]) -> bytes:
    """A record of Google's .bin with so many points in each stroke."""
    head = struct.pack("<Q2sbIH", key, b"DE", 1, 1488000000, len(strokes))
    stroke = {points: struct.pack("<H", points) + bytes(2 * points) for points in set(strokes)}
    return head + b"".join(map(stroke.__getitem__, strokes))


def line_of_points(count: int) -> bytes:
    one = b"1," * (count - 1) + b"1"
    return b'{"word":"cat","key_id":"%d","drawing":[[[' + one + b"],[" + one + b"]]]}\n"


def csv_of(rows: Iterable[bytes]) -> list[bytes]:
    return [b"countrycode,drawing,key_id,recognized,timestamp,word\n", *rows]


TABLE = b'DE,"[[[0, 255], [0, 255]]]",%d,True,2017-03-08 21:12:07.26604,%s\n'
STROKES = b'{"word":"cat","key_id":"%d","drawing":[' + b"[[1],[1]]," * 65_534 + b"[[1],[1]]]}\n"
RAW = b'{"word":"cat","key_id":"%d","drawing":[[[' + b"],[".join([b"1," * 99_999 + b"9"] * 3) + b"]]]}\n"
HOSTILE: dict[str, tuple[str, Callable[[], Iterable[bytes]]]] = {
    "repeats": ("a.ndjson.gz", lambda: [b'{"word":"cat",' + DOT] * 1_500_000),
    "one key_id": ("a.ndjson.gz", lambda: (b'{"word":"w%d","key_id":"5",' % (k % 50) + DOT for k in range(1_000_000))),
    "country codes of 1 MB": (
        "a.ndjson.gz",
        lambda: (b'{"word":"cat","countrycode":"%d%s",' % (k, b"x" * (MIB - 200)) + DOT for k in range(128)),
    ),
    "many country codes": (
        "a.ndjson.gz",
        lambda: (b'{"word":"cat","key_id":"%d","countrycode":"%d",' % (k, k) + DOT for k in range(200_000)),
    ),
    "words of 1 MB": ("a.ndjson.gz", lambda: (b'{"word":"%d%s",' % (k, b"x" * (MIB - 200)) + DOT for k in range(128))),
    "words of 256 bytes": ("a.ndjson.gz", lambda: (b'{"word":"%0256d",' % k + DOT for k in range(60_000))),
    "points": ("a.ndjson.gz", lambda: (line_of_points(65_535) % k for k in range(400))),
    "strokes": ("a.ndjson.gz", lambda: (STROKES % k for k in range(200))),
    "raw points": ("a.ndjson.gz", lambda: (RAW % k for k in range(100))),
    "long lines": (
        "a.ndjson.gz",
        lambda: (b'{"pad":"%s","word":"cat",' % (b"x" * (MIB - 99)) + DOT for _ in range(128)),
    ),
    "rejects": ("a.ndjson.gz", lambda: [b"{\n" * (MIB // 4), b'{"word":"cat",' + DOT]),
    "an endless element": (
        "a.json.gz",
        lambda: [b'[{"word":"', *[b"x" * MIB] * 128, b'"},{"word":"cat",' + DOT + b"]"],
    ),
    "an endless gap": ("a.json.gz", lambda: [b'[{"word":\n', *[b"\n" * MIB] * 100, b'"cat",' + DOT + b"]"]),
    "fields of a table": ("a.csv.gz", lambda: csv_of(TABLE % (k, b"x" * (MIB - 200)) for k in range(100))),
    "an endless field": ("a.csv.gz", lambda: [*csv_of([TABLE % (1, b"cat")]), b'DE,"', *[b"x" * MIB] * 128]),
    "records of points": ("cat.bin.gz", lambda: (row(k, [65_535]) for k in range(400))),
    "records of strokes": ("cat.bin.gz", lambda: (row(k, [1] * 65_535) for k in range(200))),
    "an endless record": (
        "cat.bin.gz",
        lambda: [row(1, [2]), row(2, [1])[:15] + b"\xff\xff", *[b"\xff\xff" + bytes(131_070)] * 300],
    ),
    "a window of 128 MiB": (
        "a.ndjson.zst",
        lambda: (b'{"word":"cat","key_id":"%d",' % k + DOT for k in range(2_300_000)),
    ),
    "strokes in a window of 128 MiB": ("a.ndjson.zst", lambda: (STROKES % k for k in range(220))),
}


def write_hostile(path: Path, pieces: Iterable[bytes]) -> None:
    if path.suffix == ".zst":
        parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
        with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(path.open("wb")) as file:
            for piece in pieces:
                file.write(piece)
        return
    with path.open("wb") if path.suffix == ".ndjson" else gzip.open(path, "wb", compresslevel=1) as file:
        for piece in pieces:
            file.write(piece)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels for every kind are in the cache: compiling them takes more memory, once."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak memory of a process is read from /proc, which is not here")
    folder = tmp_path_factory.mktemp("compiled")
    for name in ("words of 256 bytes", "raw points", "fields of a table", "records of strokes", "an endless element"):
        file, pieces = HOSTILE[name]
        (folder / name).mkdir()
        write_hostile(folder / name / file, itertools.islice(pieces(), 2))
        write_hostile(folder / name / "a.ndjson", [record("cat", 1), record("cat", 2), b'{"word":"cat",' + DOT])
        peak_bytes("shards", str(folder / name), "--to", str(folder / f"{name} built"), "--workers", "1")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", HOSTILE)
def test_no_source_takes_more_than_400_mb(tmp_path: Path, name: str) -> None:
    file, pieces = HOSTILE[name]
    (tmp_path / "in").mkdir()
    write_hostile(tmp_path / "in" / file, pieces())
    code, peak, said = peak_bytes("shards", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--workers", "1")
    assert code in (0, 3, 4), said
    assert "Traceback" not in said
    assert peak < MOST, f"{peak / 1e6:.0f} MB"


def random_lines(count: int, seed: int) -> dict[str, bytes]:
    """Eight sources whose drawings share few key_ids, words and strokes, so that many are duplicates of each other."""
    dice = np.random.default_rng(seed)
    lines: list[list[bytes]] = [[] for _ in range(8)]
    for source, key, word, stroke, code, known in dice.integers(0, [8, 5, 2, 30, 3, 3], (count, 6)).tolist():
        fields = {"countrycode": [None, "DE", "US"][code], "recognized": [None, True, False][known]}
        lines[source].append(record(f"w{word}", key or None, [[[stroke, 7], [stroke, 9]]], **fields))
    return {f"s{k}": b"".join(of_source) for k, of_source in enumerate(lines)}


@pytest.mark.parametrize("range_bytes", [1, 300, 2000, 20_000])
def test_a_range_that_is_read_in_pieces_gives_the_same_shards_and_counts(tmp_path: Path, range_bytes: int) -> None:
    folder = write_sources(tmp_path / "in", **random_lines(1500, range_bytes))
    whole = build(folder, tmp_path / "whole")
    pieces = build(folder, tmp_path / "pieces", segment_bytes=1, range_bytes=range_bytes, num_shards=3, workers=2)
    assert rows_of(tmp_path / "pieces") == rows_of(tmp_path / "whole")
    for name in ("same_key", "keyless_duplicates", "counts", "sources"):
        assert getattr(pieces, name) == getattr(whole, name)
    assert whole.same_key
    assert whole.keyless_duplicates
    assert sum(source.duplicates for source in whole.sources) > 900
    assert verify_folder(tmp_path / "pieces", deep=True) == []


def test_a_row_group_of_large_drawings_has_fewer_rows(tmp_path: Path) -> None:
    drawing = [[[1] * 500, [2] * 500]]
    folder = write_sources(tmp_path / "in", cat=b"".join(record("cat", k, drawing) for k in range(20)))
    build(folder, tmp_path / "out", splits="1,0,0", row_group_rows=8, row_group_bytes=5 * (40 + 2 * 500 + 16) + 1)
    metadata = pq.read_metadata(tmp_path / "out" / "train-00000-of-00001.parquet")
    assert [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)] == [5, 5, 5, 5]
    build(folder, tmp_path / "one", splits="1,0,0", row_group_bytes=1)
    metadata = pq.read_metadata(tmp_path / "one" / "train-00000-of-00001.parquet")
    assert metadata.num_row_groups == 20
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "out")
    assert verify_folder(tmp_path / "one", deep=True) == []


def test_one_country_code_too_many_is_null_and_counted(tmp_path: Path) -> None:
    lines = [record("cat", k, countrycode=f"c{k % 70_000}") for k in range(70_001)]
    folder = write_sources(tmp_path / "in", cat=b"".join(lines))
    manifest = build(folder, tmp_path / "out")
    assert (manifest.notes or {})["countrycode-beyond-65536-others"] == 70_000 - limits.MAX_COUNTRYCODES
    codes = Counter(row[4] for row in rows_of(tmp_path / "out"))
    assert (len(codes), codes[None], codes["c0"]) == (limits.MAX_COUNTRYCODES + 1, 70_000 - limits.MAX_COUNTRYCODES, 2)
    with pytest.raises(InputError, match=r"cat\.ndjson: more than 65,536 different country codes \(--strict\)"):
        build(folder, tmp_path / "strict", strict=True)


def test_words_that_are_no_class_take_no_numbers(tmp_path: Path) -> None:
    lines = [record(f"w{k}", k) for k in range(70_000)] + [record("cat", 70_000), record("dog", 70_001)]
    folder = write_sources(tmp_path / "in", birds=b"".join(lines), dog=record("cat", 1) + record("dog", 2))
    manifest = build(folder, tmp_path / "out", classes=("cat",))
    assert counts_of(manifest) == {"birds.ndjson": (70_002, 1, 0, 70_001, 0), "dog.ndjson": (2, 1, 0, 1, 0)}
