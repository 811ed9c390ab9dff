"""JSON arrays and pretty-printed drawings are read as ndjson is."""

import gzip
import itertools
import json
from pathlib import Path

import pytest
import zstandard

from pipeline.sources.chunks import BLOCK_BYTES
from pipeline.sources.compressed import BrokenStreamError
from pipeline.sources.converters.json_text import json_lines, json_mode
from tests.sources.naive_ndjson import parse_text
from tests.sources.other_kinds import JSON, LINES, read

EXPECTED = parse_text("".join(json.dumps(line) + "\n" for line in LINES).encode())[0]


def convert(text: bytes, piece: int) -> tuple[bytes, bool]:
    """The lines of a JSON text that is read in pieces, and whether it is cut short."""
    mode, lines = json_mode(text), b""
    assert mode is not None
    try:
        for some in json_lines((text[k : k + piece] for k in range(0, len(text), piece)), mode):
            lines += some
    except BrokenStreamError:
        return lines, True
    return lines, False


@pytest.mark.parametrize("name", JSON)
def test_every_form_of_json_holds_the_same_drawings(tmp_path: Path, name: str) -> None:
    text = JSON[name].encode()
    (tmp_path / "cat.json").write_bytes(text)
    (tmp_path / "cat.ndjson").write_bytes(gzip.compress(text))
    (tmp_path / "cat.jsonl").write_bytes(zstandard.compress(text))
    for file in tmp_path.iterdir():
        assert read(file) == (EXPECTED, [])


@pytest.mark.parametrize("name", JSON)
def test_pieces_of_any_size_give_the_same_lines(name: str) -> None:
    text = JSON[name].encode()
    whole = convert(text, len(text))
    assert [convert(text, piece) for piece in (1, 2, 3, 7, 64)] == [whole] * 5
    assert parse_text(whole[0]) == (EXPECTED, [])


@pytest.mark.parametrize("name", ["an array in one line", "an object a line", "pretty-printed", "under a key"])
def test_an_array_cut_short_at_any_byte_keeps_the_whole_drawings_and_tells_it(name: str) -> None:
    text = JSON[name].rstrip().encode()
    ends = [k + 1 for k in range(len(text)) if text[: k + 1].endswith((b"}", b"} ]")) and b"]]" in text[: k + 1]]
    for cut in range(text.index(b'"drawing"') + 12, len(text)):
        if json_mode(text[:cut]) is None:
            continue
        lines, is_cut = convert(text[:cut], 100)
        found, bad = parse_text(lines)
        assert found == EXPECTED[: len(found)]
        assert len(found) >= sum(end <= cut for end in ends[: len(LINES)]) - 1
        assert is_cut
        assert len(bad) <= 1


def test_the_damaged_end_of_an_array_is_a_reject(tmp_path: Path) -> None:
    text = JSON["an array in one line"].encode()
    (tmp_path / "cat.json").write_bytes(text[:-1])
    found, rejects = read(tmp_path / "cat.json")
    assert found == EXPECTED
    assert [reject.reason for reject in rejects] == ["damaged-file"]
    assert f"its JSON is cut short at byte {len(text) - 1}; fetch the file anew" in rejects[0].message
    packed = gzip.compress(text)
    (tmp_path / "cat.json").write_bytes(packed[:-12])
    found, rejects = read(tmp_path / "cat.json")
    assert found == EXPECTED[: len(found)]
    assert rejects[-1].message.startswith("its gzip stream is cut short at byte")


