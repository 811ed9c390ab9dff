import json
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.binary import read_binary_chunks, scan_binary_chunk
from pipeline.sources.chunks import BLOCK_BYTES, Chunk, Scanned
from pipeline.sources.rejects import Reject
from pipeline.sources.streams import Stream
from tests.sources import naive_binary as naive
from tests.sources.naive_binary import pack

JIT = not numba.config.DISABLE_JIT
EXAMPLES = 2000 if JIT else 60
STROKES = [[[0, 255, 7], [10, 20, 30]], [[5], [6]]]
GOOD = pack(5 << 21, STROKES)
TOO_MANY = pack(1, [[[1] * 40_000] * 2] * 2)
HUGE = pack(1, [[[1] * 65_535] * 2] * 9)


def scan(content: bytes) -> Scanned:
    text = np.frombuffer(content, np.uint8)
    return scan_binary_chunk(Chunk(text, 0, len(text), None, text), "dog")


def records(scanned: Scanned) -> list[dict[str, Any]]:
    """The drawings as the naive reader gives them."""
    drawings = scanned.drawings
    assert drawings.words == ["dog"]
    assert not drawings.word.any()
    return [
        {
            "key_id": int(drawings.key_id[k]),
            "countrycode": drawings.countrycodes[drawings.countrycode[k]],
            "recognized": [False, True][drawings.recognized[k]],
            "timestamp": int(drawings.timestamp[k].astype(np.int64)),
            "drawing": drawings.strokes(k),
            "end": int(scanned.ends[k]),
        }
        for k in range(len(drawings))
    ]


def faults(rejects: list[Reject]) -> list[tuple[int, int, str, bool]]:
    return [(reject.line, reject.offset, reject.reason, "is skipped" in reject.message) for reject in rejects]


def assert_as_naive(content: bytes) -> None:
    expected, bad = naive.parse(content)
    scanned = scan(content)
    assert records(scanned) == expected
    assert faults(list(scanned.rejects("dog.bin", 0))) == bad
    assert scanned.lines == len(expected) + len(bad)


def read_file(
    path: Path, chunk_bytes: int, start: int = 0
) -> tuple[list[dict[str, Any]], list[Reject], list[int], int]:
    """Drawings, rejects, where chunks end, and how many bytes were fresh."""
    drawings, rejects, ends, fresh, lines = [], [], [], 0, 0
    with Stream(path) as stream:
        for chunk in read_binary_chunks(stream, start=start, chunk_bytes=chunk_bytes):
            scanned = scan_binary_chunk(chunk, "dog")
            drawings += records(scanned)
            rejects += scanned.rejects(path.name, lines)
            lines += scanned.lines
            ends.append(scanned.end)
            fresh += len(chunk.fresh)
    return drawings, rejects, ends, fresh


def test_google_s_binary_gives_the_drawings_of_the_ndjson_with_the_same_key_ids(quickdraw: Path) -> None:
    path = quickdraw / "binary" / "dog.bin"
    drawings, rejects, _, _ = read_file(path, BLOCK_BYTES)
    assert (len(drawings), rejects) == (49, [])
    text = (quickdraw / "simplified" / "dog.ndjson").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    ndjson = {int(line["key_id"]): line for line in lines}
    both = [drawing for drawing in drawings if drawing["key_id"] in ndjson]
    assert len(both) == 40  # the others are held out
    for drawing in both:
        line = ndjson[drawing["key_id"]]
        second = np.datetime64(line["timestamp"].removesuffix(" UTC")[:19], "s")
        assert drawing["drawing"] == line["drawing"]
        assert drawing["countrycode"] == line["countrycode"]
        assert drawing["recognized"] == line["recognized"]
        assert drawing["timestamp"] == int(second.astype(np.int64)) * 1_000_000
    assert_as_naive(path.read_bytes())


