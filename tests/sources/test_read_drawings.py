import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.drawings import Drawings
from pipeline.errors import InputError
from pipeline.shards.library import build_shards
from pipeline.sources.chunks import CHUNK_BYTES
from pipeline.sources.read import read_drawings
from tests.shards.builds import record, records, write
from tests.sources.compressed_files import zstd
from tests.sources.naive_binary import pack

LONG = "x" * 4000
LINES_OF_A_CHUNK = CHUNK_BYTES // len(LONG)
RAW = {"word": "cat", "key_id": "77", "drawing": [[[0.5, 100.5, 200.5], [0.5, 60.5, 10.5], [0, 10, 20]]]}


def words_of(drawings: Drawings) -> list[str]:
    return [drawing.word for drawing in drawings]


@pytest.mark.filterwarnings("ignore:.*each stroke has two points")  # as in these small drawings
def test_every_format_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    lines = records("cat", range(300))
    (tmp_path / "a.ndjson").write_bytes(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(records("dog", range(300, 500), countrycode="DE")))
    (tmp_path / "c.ndjson.zst").write_bytes(zstd(records("ant", range(500, 600), countrycode="US")))
    (tmp_path / "full_binary_hot%20dog.bin").write_bytes(pack(9 << 21, strokes=[[[1, 2], [3, 4]]]))
    (tmp_path / "raw.ndjson").write_text(json.dumps(RAW) + "\n")
    drawings = read_drawings(tmp_path)
    assert words_of(drawings) == ["cat"] * 300 + ["dog"] * 200 + ["ant"] * 100 + ["hot dog", "cat"]
    assert drawings.words == ["ant", "cat", "dog", "hot dog"]
    codes = [None if code < 0 else drawings.countrycodes[code] for code in drawings.countrycode.tolist()]
    assert codes[:300] + codes[300:500] + codes[500:600] == [None] * 300 + ["DE"] * 200 + ["US"] * 100
    assert drawings[4].strokes == [[[4, 7], [0, 9]]]
    assert drawings[-2].strokes == [[[1, 2], [3, 4]]]
    assert drawings[-1].strokes[0][0][0] == 0
    assert max(drawings[-1].strokes[0][0]) == 255
    one_by_one = read_drawings([str(tmp_path / "a.ndjson"), tmp_path / "*.gz"])
    np.testing.assert_array_equal(one_by_one.key_id, drawings.key_id[:500])


@pytest.mark.filterwarnings("ignore:.*each stroke has two points")  # as in these small drawings
def test_chunks_of_one_file_are_joined(tmp_path: Path) -> None:
    words = [f"word {k * k % 7}" for k in range(2 * LINES_OF_A_CHUNK)]
    (tmp_path / "many.ndjson").write_bytes(b"".join(record(word, k, more=LONG) for k, word in enumerate(words)))
    assert words_of(read_drawings(tmp_path / "many.ndjson")) == words


def test_rejects_are_left_out_and_said_or_are_errors(tmp_path: Path) -> None:
    good = record("cat", 1)
    folder = write(tmp_path / "sketches", cat=good + b"{}\n" + good + b"[]\n", dog=record("dog", 2))
    message = r'cat.ndjson: 2 lines rejected; the first: sketches/cat.ndjson:2: "word" is missing'
    with pytest.warns(UserWarning, match=message) as said:
        assert words_of(read_drawings(folder)) == ["cat", "cat", "dog"]
    assert len(said) == 1
    assert said[0].filename == __file__
    with pytest.raises(InputError, match=r'sketches/cat.ndjson:2: "word" is missing'):
        read_drawings(folder, strict=True)


def test_what_a_folder_holds_beside_sources_is_a_warning_at_the_caller(tmp_path: Path) -> None:
    folder = write(tmp_path, cat=record("cat", 1))
    (folder / "notes.txt").touch()
    for read in (lambda: read_drawings(folder), lambda: build_shards(folder, tmp_path / "out")):
        with pytest.warns(UserWarning, match=r"^passed over in .*: 1 \.txt$") as said:
            read()
        assert [one.filename for one in said] == [__file__]


def test_a_source_without_a_drawing_is_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path, cat=record("cat", 1), dog=b"{}\n", empty=b"\n")
    with pytest.raises(InputError, match=r'dog.ndjson: no drawing in it.*dog.ndjson:1: "word" is missing'):
        read_drawings(folder)
    with pytest.raises(InputError, match=r"empty.ndjson: no drawing in it.*it has no lines"):
        read_drawings(folder / "empty.ndjson")
    with pytest.raises(InputError, match="nothing: no such file or folder"):
        read_drawings(folder / "nothing")


def test_only_the_classes_asked_for_are_taken(tmp_path: Path) -> None:
    mixed = record("dog", 3) + record("cat", 4) + record("ant", 5)
    folder = write(tmp_path, cat=records("cat", range(10, 14)), hot__dog=records("hot dog", range(20, 23)), mixed=mixed)
    drawings = read_drawings(folder, classes=["dog", "cat"])
    assert words_of(drawings) == ["cat"] * 4 + ["dog", "cat"]
    assert drawings.words == ["cat", "dog"]
    assert words_of(read_drawings(folder, classes=["ant"])) == ["ant"]
    with pytest.raises(
        InputError, match="class \"dgo\": no drawing of it in the sources; did you mean 'dragon' or 'dog'"
    ):
        read_drawings(folder, classes=["dgo", "cat"])


def test_a_file_of_another_word_is_not_read_to_its_end(tmp_path: Path) -> None:
    cats = b"".join(record("cat", k, more=LONG) for k in range(2 * LINES_OF_A_CHUNK))
    folder = write(tmp_path, cat=cats + b"{}\n", dog=record("dog", 1))
    assert words_of(read_drawings(folder, classes=["dog"], strict=True)) == ["dog"]