def test_a_reject_names_the_line_of_the_file(tmp_path: Path) -> None:
    rows = [json.dumps(line) for line in LINES]
    rows[2] = '{"word": 5, "drawing": [[[1], [2]]]}'
    (tmp_path / "a.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
    assert [(one.line, one.reason) for one in read(tmp_path / "a.json")[1]] == [(4, "wrong-type")]
    rows = [json.dumps(line, indent=1) for line in LINES]
    rows[2] = '{\n"word": 5, "drawing": [[[1], [2]]]}'
    text = "[\n" + ",\n".join(rows) + "\n]\n"
    (tmp_path / "a.json").write_text(text)
    line = text[: text.index('{\n"word": 5')].count("\n") + 1
    assert [(one.line, one.reason) for one in read(tmp_path / "a.json")[1]] == [(line, "wrong-type")]
    (tmp_path / "a.json").write_text("[" + json.dumps(LINES[0]) + ", 1, " + json.dumps(LINES[1]) + "]")
    assert [(one.line, one.reason) for one in read(tmp_path / "a.json")[1]] == [(2, "not-an-object")]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"word": "cat", "drawing": [[[1,2],[3,4]]',  # each is followed by a comma and a newline
        b'{"word": "cat", "drawing": [[[1,2],[3,4]',
        b'{"word": "cat", "drawing": [[[1,2],[3,4]]}',
        b'{"word": "cat, "drawing": [[[1,2],[3,4]]]}',
        b'{"word": "cat", "drawing": [[[1,2],[3,4]]]]}',
        b'{"word": "cat", "drawing": [[[1,2],',
        b'{"word": "cat"',
        b"{",
        b'"text", 5, null, [[1], [2]]',
    ],
)
def test_a_broken_element_costs_no_other(broken: bytes) -> None:
    rows = [json.dumps(line).encode() for line in LINES]
    text = b"[\n" + b",\n".join([*rows[:2], broken, *rows[2:]]) + b"\n]\n"
    lines, _ = convert(text, 1000)
    found, bad = parse_text(lines)
    assert found == EXPECTED
    assert bad


@pytest.mark.parametrize(
    "broken",
    [
        b'{"word": "cat", "drawing": [[[1,2],[3,4]]}',
        b'{"word": "cat, "drawing": [[[1,2],[3,4]]]}',
        b'{"word: "cat", "drawing": [[[1,2],[3,4]]]}',
        b'{"word": "cat"',
        b"{",
    ],
)
def test_a_broken_element_in_an_array_of_one_line_costs_no_other(broken: bytes) -> None:
    rows = [json.dumps(line).encode() for line in LINES]
    for separator in (b", ", b","):
        found, bad = parse_text(convert(b"[" + separator.join([*rows[:2], broken, *rows[2:]]) + b"]", 1000)[0])
        assert found == EXPECTED
        assert bad


def test_what_follows_an_array_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(JSON["an array in one line"] + "\ngarbage ] }\n")
    found, rejects = read(tmp_path / "a.json")
    assert found == EXPECTED
    assert {reject.reason for reject in rejects} == {"not-an-object"}


@pytest.mark.parametrize(
    "text",
    [
        b'{"word": "cat", "drawing": [{"x": [1], "y": [2]}]}\n',
        b'{"drawing": [{"x": [1], "y": [2]}], "word": "cat"}\n',
        b'{"strokes": [{"points": 3}], "drawing": [[[1], [2]]], "word": "cat"}\n',
        b'{"word": "cat",\n{"word": "cat", "drawing": [[[1], [2]]]}\n',
        b'{"word": "cat", "drawing": [[[1,\n{"word": "cat"}\n',
        b"{\n{}\n",
        b"[1, 2]\n{}\n",
        b"",
        b"\n\n{}",
        b"text",
    ],
)
def test_lines_of_json_stay_lines(text: bytes) -> None:
    assert json_mode(text) is None


def test_a_large_array_in_one_line_is_read_in_chunks(tmp_path: Path) -> None:
    lines = [{**LINES[3], "key_id": str(k)} for k in range(12_000)]
    (tmp_path / "cat.json").write_text(json.dumps(lines))
    assert (tmp_path / "cat.json").stat().st_size > 1.5 * BLOCK_BYTES
    found, rejects = read(tmp_path / "cat.json", chunk_bytes=BLOCK_BYTES)
    assert [one["key_id"] for one in found] == list(range(12_000))
    assert rejects == []


def test_any_bytes_are_converted_within_the_memory_that_is_given() -> None:
    for parts in itertools.product((b"{", b"[", b"]", b"\n", b'"', b",", b"1"), repeat=4):
        text = b'[{"a":1}' + b"".join(parts) * 3
        assert len(convert(text, 5)[0]) <= 2 * len(text)
        assert convert(text, 1) == convert(text, 1000)
