"""Kaggle's csv is read as the ndjson that it was made of."""

import gzip
import json
import random
from pathlib import Path

import pytest

from pipeline.sources.compressed import BrokenStreamError
from pipeline.sources.converters.csv_table import csv_columns, csv_lines
from pipeline.sources.read import read_drawings
from tests.sources.naive_ndjson import parse_text
from tests.sources.other_kinds import KAGGLE, LINES, kaggle_csv, read, refused

EXPECTED = parse_text("".join(json.dumps(line) + "\n" for line in LINES).encode())[0]


def convert(text: bytes, piece: int) -> tuple[bytes, str]:
    """The lines of a table that is read in pieces, and what is wrong with its end."""
    lines = b""
    try:
        for some in csv_lines(text[k : k + piece] for k in range(0, len(text), piece)):
            lines += some
    except BrokenStreamError as error:
        return lines, str(error)
    return lines, ""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "columns", [KAGGLE, KAGGLE[::-1], ("word", "drawing", "key_id", "timestamp", "countrycode", "recognized")]
)
def test_a_table_holds_the_drawings_of_its_ndjson(tmp_path: Path, end: str, columns: tuple[str, ...]) -> None:
    text = kaggle_csv(LINES, columns, end)
    (tmp_path / "cat.csv").write_bytes(text)
    (tmp_path / "cat.csv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + text)
    for file in tmp_path.iterdir():
        assert read(file) == (EXPECTED, [])
    for piece in (1, 2, 7, 100):
        assert convert(text, piece) == convert(text, len(text))


def test_real_drawings_are_the_same_from_both_files(quickdraw: Path, tmp_path: Path) -> None:
    name = "The Eiffel Tower"
    lines = [json.loads(line) for line in (quickdraw / "simplified" / f"{name}.ndjson").read_text().splitlines()]
    (tmp_path / f"{name}.csv").write_bytes(kaggle_csv(lines))
    from_csv, from_ndjson = (
        read_drawings(folder / f"{name}.{end}")
        for folder, end in ((tmp_path, "csv"), (quickdraw / "simplified", "ndjson"))
    )
    assert len(from_csv) == len(lines)
    for field in ("x", "y", "stroke_end", "drawing_end", "key_id", "recognized", "timestamp"):
        assert getattr(from_csv, field).tobytes() == getattr(from_ndjson, field).tobytes()
    assert from_csv.words == from_ndjson.words
    assert [from_csv.countrycodes[k] for k in from_csv.countrycode] == [
        from_ndjson.countrycodes[k] for k in from_ndjson.countrycode
    ]


def test_values_that_are_missing_or_of_another_kind_stay_what_they_are() -> None:
    text = (
        b"word,drawing,key_id,recognized,timestamp,countrycode,mood\n"
        b'cat,"[[[1,2],[3,4]]]",,,,,\n'
        b'"a ""b"", c\nd\te","[{""x"": [1]}]",abc,1,2017-03-08,"",\xc3\xa9"\n'
        b'cat,"[[[1,2]],""word"":[[3]]]",7,FALSE,2017-03-08T21:12:07,NA,x\n'
        b',"[[[1,2],[3,4]]],[[1],[2]]",-1,no,0,x,y\n'
    )
    text = text.replace(b'\xc3\xa9"', b'"\xc3\xa9"')
    names = ("word", "drawing", "key_id", "recognized", "timestamp", "countrycode", "mood")
    rows = [json.loads(line) for line in convert(text, 50)[0].splitlines() if line]
    assert [tuple(row) for row in rows] == [names] * 4
    assert [tuple(row.values()) for row in rows] == [
        ("cat", [[[1, 2], [3, 4]]], None, None, None, None, None),
        ('a "b", c\nd\te', '[{"x": [1]}]', "abc", "1", "2017-03-08", None, "é"),
        ("cat", '[[[1,2]],"word":[[3]]]', "7", False, "2017-03-08T21:12:07", "NA", "x"),
        ("", "[[[1,2],[3,4]]],[[1],[2]]", "-1", "no", "0", "x", "y"),
    ]


def test_a_reject_names_the_line_of_the_table(tmp_path: Path) -> None:
    text = kaggle_csv(LINES).splitlines(keepends=True)
    text[2] = text[2].replace(b"back\\slash", b'"two\nlines"')
    text[3:3] = [
        b"\n",
        b"DE,1\n",
        b"DE,[[[1,2],[3,4]]],1,True,,cat\n",
        b'DE,"[[[1,2],[3,4]]],1,True,,cat\n',
        b"a,b,c,d,e,f,g\n",
    ]
    (tmp_path / "cat.csv").write_bytes(b"".join(text))
    found, rejects = read(tmp_path / "cat.csv")
    assert [one["word"] for one in found] == [line["word"].replace("back\\slash", "two\nlines") for line in LINES]
    assert [(reject.line, reject.reason) for reject in rejects] == [(k, "truncated") for k in (6, 7, 8, 9)]


def test_a_table_cut_short_at_any_byte_is_not_misread() -> None:
    for columns in (KAGGLE, KAGGLE[::-1]):
        text = kaggle_csv(LINES, columns)
        start = text.index(b"\n") + 1
        ends = [k + 1 for k in range(start, len(text)) if text[k : k + 1] == b"\n"]
        for cut in range(start, len(text)):
            lines, damage = convert(text[:cut], 64)
            found, bad = parse_text(lines)
            assert found == EXPECTED[: sum(end <= cut for end in ends)]
            assert bool(bad) == bool(damage) == (cut not in (start, *ends))


def test_changed_bytes_cost_their_lines_and_no_traceback() -> None:
    text = kaggle_csv(LINES * 4)
    start = text.index(b"\n") + 1
    chance = random.Random(0)
    for _ in range(300):
        place = chance.randrange(start, len(text))
        changed = text[:place] + chance.choice([b'"', b",", b"\n", b"\r", b"[", b"\0", b"\xff"]) + text[place + 1 :]
        lines, _ = convert(changed, 200)
        found, _ = parse_text(lines)
        assert len(found) >= len(LINES) * 4 - 3
        assert convert(changed, 13)[0] == lines


def test_a_line_without_end_is_damage_and_takes_no_memory() -> None:
    text = b"word,drawing\n" + b"x" * (5 << 20)
    lines, damage = convert(text, 1 << 18)
    assert lines == b"\n"
    assert "longer than 1048576 bytes" in damage
    text = b'word,drawing\n"' + b"x" * (3 << 19) + b'\ncat,"[[[1],[2]]]"\n'
    lines, damage = convert(text, 1 << 18)
    assert parse_text(lines)[0][0]["word"] == "cat"
    assert not damage


@pytest.mark.parametrize(
    "header", ["drawing\n", "word;drawing\n", "a,b\n", "word,drawing,word\n", "word,drawing", "word,strokes\n", '"\n']
)
def test_other_headers_are_not_kaggle_s(header: str) -> None:
    assert csv_columns(header.encode()) is None


def test_another_table_is_refused_with_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,cat\n")
    assert "a table (csv) that is not Kaggle's: expected a first line with the names drawing" in refused(
        tmp_path / "a.csv"
    )


def test_pieces_of_any_bytes_give_the_same_lines() -> None:
    chance = random.Random(1)
    for _ in range(2000):
        text = b"word,drawing,key_id\n" + bytes(
            chance.choice(b'",\n\r[]1,a\\\x01') for _ in range(chance.randrange(60))
        )
        assert convert(text, 1000) == convert(text, 1) == convert(text, chance.randrange(2, 9))
