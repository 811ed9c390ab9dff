"""Each limit of what is read, just below it, at it and above it, in every format that has the field."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.sources import limits
from pipeline.sources.notes import count_notes
from pipeline.sources.read import read_drawings
from pipeline.sources.readers import read_source, scan_source
from tests.sources.compressed_files import zstd
from tests.sources.other_kinds import kaggle_csv, read, sketch_rnn, source_of, stroke_3

DOCS = Path(__file__).parents[2] / "docs"
RAW = [[[0, 600, 300], [0, 9, 90], [0, 1, 2]]]
SIMPLIFIED = [[[0, 255, 7], [0, 9, 90]]]


def ndjson(path: Path, lines: list[dict[str, Any]]) -> Path:
    path = path / "mine.ndjson"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def escaped(path: Path, lines: list[dict[str, Any]]) -> Path:
    """ndjson in which every character beyond ASCII is an escape, which is longer than what it stands for."""
    path = path / "mine.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def raw(path: Path, lines: list[dict[str, Any]]) -> Path:
    return ndjson(path, [{**line, "drawing": RAW} for line in lines])


def array(path: Path, lines: list[dict[str, Any]]) -> Path:
    path = path / "mine.json"
    path.write_text(json.dumps(lines, ensure_ascii=False))
    return path


def csv(path: Path, lines: list[dict[str, Any]]) -> Path:
    path = path / "mine.csv"
    path.write_bytes(kaggle_csv(lines))
    return path


FORMATS = [ndjson, escaped, raw, array, csv]
Format = Callable[[Path, list[dict[str, Any]]], Path]


def notes_of(path: Path) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for chunk in read_source(source_of(path)):
        scanned = scan_source(source_of(path), chunk)
        count_notes(scanned, len(scanned.drawings), counted)
    return dict(counted)


def texts(most: int) -> tuple[list[str], list[str]]:
    """Texts that are as long as they may be or shorter, and longer ones, in letters of one to four bytes."""
    fit = ["a" * (most - 1), "a" * most, "é" * (most // 2), "猫" * (most // 3), "😀" * (most // 4)]
    return fit, ["a" * (most + 1), "é" * (most // 2 + 1), "猫" * (most // 3 + 1), "😀" * (most // 4 + 1)]


@pytest.mark.parametrize("write", FORMATS)
def test_a_word_may_have_256_bytes_of_utf8(tmp_path: Path, write: Format) -> None:
    fit, long = texts(limits.MAX_WORD_BYTES)
    path = write(tmp_path, [{"word": word, "key_id": "7", "drawing": SIMPLIFIED} for word in [*long, *fit]])
    drawings, rejects = read(path)
    assert [drawing["word"] for drawing in drawings] == fit
    assert {(one.reason, one.message) for one in rejects} == {("word-too-long", '"word" is longer than 256 bytes')}
    assert len(rejects) == len(long)


@pytest.mark.parametrize("write", FORMATS)
def test_a_country_code_of_more_than_8_bytes_is_null_and_counted(tmp_path: Path, write: Format) -> None:
    fit, long = texts(limits.MAX_COUNTRYCODE_BYTES)
    lines = [{"word": "a", "key_id": "7", "countrycode": code, "drawing": SIMPLIFIED} for code in [*long, *fit]]
    path = write(tmp_path, lines)
    assert [drawing["countrycode"] for drawing in read(path)[0]] == [None] * len(long) + fit
    assert notes_of(path) == {"countrycode-too-long": len(long)}
    with pytest.raises(InputError, match='"countrycode" is longer than 8 bytes'):
        read_drawings(path, strict=True)


@pytest.mark.parametrize("write", FORMATS)
def test_a_text_of_more_than_256_bytes_is_no_key_id(tmp_path: Path, write: Format) -> None:
    fit, long = texts(limits.MAX_KEY_ID_BYTES)
    keys = [None, *fit, *long]
    path = write(tmp_path, [{"word": "a", "key_id": key, "drawing": SIMPLIFIED} for key in keys])
    found = [drawing["key_id"] for drawing in read(path)[0]]
    assert len(set(found[: 1 + len(fit)])) == 1 + len(fit)
    assert set(found[1 + len(fit) :]) == {found[0]}  # that of the word and the strokes
    assert notes_of(path) == {"key_id-too-long": len(long)}
    (chunk,) = read_source(source_of(path))
    keyless = scan_source(source_of(path), chunk).keyless
    assert keyless is not None
    assert keyless.tolist() == [key is None or key in long for key in keys]


def test_zeros_before_a_key_id_count_for_nothing(tmp_path: Path) -> None:
    path = ndjson(tmp_path, [{"word": "a", "key_id": "0" * 999 + "7", "drawing": SIMPLIFIED}])
    assert [drawing["key_id"] for drawing in read(path)[0]] == [7]
    assert notes_of(path) == {}


@pytest.mark.parametrize("write", [ndjson, array, csv])
@pytest.mark.parametrize(("more", "fits"), [(-1, True), (0, True), (1, False)])
def test_a_raw_drawing_may_have_100_000_points(tmp_path: Path, write: Format, more: int, fits: bool) -> None:
    count = limits.MAX_RAW_POINTS + more
    drawing = [[[0] * (count - 1) + [600], [0] * count, [0] * count]]
    path = write(tmp_path, [{"word": "a", "key_id": "7", "drawing": drawing}])
    text = path.read_text().replace(", ", ",")  # otherwise the line is too long
    path.write_text(text)
    found, rejects = read(path)
    assert len(found) == fits
    message = "the drawing has more than 100000 points"
    assert [(one.reason, one.message) for one in rejects] == ([] if fits else [("too-many-points", message)])


@pytest.mark.parametrize(("more", "fits"), [(-1, True), (0, True), (1, False)])
def test_a_drawing_of_sketch_rnn_s_may_have_as_many(tmp_path: Path, more: int, fits: bool) -> None:
    count = limits.MAX_RAW_POINTS + more
    rows = np.zeros((count, 3), np.int16)
    points = np.random.default_rng(count).integers(0, 2, (count, 2))  # of zeros alone the file would look like a bomb
    rows[1:, :2] = np.diff(points, axis=0)
    rows[-1] = 600, 0, 1
    path = sketch_rnn(tmp_path / "cat.npz", train=[rows, stroke_3([([1, 2], [3, 4])])])
    found, rejects = read(path)
    assert len(found) == 1 + fits
    assert [one.reason for one in rejects] == ([] if fits else ["too-many-points"])


def test_a_zstd_window_of_more_than_128_mib_is_an_error_and_no_damage(tmp_path: Path) -> None:
    for log, fits in ((26, True), (27, True), (28, False)):
        path = tmp_path / "cat.ndjson"
        # A header without the size of the content, a window of 2**log, and an empty block.
        path.write_bytes(zstd(b"") + b"\x28\xb5\x2f\xfd\x00" + bytes([(log - 10) << 3]) + b"\x01\0\0")
        if fits:
            assert read(path) == ([], [])
        else:
            with pytest.raises(InputError, match=r"cat\.ndjson: its zstd frame at byte \d+ needs a window of 256 MiB"):
                read(path)


def test_the_table_in_the_docs_has_every_limit() -> None:
    table = (DOCS / "shards.md").read_text().partition("## Limits")[2].partition("\n## ")[0]
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", table)}
    spelled = {limits.MAX_LINE_BYTES: 1, limits.MAX_WINDOW_BYTES: 128}  # in MiB
    for name in dir(limits):
        if name.startswith("MAX_"):
            assert spelled.get(getattr(limits, name), getattr(limits, name)) in numbers, name