def test_every_column_of_a_record_is_read() -> None:
    content = (
        pack(2**64 - 1, STROKES, code=b"DE", recognized=0, timestamp=2**32 - 1)
        + pack(0, [[[9], [8]]], code=b"AE", timestamp=0)
        + pack(7, STROKES, code=b"DE")
    )
    scanned = scan(content)
    assert scanned.drawings.key_id.tolist() == [2**64 - 1, 0, 7]
    assert scanned.drawings.countrycodes == ["DE", "AE"]
    assert scanned.drawings.countrycode.tolist() == [0, 1, 0]
    assert scanned.drawings.recognized.tolist() == [0, 1, 1]
    assert scanned.drawings.timestamp[0] == np.datetime64("2106-02-07T06:28:15")
    assert scanned.drawings.timestamp[1] == np.datetime64("1970-01-01T00:00:00")
    assert scanned.drawings.strokes(0) == STROKES
    assert_as_naive(content)


def test_nothing_at_all_is_no_record() -> None:
    scanned = scan(b"")
    assert (len(scanned.drawings), scanned.lines, list(scanned.rejects("dog.bin", 0))) == (0, 0, [])


MESSAGES = {
    "the drawing has no strokes": pack(1, []),
    "stroke 2 has no points": pack(1, [STROKES[0], [[], []]]),
    "the drawing has 80000 points, more than 65535": TOO_MANY,
    "the countrycode's bytes 0a 20 are not printable ASCII": pack(1, STROKES, code=b"\n "),
    "the countrycode's bytes c3 a9 are not printable ASCII": pack(1, STROKES, code="é".encode()),
    "recognized is 2, neither 0 nor 1": pack(1, STROKES, recognized=2),
    "recognized is -1, neither 0 nor 1": pack(1, STROKES, recognized=-1),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_bad_record_that_has_an_end_is_rejected_alone(message: str) -> None:
    content = GOOD + MESSAGES[message] + GOOD
    (reject,) = scan(content).rejects("dog.bin", 40)
    assert str(reject) == f"dog.bin:42: {message}"
    assert reject.offset == len(GOOD)
    assert len(scan(content).drawings) == 2
    assert_as_naive(content)


LOST = {
    "the file ends before the record does": GOOD[:-1],
    f"the record is longer than {1 << 20} bytes": HUGE + GOOD,
    "the countrycode's bytes 00 00 are not printable ASCII": pack(1, STROKES, code=b"\0\0")[:-1],
    "recognized is 9, neither 0 nor 1": pack(1, STROKES, recognized=9)[:20],
}


@pytest.mark.parametrize("message", LOST)
def test_where_a_record_has_no_end_the_rest_of_the_file_is_one_reject(message: str) -> None:
    content = GOOD + GOOD + LOST[message]
    (reject,) = scan(content).rejects("dog.bin", 0)
    where = f"so everything from byte {2 * len(GOOD)} on is skipped"
    assert str(reject) == f"dog.bin:3: {message}; records have no delimiter, {where}"
    assert len(scan(content).drawings) == 2
    assert_as_naive(content)


def test_two_headers_in_a_row_that_are_none_lose_the_rest() -> None:
    bad = pack(1, STROKES, code=b"\0\0")
    first, second = scan(GOOD + bad + bad + GOOD).rejects("dog.bin", 0)
    assert "is skipped" not in first.message
    assert "is skipped" in second.message
    assert len(scan(GOOD + bad + bad + GOOD).drawings) == 1
    assert len(scan(GOOD + bad + GOOD + bad + GOOD).drawings) == 3
    assert_as_naive(GOOD + bad + bad + GOOD)


def test_a_file_cut_at_any_byte_gives_the_records_that_are_whole() -> None:
    content = GOOD * 3
    for cut in range(len(content)):
        scanned = scan(content[:cut])
        assert len(scanned.drawings) == cut // len(GOOD)
        assert [reject.reason for reject in scanned.rejects("x", 0)] == ["truncated-record"] * (cut % len(GOOD) > 0)


@pytest.mark.parametrize(
    "text", [b'{"word":"cat"}\n' * 5000, b"\0" * 300_000, b"\xff" * 300_000, b"RIFF....WAVE" * 999]
)
def test_what_is_no_binary_drawing_is_a_reject_or_two(text: bytes) -> None:
    scanned = scan(text)
    assert len(scanned.drawings) == 0
    assert len(list(scanned.rejects("dog.bin", 0))) in (1, 2)
    assert_as_naive(text)


def axis(points: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 255), min_size=points, max_size=points)


