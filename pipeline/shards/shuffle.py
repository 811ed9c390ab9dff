"""Where a drawing goes: its split, its shard and its place there, from hashes of its key_id alone. Pure."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.hashing import UInt64Array, mix64, salted

SPLITS = ("train", "validation", "test")
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def order_hash(key_id: UInt64Array, seed: int) -> UInt64Array:
    """(N,) uint64, by which a build orders its drawings; a bijection of key_id for each seed."""
    return mix64(key_id ^ np.uint64(seed))


def part_of(hashes: UInt64Array, parts: int) -> NDArray[np.int64]:
    """(N,) int64, `(hash * parts) >> 64`: which of `parts` equal ranges each hash lies in; parts < 2**31."""
    count = np.uint64(parts)
    high, low = hashes >> _HALF, hashes & _LOW
    return ((high * count + ((low * count) >> _HALF)) >> _HALF).astype(np.int64)


def first_of_part(part: int, parts: int) -> int:
    """The smallest hash with `part_of(hash, parts) == part`."""
    return -((-part << 64) // parts)


def split_of(key_id: UInt64Array, splits: Sequence[Fraction]) -> NDArray[np.int64]:
    """(N,) int64, an index into `SPLITS`, from a hash that knows no seed: a drawing never changes its split."""
    hashes = mix64(key_id ^ salted("sketchpipe split"))
    bounds = [min(int(sum(splits[: k + 1]) * 2**64), 2**64 - 1) for k in range(len(splits) - 1)]
    return np.searchsorted(np.array(bounds, np.uint64), hashes, side="right").astype(np.int64)


def parse_splits(text: str) -> tuple[Fraction, ...]:
    """The shares of train, validation and test, such as "0.8,0.1,0.1"; they sum to 1.

    Raises:
        UsageError: they are not three such numbers, or train gets nothing.
    """
    try:
        splits = tuple(Fraction(part.strip()) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        splits = ()
    if len(splits) != len(SPLITS) or min(splits) < 0 or sum(splits) != 1 or splits[0] == 0:
        raise UsageError(f'splits "{text}": expected three shares that sum to 1, such as 0.8,0.1,0.1')
    return splits
