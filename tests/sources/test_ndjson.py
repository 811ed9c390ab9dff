import gzip
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.sample.doodles import SAMPLE_WORDS, sample_line
from pipeline.sources.chunks import BLOCK_BYTES, Chunk, Scanned
from pipeline.sources.files import Source
from pipeline.sources.ndjson import key_of_text, scan_chunk
from pipeline.sources.notes import StrokeForms, count_notes, told
from pipeline.sources.readers import read_source, scan_source
from pipeline.sources.rejects import Reject
from tests.sources import naive_ndjson as naive
from tests.sources.hostile_lines import HOSTILE
from tests.sources.naive_ndjson import assert_as_naive, records, rejects, scan
from tests.sources.ndjson_lines import MALFORMED, NULLED, READ, VALID, drawing, line

BAD = MALFORMED | HOSTILE
JIT = not numba.config.DISABLE_JIT
EXAMPLES = 300 if JIT else 40  # a line takes a microsecond compiled, a millisecond interpreted
MAX_LINE_BYTES = 1 << 20


def scan_file(path: Path, chunk_bytes: int) -> tuple[list[dict[str, Any]], list[Reject], list[int]]:
    """All drawings, rejects and ends of lines of a file."""
    drawings, bad, ends, lines = [], [], [], 0
    source = Source(path, path.name, None)
    for chunk in read_source(source, chunk_bytes=chunk_bytes):
        scanned = scan_source(source, chunk)
        drawings += records(scanned)
        bad += scanned.rejects(path.name, lines)
        ends += scanned.ends.tolist()
        lines += scanned.lines
    return drawings, bad, ends


@pytest.mark.parametrize("name", VALID)
def test_every_legal_way_to_write_a_line_is_read_as_the_slow_reader_does(name: str) -> None:
    assert rejects(scan(VALID[name] + b"\n")) == []
    assert_as_naive(VALID[name] + b"\n")


def test_lines_keep_their_own_columns_side_by_side() -> None:
    assert_as_naive(b"\n".join([*VALID.values(), *(case[0] for case in BAD.values()), *VALID.values(), b""]))


def test_the_same_word_plain_and_in_escapes_is_one_word() -> None:
    drawings = scan(VALID["a word in UTF-8"] + b"\n" + VALID["the same word in escapes"] + b"\n").drawings
    assert drawings.words == ["café 猫 😀"]
    assert drawings.word.tolist() == [0, 0]


def test_a_missing_key_id_becomes_a_hash_of_word_and_strokes_alone() -> None:
    lines = [
        line(key_id=None, recognized="false", countrycode=None),
        line(key_id="null"),
        line(key_id=None, word='"x"'),
    ]
    first, second, other = scan(b"\n".join([*lines, b""])).drawings.key_id.tolist()
    assert first == second != other


def test_a_key_id_is_a_number_or_a_text_of_many_digits() -> None:
    nines, zeros = "9" * 250, "0" * 250
    texts = [nines, zeros + "7", zeros, "\\u0037" + nines, "\\u0030" + zeros + "7", "\u0667"]
    lines = [line(key_id=f'"{text}"') for text in texts]
    keys = scan("\n".join([*(text.decode() for text in lines), ""]).encode()).drawings.key_id.tolist()
    assert keys == [key_of_text(nines), 7, 0, key_of_text("7" + nines), 7, key_of_text("\u0667")]
    assert len(set(keys)) == len(keys) - 1


def noted(scanned: Scanned) -> dict[str, int]:
    """What is counted of the drawings of a chunk."""
    notes: Counter[str] = Counter()
    count_notes(scanned, len(scanned.drawings), notes)
    return dict(notes)


@pytest.mark.parametrize(("field", "text"), [(field, text) for field, of in NULLED.items() for text in of])
def test_a_field_that_cannot_be_used_is_null_and_never_costs_a_drawing(field: str, text: str) -> None:
    scanned = scan(line(**{field: text}) + b"\n")
    assert rejects(scanned) == []
    ((record,), reason) = records(scanned), NULLED[field][text]
    keyless = records(scan(line(key_id=None) + b"\n"))[0]["key_id"]
    assert record[field] == (keyless if field == "key_id" else None)
    assert noted(scanned) == {f"{field}-{reason}": 1}
    assert_as_naive(line(**{field: text}) + b"\n")


