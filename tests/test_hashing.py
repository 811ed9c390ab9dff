import numpy as np
import pytest

from pipeline.drawings import content_hash, from_strokes
from pipeline.hashing import mix64, salted
from tests import naive_hashing as naive

EDGES = [0, 1, 2**21, 2**32 - 1, 2**32, 2**63, 2**64 - 1]


def test_mix64_is_the_finaliser_of_splitmix64() -> None:
    values = [*EDGES, *np.random.default_rng(1).integers(0, 2**64, 200, np.uint64).tolist()]
    assert mix64(np.array(values, np.uint64)).tolist() == [naive.mix64(value) for value in values]
    # The first numbers of splitmix64 from seed 0, as its authors' implementation prints them.
    assert mix64(np.array([0, 0x9E3779B97F4A7C15], np.uint64)).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_mix64_leaves_its_input_alone() -> None:
    values = np.arange(5, dtype=np.uint64)
    mix64(values)
    assert values.tolist() == [0, 1, 2, 3, 4]


def test_keys_with_trailing_zero_bits_spread_over_all_low_bits() -> None:
    keys = np.arange(1, 4097, dtype=np.uint64) << np.uint64(21)
    counts = np.bincount((mix64(keys) % np.uint64(16)).astype(np.int64), minlength=16)
    assert counts.min() > 190  # of 256; five standard deviations below the mean are 178


def test_a_salt_depends_on_its_name_and_on_every_number() -> None:
    salts = [salted("a"), salted("b"), salted("a", 1), salted("a", 12), salted("a", 1, 2)]
    assert len({int(salt) for salt in salts}) == len(salts)
    assert salted("sketchpipe split") == np.uint64(0xB5BB133417ECF7B6)  # every split there is hangs on it


def test_a_content_hash_is_that_of_the_slow_version() -> None:
    random = np.random.default_rng(2)
    drawings = [
        [random.integers(0, 256, (2, points)).tolist() for points in random.integers(1, 9, strokes)]
        for strokes in random.integers(1, 6, 50)
    ]
    words = [["cat", "hot dog", "café", "猫"][k % 4] for k in range(50)]
    expected = [naive.content_hash(word, drawing) for word, drawing in zip(words, drawings, strict=True)]
    assert content_hash(from_strokes(drawings, words)).tolist() == expected


@pytest.mark.parametrize(
    ("drawing", "word"),
    [
        ([[[1, 2], [3, 4]]], "dog"),
        ([[[1], [3]], [[2], [4]]], "cat"),  # the same points in two strokes
        ([[[3, 4], [1, 2]]], "cat"),  # x and y exchanged
        ([[[2, 1], [4, 3]]], "cat"),  # drawn backwards
        ([[[1, 2, 2], [3, 4, 4]]], "cat"),
        ([[[1, 2], [4, 3]]], "cat"),
    ],
)
def test_another_word_order_or_cut_gives_another_content_hash(drawing: list[list[list[int]]], word: str) -> None:
    drawings = from_strokes([[[[1, 2], [3, 4]]], drawing], ["cat", word])
    first, other = content_hash(drawings).tolist()
    assert first != other


def test_no_drawings_have_no_hashes() -> None:
    assert content_hash(from_strokes([], [])).shape == (0,)
