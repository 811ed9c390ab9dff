import datetime
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.sample.doodles import SAMPLE_WORDS, key_id_of, sample_line, simplify, write_sample
from pipeline.sample.pen import Dice, arc, curve, line, ring, tremble

FIELDS = ["word", "countrycode", "timestamp", "recognized", "key_id", "drawing"]
# Ten drawings a class with seed 0, the files one after another. Another hash means other drawings for everyone who
# compares runs on the sample: change it only on purpose, and say so in the changelog.
SHA_256 = "49b75f25b07b014eeba1220d24a7f2e23fb5453145d79816539369a412eef98d"


@pytest.fixture(scope="module")
def sample() -> list[dict[str, Any]]:
    return [json.loads(sample_line(word, i)) for word in SAMPLE_WORDS for i in range(40)]


def hash_of(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def is_dot(stroke: list[list[int]]) -> bool:
    return len(stroke[0]) == 2 and stroke[0][0] == stroke[0][1] and stroke[1][0] == stroke[1][1]


def test_the_sample_of_seed_0_has_these_bytes(tmp_path: Path) -> None:
    assert hash_of(write_sample(tmp_path, drawings_per_class=10)) == SHA_256


def test_there_is_one_file_for_each_of_ten_words_and_nothing_else(tmp_path: Path) -> None:
    paths = write_sample(tmp_path / "new" / "folder", drawings_per_class=1)
    assert [path.name for path in paths] == [f"{word}.ndjson" for word in SAMPLE_WORDS]
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(paths)
    assert len(set(SAMPLE_WORDS)) == 10


def test_more_drawings_extend_the_same_files(tmp_path: Path) -> None:
    few = [path.read_bytes() for path in write_sample(tmp_path, drawings_per_class=2)]
    more = [path.read_bytes() for path in write_sample(tmp_path, drawings_per_class=3)]
    assert all(long.startswith(short) and long.count(b"\n") == 3 for short, long in zip(few, more, strict=True))


def test_another_seed_gives_other_drawings_and_other_key_ids() -> None:
    first, second = json.loads(sample_line("cat", 0, seed=0)), json.loads(sample_line("cat", 0, seed=1))
    assert first["drawing"] != second["drawing"]
    assert first["key_id"] != second["key_id"]


def test_a_line_has_the_bytes_that_google_would_write() -> None:
    text = sample_line("house", 0)
    assert text == json.dumps(json.loads(text), separators=(",", ":")) + "\n"
    assert text.isascii()


def test_every_line_has_the_six_fields_of_google_in_their_order(sample: list[dict[str, Any]]) -> None:
    for record in sample:
        assert list(record) == FIELDS
        assert record["word"] in SAMPLE_WORDS
        assert isinstance(record["recognized"], bool)
        assert re.fullmatch("[A-Z]{2}", record["countrycode"])
        assert re.fullmatch(r"2017-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,5} UTC", record["timestamp"])
        day = datetime.date.fromisoformat(record["timestamp"][:10])
        assert datetime.date(2017, 1, 23) <= day <= datetime.date(2017, 3, 29)


def test_every_stroke_has_as_many_x_as_y_between_0_and_255(sample: list[dict[str, Any]]) -> None:
    for record in sample:
        assert record["drawing"]
        for x, y in record["drawing"]:
            assert len(x) == len(y) >= 2
            assert all(type(value) is int and 0 <= value <= 255 for value in x + y)


def test_most_drawings_fill_the_frame_and_some_do_not(sample: list[dict[str, Any]]) -> None:
    ends = [[value for stroke in record["drawing"] for axis in stroke for value in axis] for record in sample]
    assert 0.8 < np.mean([max(values) == 255 for values in ends]) < 1
    assert 0.8 < np.mean([min(values) == 0 for values in ends]) <= 1


def test_dots_unrecognized_and_one_stroke_drawings_are_there_and_rare(sample: list[dict[str, Any]]) -> None:
    for share in (
        np.mean([any(is_dot(stroke) for stroke in record["drawing"]) for record in sample]),
        np.mean([not record["recognized"] for record in sample]),
        np.mean([len(record["drawing"]) == 1 for record in sample]),
    ):
        assert 0 < share < 0.3


def test_key_ids_are_multiples_of_2_to_the_21_and_no_two_are_the_same() -> None:
    keys = [key_id_of(seed, number) for seed in (0, 1, -1) for number in range(2000)]
    assert len(set(keys)) == len(keys)
    assert all(key % 2**21 == 0 and 0 < key < 2**63 for key in keys)


def test_a_sample_is_written_again_with_the_same_bytes_over_what_was_there(tmp_path: Path) -> None:
    first = hash_of(write_sample(tmp_path, drawings_per_class=1))
    (tmp_path / "cat.ndjson").write_text("something else")
    (tmp_path / ".dog.ndjson.partial").write_text("of an older version")
    (tmp_path / ".cat.ndjson.partial").write_text("half a line, of a run that was killed")
    assert hash_of(write_sample(tmp_path, drawings_per_class=1)) == first
    assert not (tmp_path / ".cat.ndjson.partial").exists()


def test_an_error_while_writing_leaves_the_old_file_and_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    paths = write_sample(tmp_path, drawings_per_class=1)
    before = hash_of(paths)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_sample(tmp_path, drawings_per_class=2)
    assert hash_of(paths) == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_drawing_a_class_is_refused_before_anything_is_made(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match=f"drawings_per_class must be 1 or more, not {count}"):
        write_sample(tmp_path / "sample", drawings_per_class=count)
    assert not (tmp_path / "sample").exists()


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([(0, 0), (5, 1), (10, 0)], [(0, 0), (10, 0)]),
        ([(0, 0), (5, 2), (10, 0)], [(0, 0), (10, 0)]),
        ([(0, 0), (5, 3), (10, 0)], [(0, 0), (5, 3), (10, 0)]),
        ([(0, 0), (9, 0), (9, 9), (0, 9), (0, 0)], [(0, 0), (9, 0), (9, 9), (0, 9), (0, 0)]),
        ([(7, 7), (8, 7), (7, 7)], [(7, 7), (7, 7)]),
        ([(7, 7), (7, 7)], [(7, 7), (7, 7)]),
    ],
)
def test_simplifying_leaves_out_what_lies_within_2_of_the_line(
    points: list[tuple[int, int]], kept: list[tuple[int, int]]
) -> None:
    assert simplify(points) == kept


@pytest.mark.parametrize(
    "draw",
    [
        lambda _: line((0, 0), (1, 0), (1, 0.5)),
        lambda _: arc(0, 0, 1, 0.5, 0.2, 0.9),
        lambda _: curve((0, 0), (1, 0), (1, 1), (0, 0)),
        lambda dice: ring(dice, 0, 0, 1, 1),
        lambda dice: tremble(dice, line((0, 0), (1, 1)), 3, 0.1),
    ],
)
def test_a_stroke_of_the_pen_has_no_leaps(draw: Callable[[Dice], np.ndarray]) -> None:
    stroke = draw(Dice("seed"))
    assert stroke.shape[0] == 2
    assert np.abs(np.diff(stroke, axis=1)).max() < 0.3


def test_dice_stay_within_their_bounds_and_shuffle_everything() -> None:
    dice = Dice("seed")
    assert {dice.count(2, 4) for _ in range(50)} == {2, 3, 4}
    assert all(-3 <= dice.around(0, 1) <= 3 for _ in range(50))
    assert sorted(dice.shuffled("abcde")) == list("abcde")
    assert Dice("seed").roll() != Dice("other").roll()