@pytest.mark.parametrize(("field", "text"), [(field, text) for field, of in READ.items() for text in of])
def test_a_plain_value_in_another_form_is_read_and_not_counted(field: str, text: str) -> None:
    scanned = scan(line(**{field: text}) + b"\n")
    assert rejects(scanned) == []
    assert records(scanned)[0][field] == READ[field][text]
    assert noted(scanned) == {}
    assert_as_naive(line(**{field: text}) + b"\n")


def test_missing_and_null_fields_are_not_counted() -> None:
    names = ("countrycode", "timestamp", "recognized", "key_id")
    lines = [line(**dict.fromkeys(names, value)) + b"\n" for value in (None, "null")]
    assert noted(scan(b"".join(lines))) == {}


def test_what_is_noted_is_counted_up_to_the_last_line_that_is_read() -> None:
    scanned = scan((line(recognized="2", timestamp='""') + b"\n") * 3 + line(recognized="NaN") + b"\n")
    notes: Counter[str] = Counter()
    count_notes(scanned, 2, notes)
    assert notes == {"recognized-unreadable": 2, "timestamp-empty": 2}
    assert told(notes) == ["fields read as null: timestamp empty in 2 lines, recognized unreadable in 2 lines"]


def test_nan_stands_in_unknown_fields_but_never_in_strokes() -> None:
    assert len(scan(line(extra='[NaN,{"a":-Infinity}]', other="Infinity") + b"\n").drawings) == 1
    assert [reject.reason for reject in rejects(scan(drawing("[[[1,NaN],[1,2]]]") + b"\n"))] == ["not-a-number"]


@pytest.mark.parametrize(
    ("text", "strokes"),
    [
        ("[[[1,2],[3,4],[5,6],[7,8]]]", [[[1, 3, 5, 7], [2, 4, 6, 8]]]),
        ("[[[1,2],[3,4]],[[5,6],[7,8],[9,10]]]", [[[1, 3], [2, 4]], [[5, 7, 9], [6, 8, 10]]]),
        ('[[{"x":1,"y":2},{"x":3,"y":4}]]', [[[1, 3], [2, 4]]]),
        ('[{"x":[1,2],"y":[3,4]}]', [[[1, 2], [3, 4]]]),
        ('"[[[1, 2], [3, 4]]]"', [[[1, 2], [3, 4]]]),
        ("[[[0.0,255.0],[10.0,20.0]]]", [[[0, 255], [10, 20]]]),
        ("[[[0.5,300.25],[10.0,20.0]]]", [[[0, 255], [0, 9]]]),
        ("[[[1,2],[3,4]]]", [[[1, 2], [3, 4]]]),  # Google's form, though it could be points
    ],
)
def test_strokes_of_another_shape_are_the_strokes_that_they_mean(text: str, strokes: list[list[list[int]]]) -> None:
    (record,) = records(scan(drawing(text) + b"\n"))
    assert record["drawing"] == strokes


def test_only_drawings_beyond_0_to_255_are_simplified_and_counted() -> None:
    texts = ("[[[1],[256]]]", "[[[-1],[0]]]", "[[[0.5],[1]]]", "[[[1.0],[255]]]", "[[[1,2],[3,4],[0,5]]]")
    scanned = scan(b"".join(drawing(text) + b"\n" for text in texts))
    assert noted(scanned) == {"canvas-coordinates": 3}
    assert told(noted(scanned)) == ["simplified: 3 drawings in canvas coordinates"]


def forms_of(*texts: str) -> StrokeForms:
    """The forms of a file of these drawings, a chunk each."""
    forms = StrokeForms()
    for number, text in enumerate(texts):
        scanned = scan(drawing(text) + b"\n")
        forms.look(scanned, len(scanned.drawings), "cat.ndjson", number)
        for reject in scanned.rejects("cat.ndjson", number):
            forms.look_at_reject(reject)
    return forms


PAIRS, EITHER = "[[[1,2],[3,4],[5,6],[7,8]]]", "[[[1,2],[3,4]],[[5,6],[7,8]]]"
THREES, EITHER_THREES = "[[[1,2,3],[3,4,5],[5,6,7],[7,8,9]]]", "[[[1,2,3],[3,4,5]]]"


