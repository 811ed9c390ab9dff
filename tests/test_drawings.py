import itertools

import numpy as np
import pytest

from pipeline.drawings import Drawings, concat, from_strokes
from pipeline.errors import UsageError

STROKES = [
    [[[1, 2, 3], [4, 5, 6]], [[7], [8]]],
    [[[0, 255], [255, 0]]],
    [[[9], [9]], [[8], [8]], [[7, 7], [6, 6]]],
    [[[200, 100], [50, 25]]],
]
WORDS = ["dog", "cat", "dog", "ant"]


@pytest.fixture
def drawings() -> Drawings:
    drawings = from_strokes(STROKES, WORDS)
    drawings.recognized[:] = [1, 0, -1, 1]
    drawings.countrycodes.extend(["DE", "US"])
    drawings.countrycode[:] = [1, 0, -1, 1]
    drawings.timestamp[1] = np.datetime64("2017-03-02T23:25:10")
    return drawings


def as_lists(drawings: Drawings) -> list[tuple[object, ...]]:
    columns = (drawings.key_id, drawings.word, drawings.recognized, drawings.countrycode, drawings.timestamp)
    return [(drawings.strokes(k), *(str(column[k]) for column in columns)) for k in range(len(drawings))]


def test_strokes_come_back_as_google_writes_them(drawings: Drawings) -> None:
    assert [drawings.strokes(k) for k in range(4)] == STROKES
    assert [drawings.words[k] for k in drawings.word] == WORDS


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [3, 1, 1], [2], [], [0, 0, 0, 3, 2, 1, 0]])
def test_take_gives_the_drawings_at_rows_in_their_order(drawings: Drawings, rows: list[int]) -> None:
    taken = drawings.take(np.array(rows, np.int64))
    assert as_lists(taken) == [as_lists(drawings)[row] for row in rows]
    assert len(taken.x) == len(taken.y) == (taken.stroke_end[-1] if rows else 0)


def test_take_of_random_rows_is_that_of_lists() -> None:
    random = np.random.default_rng(4)
    strokes = [
        [random.integers(0, 256, (2, points)).tolist() for points in random.integers(1, 6, count)]
        for count in random.integers(1, 5, 40)
    ]
    drawings = from_strokes(strokes, ["cat"] * 40)
    rows = random.integers(0, 40, 100)
    taken = drawings.take(rows)
    assert [taken.strokes(k) for k in range(100)] == [strokes[row] for row in rows]


def test_drawings_without_strokes_are_carried_along() -> None:
    drawings = from_strokes([[], STROKES[0], [], STROKES[1], []], ["a"] * 5)
    taken = drawings.take(np.array([4, 3, 2, 1, 0, 0]))
    assert [taken.strokes(k) for k in range(6)] == [[], STROKES[1], [], STROKES[0], [], []]
    assert [drawings.slice(0, 2).strokes(k) for k in range(2)] == [[], STROKES[0]]
    assert drawings.slice(2, 5).strokes(1) == STROKES[1]


@pytest.mark.parametrize("rows", [[4], [-1], [0, 9]])
def test_rows_that_are_not_there_are_refused(drawings: Drawings, rows: list[int]) -> None:
    with pytest.raises(IndexError, match=r"rows must lie in 0\.\.3"):
        drawings.take(np.array(rows))


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (0, 0), (1, 3), (2, 4), (3, 4), (4, 4)])
def test_a_slice_is_a_view_of_the_drawings_between(drawings: Drawings, start: int, stop: int) -> None:
    part = drawings.slice(start, stop)
    assert as_lists(part) == as_lists(drawings)[start:stop]
    assert not len(part) or np.shares_memory(part.x, drawings.x)
    assert as_lists(part.take(np.arange(stop - start)[::-1])) == as_lists(drawings)[start:stop][::-1]


def test_parts_joined_are_the_whole(drawings: Drawings) -> None:
    for cuts in ([0, 4], [0, 1, 4], [0, 0, 2, 2, 3, 4, 4]):
        parts = [drawings.slice(start, stop) for start, stop in itertools.pairwise(cuts)]
        assert as_lists(concat(parts)) == as_lists(drawings)


def test_offsets_keep_64_bits_through_take_and_concat(drawings: Drawings) -> None:
    for part in (drawings, drawings.take(np.array([1])), concat([drawings, drawings]), drawings.slice(0, 0)):
        assert part.stroke_end.dtype == part.drawing_end.dtype == np.int64
        assert part.x.dtype == part.y.dtype == np.uint8


def test_an_index_gives_one_drawing_and_a_slice_drawings(drawings: Drawings) -> None:
    first = drawings[0]
    assert (first.word, first.key_id, first.recognized, first.strokes) == ("dog", 1 << 21, True, STROKES[0])
    assert [drawing.recognized for drawing in drawings] == [True, False, None, True]
    assert drawings[-1] == drawings[3] == list(drawings)[3]
    for part in (drawings[1:3], drawings[::-1], drawings[4:], drawings[-2:]):
        assert isinstance(part, Drawings)
    assert [as_lists(drawings)[k] for k in (3, 1)] == as_lists(drawings[3::-2])
    assert drawings.strokes(-1) == STROKES[3]
    for wrong in (4, -5):
        for get in (drawings.strokes, drawings.__getitem__):
            with pytest.raises(IndexError, match=f"drawing {wrong}: there are 4 drawings"):
                get(wrong)


def test_drawings_are_shown_by_their_numbers(drawings: Drawings) -> None:
    assert repr(drawings) == "Drawings(4 drawings, 3 words, 12 points)"
    assert repr(drawings[:1]) == "Drawings(1 drawing, 1 word, 4 points)"
    assert repr(drawings[0]) == 'Drawing("dog", key_id=2097152, 2 strokes, 4 points)'


def test_concat_merges_vocabularies_that_differ(drawings: Drawings) -> None:
    other = from_strokes(STROKES[:3], ["bee", "cat", "dog"])
    other.countrycodes.extend(["FR", "US"])
    other.countrycode[:] = [0, -1, 1]
    joined = concat([drawings, other, drawings[:0]])
    assert [joined.words[k] for k in joined.word] == [*WORDS, "bee", "cat", "dog"]
    codes = [None if k < 0 else joined.countrycodes[k] for k in joined.countrycode.tolist()]
    assert codes == ["US", "DE", None, "US", "FR", None, "US"]
    assert len(set(joined.words)) == len(joined.words)


@pytest.mark.parametrize(
    "stroke", [[[1, 2], [3, 4], [5, 6], [7, 8]], [[0, 1], [2]], [[0.5], [1]], [[256], [0]], [[-1], [0]]]
)
def test_strokes_that_would_be_misread_are_refused(stroke: list[list[int]]) -> None:
    with pytest.raises(UsageError, match="expected "):
        from_strokes([[stroke]], ["cat"])
