import itertools

import numpy as np
import pytest

from pipeline.drawings import Drawings, concat, from_strokes
from pipeline.packed import PackedDrawings, assemble, join, without_strokes
from pipeline.shards.schema import pack_table, to_table

COLUMNS = ("x", "y", "stroke_end", "drawing_end", "word")


@pytest.fixture
def drawings() -> Drawings:
    """40 drawings of random strokes."""
    random = np.random.default_rng(4)
    strokes = [
        [random.integers(0, 256, (2, points)).tolist() for points in random.integers(1, 6, count)]
        for count in random.integers(1, 5, 40)
    ]
    return from_strokes(strokes, [["ant", "bee", "cat"][k % 3] for k in range(40)])


def pack(drawings: Drawings) -> PackedDrawings:
    return pack_table(to_table(drawings))


def assert_same(packed: PackedDrawings, expected: Drawings) -> None:
    found = packed.unpack(expected.words)
    assert found.words == expected.words
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype


def test_what_is_packed_comes_out_as_it_was(drawings: Drawings) -> None:
    assert_same(pack(drawings), drawings)
    for start, stop in ((0, 40), (3, 9), (39, 40), (7, 7), (40, 40)):
        assert_same(pack(drawings).slice(start, stop), drawings.slice(start, stop))


def test_joined_parts_are_the_whole_even_where_they_begin_within_others(drawings: Drawings) -> None:
    packed = pack(drawings)
    for cuts in ([0, 40], [0, 1, 40], [0, 0, 13, 13, 39, 40, 40]):
        assert_same(join(packed.slice(start, stop) for start, stop in itertools.pairwise(cuts)), drawings)


def test_assembled_drawings_stand_at_their_places(drawings: Drawings) -> None:
    order = np.random.default_rng(5).permutation(40)
    first, second = pack(drawings.slice(0, 15)), pack(drawings).slice(15, 40)
    parts = [
        (part, order[places] - start, places)
        for part, start, places in ((first, 0, np.flatnonzero(order < 15)), (second, 15, np.flatnonzero(order >= 15)))
    ]
    assert_same(assemble(parts, 40), drawings.take(order))


def test_a_drawing_may_be_taken_again_and_a_place_left_empty(drawings: Drawings) -> None:
    found = assemble([(pack(drawings), np.array([7, 7, 2]), np.array([3, 0, 4]))], 6)
    taken, empty = drawings.take(np.array([7, 2])), from_strokes([[]], ["ant"])  # of label 0
    assert_same(found, concat([taken.slice(0, 1), empty, empty, taken, empty]))


def test_drawings_without_strokes_keep_places_and_are_not_sound(drawings: Drawings) -> None:
    assert pack(drawings).is_sound()
    nothing = without_strokes(3)
    assert (len(nothing), nothing.is_sound()) == (3, False)
    joined = join([nothing, pack(drawings)])
    assert len(joined) == 43
    assert_same(joined.slice(3, 43), drawings)