@pytest.mark.parametrize(
    ("texts", "points", "either"),
    [
        ((EITHER, PAIRS), 2, 1),
        ((PAIRS, "[[[1],[2]]]", EITHER), 1, 3),
        ((PAIRS, "[[[1,2],[3,4],[5,6]]]"), 1, 2),  # a raw drawing of two points, or three points
        ((PAIRS, "[[[1.5,2],[300,4]]]"), 1, 2),
        ((THREES, EITHER_THREES), 1, 2),
        ((EITHER_THREES, THREES), 2, 1),
    ],
)
def test_a_file_of_points_is_an_error_if_a_drawing_may_have_been_misread(
    texts: tuple[str, ...], points: int, either: int
) -> None:
    with pytest.raises(InputError, match=rf"cat.ndjson:{points}: its strokes are lists of points.* line {either} may"):
        forms_of(*texts)


def test_drawings_that_have_one_reading_only_may_stand_beside_each_other() -> None:
    forms_of(PAIRS, "[[[1],[2]]]", "[[[1,2,3],[4,5,6]],[[1,2],[3,4]]]", EITHER_THREES, PAIRS)
    forms_of(EITHER, EITHER_THREES, "[[[1,2,3],[4,5,6],[0,1,2]]]", "[[[1,2]]]")


def test_without_a_word_a_drawing_is_read_where_none_is_needed() -> None:
    lines = b"".join(line(word=word) + b"\n" for word in (None, "null", '""', '"dog"'))
    chunk = Chunk(np.frombuffer(lines, np.uint8), 0, len(lines), None, np.empty(0, np.uint8))
    drawings = scan_chunk(chunk, needs_word=False).drawings
    assert [drawing.word for drawing in drawings] == ["", "", "", "dog"]
    assert [reject.line for reject in rejects(scan(lines))] == [1, 2, 3]


@pytest.mark.parametrize("name", BAD)
def test_every_bad_line_is_named_with_its_reason(name: str) -> None:
    text, reason, message = BAD[name]
    scanned = scan(line() + b"\n\n" + text + b"\n" + line() + b"\n")
    assert [str(reject) for reject in rejects(scanned)] == [f"cat.ndjson:3: {message}"]
    assert [(reject.reason, reject.offset) for reject in rejects(scanned)] == [(reason, len(line()) + 2)]
    assert len(scanned.drawings) == 2
    assert_as_naive(line() + b"\n\n" + text + b"\n" + line() + b"\n")


def test_no_two_kinds_of_bad_lines_share_a_name() -> None:
    assert not MALFORMED.keys() & HOSTILE.keys()
    assert len({text for text, _, _ in BAD.values()}) == len(BAD)


def test_a_line_cut_anywhere_is_rejected_and_called_truncated() -> None:
    whole = line(word=r'"c\u0061t 猫"', extra='{"a":[1,null]}')
    for cut in range(1, len(whole)):
        (reject,) = rejects(scan(whole[:cut] + b"\n"))
        inside_a_character = whole[cut - 1] >= 128 and whole[cut] & 0xC0 == 0x80
        assert reject.reason == ("not-utf8" if inside_a_character else "truncated"), (whole[:cut], reject)


