"""Computes split, shard and place of a drawing from hashes of its key_id; no input or output."""

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import UInt64Array
from pipeline.choices import Split
from pipeline.errors import UsageError
from pipeline.hashing import mix64, mixed, salted
from pipeline.jit import kernel

SPLITS: tuple[str, ...] = get_args(Split)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SHARE = re.compile(r"[+-]?[0-9.]{1,40}(/[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")  # larger exponents would take for ever


def order_hash(key_id: UInt64Array, seed: int) -> UInt64Array:
    """(N,) uint64, the hash that orders the drawings of a build; for each seed a bijection of key_id."""
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
    """(N,) int64, an index into `SPLITS`, from a hash without the seed: a drawing stays in its split."""
    hashes = mix64(key_id ^ salted("sketchpipe split"))
    return np.searchsorted(_bounds(splits), hashes, side="right").astype(np.int64)


def partition_of(key_id: UInt64Array, seed: int, splits: Sequence[Fraction], ranges: int) -> NDArray[np.int64]:
    """(N,) int64, `split_of(...) * ranges + part_of(order_hash(...), ranges)`, in one pass over the keys."""
    partition = np.empty(len(key_id), np.int64)
    with np.errstate(over="ignore"):  # for kernels without JIT: their products are meant to wrap
        _partition(key_id, np.uint64(seed), salted("sketchpipe split"), _bounds(splits), ranges, partition)
    return partition


@kernel
def _partition(
    key_id: UInt64Array, seed: np.uint64, salt: np.uint64, bounds: UInt64Array, ranges: int,
    partition: NDArray[np.int64],
) -> None:  # fmt: skip
    count = np.uint64(ranges)
    for row in range(len(key_id)):
        hashed = mixed(key_id[row] ^ seed)
        part = ((hashed >> _HALF) * count + (((hashed & _LOW) * count) >> _HALF)) >> _HALF
        hashed = mixed(key_id[row] ^ salt)
        split = 0
        for bound in bounds:
            split += hashed >= bound
        partition[row] = split * ranges + np.int64(part)


def _bounds(splits: Sequence[Fraction]) -> UInt64Array:
    """The hashes at which all splits but the first begin."""
    return np.array([min(int(sum(splits[: k + 1]) * 2**64), 2**64 - 1) for k in range(len(splits) - 1)], np.uint64)


def parse_splits(text: str) -> tuple[Fraction, ...]:
    """The shares of train, validation and test, such as "0.8,0.1,0.1"; they sum to 1.

    Raises:
        UsageError: they are not three such numbers, or the share of train is 0.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        splits = tuple(map(Fraction, parts)) if all(map(_SHARE.fullmatch, parts)) else ()
    except (ValueError, ZeroDivisionError):
        splits = ()
    if len(splits) != len(SPLITS) or min(splits) < 0 or sum(splits) != 1 or splits[0] == 0:
        raise UsageError(f'splits "{text}": expected three shares that sum to 1, such as 0.8,0.1,0.1')
    return splits


def canonical_splits(text: str) -> str:
    """The one text for all spellings of the same shares, so that options can be compared.

    >>> canonical_splits("0.80, .1,1e-1"), canonical_splits("1/2,1/3,1/6")
    ('0.8,0.1,0.1', '0.5,1/3,1/6')

    Raises:
        UsageError: as `parse_splits`.
    """
    return ",".join(map(_share_text, parse_splits(text)))


def _share_text(share: Fraction) -> str:
    decimal = Decimal(share.numerator) / Decimal(share.denominator)
    return f"{decimal:f}" if Fraction(decimal) == share else str(share)
