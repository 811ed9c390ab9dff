import numba
import numpy as np
import pytest

from pipeline.drawings import Drawings, from_strokes
from pipeline.shards.records import HEADER_BYTES, duplicates, gather, index, record_sizes, scatter

COUNT = 200 if not numba.config.DISABLE_JIT else 30
Strokes = list[list[list[int]]]


def random_strokes(random: np.random.Generator) -> Strokes:
    """Strokes of 1 to 40 points, so that eight bytes at a time leave every rest."""
    return [
        random.integers(0, 256, (2, int(points))).tolist() for points in random.integers(1, 41, random.integers(1, 6))
    ]


def random_drawings(count: int, seed: int) -> Drawings:
    random = np.random.default_rng(seed)
    drawings = from_strokes([random_strokes(random) for _ in range(count)], ["cat", "dog"] * (count // 2))
    drawings.key_id[:] = random.integers(0, 2**64, count, np.uint64)
    drawings.recognized[:] = random.integers(-1, 2, count)
    drawings.countrycode[:] = random.integers(-1, 300, count)
    stamps = random.integers(-(2**63), 2**63, count)
    drawings.timestamp[:] = np.where(random.random(count) < 0.3, -(2**63), stamps).view("datetime64[us]")
    return drawings


def packed(drawings: Drawings, partition: np.ndarray, source: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """The blob of all wanted drawings, partition after partition, and the end of each partition."""
    sizes = record_sizes(drawings)
    wanted = partition >= 0
    bytes_of = np.bincount(partition[wanted], sizes[wanted]).astype(np.int64)
    ends = np.cumsum(bytes_of)
    blob = np.full(ends[-1] // 8, 0xA5A5A5A5A5A5A5A5, np.uint64)  # what padding must overwrite
    scatter(drawings, source, partition, ends - bytes_of, blob)
    return blob, ends


def as_rows(drawings: Drawings) -> list[tuple[object, ...]]:
    columns = zip(
        drawings.key_id.tolist(), drawings.word.tolist(), drawings.recognized.tolist(), drawings.countrycode.tolist(),
        drawings.timestamp.view(np.int64).tolist(), strict=True,
    )  # fmt: skip
    return [(*row, str(drawings.strokes(k))) for k, row in enumerate(columns)]


def test_drawings_come_back_from_their_partition_in_the_order_they_were_added() -> None:
    drawings = random_drawings(COUNT, 0)
    partition = np.random.default_rng(1).integers(-1, 5, COUNT)
    blob, ends = packed(drawings, partition)
    rows = as_rows(drawings)
    start = 0
    for part, end in enumerate(ends.tolist()):
        mine = np.flatnonzero(partition == part)
        places, key_id = index(blob[start // 8 : end // 8], len(mine))
        assert key_id.tolist() == drawings.key_id[mine].tolist()
        found, source = gather([(blob[start // 8 : end // 8], places)], drawings)
        assert as_rows(found) == [rows[k] for k in mine]
        assert source.tolist() == [7] * len(mine)
        start = end


def test_records_are_gathered_in_any_order_from_several_blobs() -> None:
    first, second = random_drawings(20, 2), random_drawings(20, 3)
    blobs = [packed(drawings, np.zeros(20, np.int64))[0] for drawings in (first, second)]
    places = [index(blob, 20)[0] for blob in blobs]
    order = np.random.default_rng(4).permutation(20)
    found, _ = gather([(blobs[1], places[1][order]), (blobs[0], places[0][order[:5]])], first)
    assert as_rows(found) == [as_rows(second)[k] for k in order] + [as_rows(first)[k] for k in order[:5]]


def test_a_record_is_as_long_as_its_header_its_strokes_and_its_points_in_eights() -> None:
    drawings = from_strokes([[[[1], [2]]], [[[1, 2], [3, 4]], [[5], [6]]]], ["cat", "cat"])
    assert record_sizes(drawings).tolist() == [HEADER_BYTES + 8, HEADER_BYTES + 16]


@pytest.mark.parametrize("damage", ["cut", "longer", "length", "points", "count"])
def test_damaged_records_are_noticed_before_anything_is_read_of_them(damage: str) -> None:
    blob, _ = packed(random_drawings(10, 5), np.zeros(10, np.int64))
    count = 10
    if damage == "cut":
        blob = blob[:-1]
    elif damage == "longer":
        blob = np.append(blob, np.uint64(0))
    elif damage == "length":
        blob.view(np.uint32)[4] += 8
    elif damage == "points":
        blob.view(np.uint16)[17] = 65_535
    else:
        count = 11
    with pytest.raises(ValueError, match="damaged"):
        index(blob, count)


def test_equal_neighbours_are_duplicates_and_others_of_the_same_key_are_counted() -> None:
    stroke, other = [[[1, 2], [3, 4]]], [[[1, 2], [3, 5]]]
    drawings = from_strokes([stroke, stroke, other, stroke, [[[1], [3]], [[2], [4]]]], ["a", "a", "a", "b", "b"])
    drawings.key_id[:] = 9
    drawings.countrycode[:] = [1, 2, 3, 4, 5]  # what else is said of it does not count
    blob, _ = packed(drawings, np.zeros(5, np.int64))
    again, same_key = duplicates(blob, index(blob, 5)[0])
    assert (again.tolist(), same_key) == ([False, True, False, False, False], 3)
    drawings.key_id[:] = range(5)
    blob, _ = packed(drawings, np.zeros(5, np.int64))
    again, same_key = duplicates(blob, index(blob, 5)[0])
    assert (again.any(), same_key) == (False, 0)