stroke = st.integers(0, 4).flatmap(lambda points: st.lists(axis(points), min_size=2, max_size=2))
record = st.builds(
    pack,
    st.integers(0, 2**64 - 1),
    st.lists(stroke, max_size=3),
    code=st.sampled_from([b"US", b"DE", b"\0\0", b"~!"]),
    recognized=st.integers(-1, 2),
    timestamp=st.integers(0, 2**32 - 1),
)
pieces = st.lists(st.one_of(record, record, record, st.binary(max_size=30), st.just(GOOD)), max_size=8).map(b"".join)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pieces, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=2))
def test_any_bytes_are_read_as_the_slow_reader_does(content: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(content)
    for place, value in changes:
        if place < len(damaged):
            damaged[place] = value
    assert_as_naive(bytes(damaged))


def random_file(seed: int, size: int, *, bad: bool) -> bytes:
    """Records of up to 3,000 points until `size` is reached, one in forty with a fault that leaves it an end."""
    random = np.random.default_rng(seed)
    faulty = [pack(3, []), pack(4, STROKES, code=b"\0A"), pack(4, [[[], []]])]
    parts, total = [], 0
    while total < size:
        drawing = [random.integers(0, 256, (2, random.integers(1, 600))).tolist() for _ in range(random.integers(1, 6))]
        parts.append(pack(int(random.integers(1 << 40)) << 21, drawing, code=[b"US", b"FI"][random.integers(2)]))
        if bad and random.integers(40) == 0:
            parts.append(faulty[random.integers(3)])
        total += len(parts[-1])
    return b"".join(parts)


ENDS = {"nothing": b"", "a cut record": GOOD[:-1], "a long one": HUGE * 3, "no records": b"\0\1" * 1_500_000}


@pytest.mark.parametrize("end", ENDS)
def test_chunks_give_the_same_whatever_their_size(tmp_path: Path, end: str) -> None:
    path = tmp_path / "dog.bin"
    content = random_file(1, 5 << 19 if JIT else 1 << 18, bad=True) + ENDS[end]
    path.write_bytes(content)
    expected, bad = naive.parse(content)
    for chunk_bytes in (BLOCK_BYTES, 2 * BLOCK_BYTES, 8 * BLOCK_BYTES):
        drawings, rejects, ends, fresh = read_file(path, chunk_bytes)
        assert drawings == expected
        assert faults(rejects) == bad
        assert ends[-1] == fresh == len(content)


@pytest.mark.parametrize("end", ENDS)
def test_reading_goes_on_behind_any_chunk(tmp_path: Path, end: str) -> None:
    path = tmp_path / "dog.bin"
    content = random_file(2, 5 << 19 if JIT else 1 << 18, bad=True) + ENDS[end]
    path.write_bytes(content)
    whole, all_rejects, ends, _ = read_file(path, BLOCK_BYTES)
    for start in {0, *ends}:
        for chunk_bytes in (BLOCK_BYTES, 4 * BLOCK_BYTES):
            drawings, rejects, more, fresh = read_file(path, chunk_bytes, start)
            assert drawings == [drawing for drawing in whole if drawing["end"] > start]
            assert [reject.offset for reject in rejects] == [
                reject.offset for reject in all_rejects if reject.offset >= start
            ]
            assert more[-1] == len(content)
            assert fresh == len(content) - start + start % BLOCK_BYTES


def test_chunks_bring_every_byte_of_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "dog.bin"
    content = random_file(3, 5 << 19 if JIT else 1 << 18, bad=False)
    path.write_bytes(content)
    with Stream(path) as stream:
        chunks = list(read_binary_chunks(stream, chunk_bytes=BLOCK_BYTES))
    assert b"".join(chunk.fresh.tobytes() for chunk in chunks) == content
    assert b"".join(chunk.text.tobytes() for chunk in chunks) == content
    assert all(len(chunk.fresh) == BLOCK_BYTES for chunk in chunks[:-1])