def test_a_last_line_without_its_newline_counts_only_if_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "cat.ndjson"
    path.write_bytes(line() + b"\n" + line())
    drawings, bad, _ = scan_file(path, BLOCK_BYTES)
    assert (len(drawings), bad) == (2, [])
    path.write_bytes(line() + b"\n" + line()[:-5])
    drawings, bad, _ = scan_file(path, BLOCK_BYTES)
    assert len(drawings) == 1
    assert [str(reject) for reject in bad] == ["cat.ndjson:2: the line ends before its JSON is complete"]


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n \t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_file_of_blank_lines_has_no_drawings_and_no_rejects(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "cat.ndjson"
    path.write_bytes(text)
    assert scan_file(path, BLOCK_BYTES) == ([], [], [])


def test_a_byte_order_mark_and_crlf_change_nothing_but_the_offsets(tmp_path: Path) -> None:
    path = tmp_path / "cat.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + line() + b"\r\n\r\nx\r\n" + line() + b"\r\n")
    drawings, bad, ends = scan_file(path, BLOCK_BYTES)
    size = len(line())
    assert drawings == naive.parse_text(path.read_bytes())[0]
    assert [(reject.line, reject.offset) for reject in bad] == [(3, 3 + size + 4)]
    assert ends == [3 + size + 2, 3 + 2 * size + 9]


@pytest.mark.parametrize("chunk_bytes", [3, 7, 100, 1000])
def test_lines_are_whole_however_little_is_read_at_a_time(tmp_path: Path, chunk_bytes: int) -> None:
    path = tmp_path / "cat.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + line() + b"\r\n\n" + b"x\n" + line(word='"猫"') + b"\n" + line()[:-1])
    few, whole = scan_file(path, chunk_bytes), scan_file(path, BLOCK_BYTES)
    assert few[:3] == whole
    assert len(whole[0]) == 2


def long_lines(path: Path) -> None:
    """A file of five MiB whose over-long lines cross the borders of chunks, lie within them, and end on them."""
    good = line() + b"\n"
    padded = line()[:-1].ljust(MAX_LINE_BYTES - 1) + b"}"
    assert len(padded) == MAX_LINE_BYTES
    with path.open("wb") as file:
        file.write(good * 10 + b"bad\n")
        file.write(padded + b"\n")  # just as long as a line may be
        file.write(good + padded + b" \n" + good)  # one byte longer
        file.write(b" " * (MAX_LINE_BYTES + 1) + b"\n" + good)  # blank, and too long all the same
        file.write(b"x" * (MAX_LINE_BYTES * 3) + b"\n" + b"y" * (MAX_LINE_BYTES * 2) + b"\n" + good + b"bad\n")
        file.write(b"\n" * 3 + good + b"z" * (5 * BLOCK_BYTES - file.tell() % BLOCK_BYTES - 1) + b"\n" + good)
        file.write(padded + b"\r")  # too long, and the file's last


@pytest.mark.slow
def test_no_result_depends_on_the_size_of_chunks_over_long_lines_included(tmp_path: Path) -> None:
    path = tmp_path / "cat.ndjson"
    long_lines(path)
    expected, bad = naive.parse_text(path.read_bytes())
    whole = scan_file(path, 32 * BLOCK_BYTES)
    assert whole[0] == expected
    assert [reject.line for reject in whole[1]] == bad
    starts = np.cumsum([0, *map(len, path.read_bytes().splitlines(keepends=True))])
    assert [reject.offset for reject in whole[1]] == [starts[number - 1] for number in bad]
    assert [reject.reason for reject in whole[1]].count("line-too-long") == 6
    for blocks in (1, 2, 4):
        assert scan_file(path, blocks * BLOCK_BYTES) == whole
    assert scan_file(path, 300_001) == whole


def test_the_message_of_an_over_long_line_says_how_long_one_may_be(tmp_path: Path) -> None:
    path = tmp_path / "cat.ndjson"
    path.write_bytes(b"x" * (2 * BLOCK_BYTES) + b"\n")
    _, bad, _ = scan_file(path, BLOCK_BYTES)
    assert [str(reject) for reject in bad] == ["cat.ndjson:1: the line is longer than 1048576 bytes"]
    assert bad[0].reason == "line-too-long"


def test_a_line_of_100_mb_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "cat.ndjson"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(line() + b"\n")
        for _ in range(100):
            file.write(b"[" * BLOCK_BYTES)
        file.write(b"\n" + line() + b"\n")
    tracemalloc.start()
    try:
        drawings, bad, _ = scan_file(path, BLOCK_BYTES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(drawings) == 2
    assert [(reject.line, reject.reason) for reject in bad] == [(2, "line-too-long")]
    assert peak < 40 << 20  # a few chunks of a MiB, and the scanner's arrays for one, which are not all touched


def test_gzip_is_read_as_what_it_holds_whatever_the_name(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "cat.ndjson", tmp_path / "also.ndjson"
    text = b"".join(sample_line("cat", i).encode() for i in range(30))
    plain.write_bytes(text)
    zipped.write_bytes(gzip.compress(text[:1000]) + gzip.compress(text[1000:]))
    assert scan_file(zipped, BLOCK_BYTES) == scan_file(plain, BLOCK_BYTES)


def test_a_file_that_cannot_be_opened_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: cannot be read"):
        next(read_source(Source(tmp_path / "nowhere", "nowhere", None)))
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        next(read_source(Source(tmp_path, "folder", None)))


@pytest.mark.slow
def test_blocks_are_hashed_as_they_are_read_whatever_the_chunks(tmp_path: Path) -> None:
    path = tmp_path / "cat.ndjson"
    text = (b"\n" * 99 + b"\r") * (BLOCK_BYTES // 40)
    path.write_bytes(text)
    buf = np.frombuffer(text, np.uint8)
    blocks = [xxhash.xxh64_hexdigest(buf[k : k + BLOCK_BYTES].data) for k in range(0, len(text), BLOCK_BYTES)]
    assert len(blocks) == 3
    source = Source(path, path.name, None)
    for count in (1, 2, 4):
        found = [
            code for chunk in read_source(source, chunk_bytes=count * BLOCK_BYTES) for code in chunk.block_hashes()
        ]
        assert found == blocks


@st.composite
def mutated_lines(draw: st.DrawFn) -> bytes:
    """A few lines of the sample with bytes exchanged, dropped, doubled or put in."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        # A short drawing leaves more of the mutations to the other fields.
        whole = sample_line(draw(st.sampled_from(SAMPLE_WORDS)), draw(st.integers(0, 20))).encode().rstrip(b"\n")
        text = bytearray(draw(st.sampled_from([whole, *list(VALID.values())[:30]])))
        for _ in range(draw(st.integers(0, 3))):
            place = draw(st.integers(0, len(text)))
            piece = draw(st.sampled_from(PIECES))
            text[place : place + draw(st.sampled_from([0, 0, 1, 1, 2, 9]))] = piece
        lines.append(bytes(text).replace(b"\n", b" "))
    return b"\n".join([*lines, b""])


PIECES = [
    *(bytes([value]) for value in b'{}[],:"\\-+.eE0123456789 \tnutf\x00\x7f\x80\xc3\xe2\xf0\xff'),
    *(b"", b"null", b"true", b"1.0", b"256", b"\\u0061", b"\\ud83d", b"\\ude00", b"[[1],[2]],", b",[1]", b"[]"),
    *(b'"word":"x",', b'"key_id":7,', b'"x":{"y":[]},', b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\r", b"NaN"),
]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(mutated_lines())
def test_mutated_lines_fare_as_with_the_slow_reader(text: bytes) -> None:
    assert_as_naive(text)


def test_every_single_byte_changed_fares_as_with_the_slow_reader() -> None:
    whole = line(word=r'"c\u0061t\ud83d\ude00é"', key_id="12", extra='[1.5e3,{"a":null}]')
    step = 1 if JIT else 17
    texts = [
        whole[:k] + bytes([c]) + whole[k + 1 :] for k in range(0, len(whole), step) for c in b'"\\,]}0-e.n\x80\xe2 '
    ]
    assert_as_naive(b"\n".join([*texts, b""]))


@settings(max_examples=EXAMPLES // 2, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.text(min_size=1), st.text() | st.none(), st.booleans(), st.integers(0, 2**64 - 1))))
def test_any_words_and_columns_survive_python_s_json(rows: list[tuple[str, str | None, bool, int]]) -> None:
    names = ("word", "countrycode", "recognized", "key_id")
    rows = [row for row in rows if not any(0xD800 <= ord(char) < 0xE000 for char in row[0] + (row[1] or ""))]
    rows = [row for row in rows if len(row[0].encode()) <= 256 and len((row[1] or "").encode()) <= 8]  # the limits
    lines = [json.dumps({**dict(zip(names, row, strict=True)), "drawing": [[[1], [2]]]}) for row in rows]
    plain = [json.dumps(json.loads(text), ensure_ascii=False) for text in lines]
    scanned = scan("".join(f"{text}\n" for text in lines + plain).encode())
    assert rejects(scanned) == []
    found = [tuple(record[name] for name in names) for record in records(scanned)]
    assert found == rows + rows
