"""The order of an epoch: lanes, pools and the permutations in them, a pure function of (shards, seed, epoch).

The rows of a split, shard after shard, are already in a random order. They are cut into `LANES` lanes of consecutive
rows. In each lane the row groups are permuted, and the rows within pools of `POOL_GROUPS` row groups; then the lanes
are interleaved one row at a time: place j of the epoch is in lane j % LANES. Of W processes, W a divisor of LANES,
process i therefore reads only the lanes that are i modulo W, and the global batches are the same for every W.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Int64Array, UInt64Array
from pipeline.hashing import mix64, salted
from pipeline.jit import kernel

LANES = 64
POOL_GROUPS = 4


@dataclass(frozen=True)
class Pool:
    """Row groups of one lane whose rows are permuted together.

    Attributes:
        first: the pool's first place in its lane.
        pieces: (G, 2) int64, the first and the last + 1 row of the part of each row group that is in the lane.
    """

    first: int
    pieces: Int64Array

    def __len__(self) -> int:
        return int((self.pieces[:, 1] - self.pieces[:, 0]).sum())


@dataclass(frozen=True)
class EpochOrder:
    """One epoch's order of a split.

    Attributes:
        row_starts: (G + 1,) int64, the first row of each row group, and the number of rows.
        seed: the seed of the order.
        epoch: from 0; None is the stored order, as evaluation reads it.
    """

    row_starts: Int64Array
    seed: int
    epoch: int | None

    @property
    def rows(self) -> int:
        """Drawings in the epoch."""
        return int(self.row_starts[-1])

    def lane(self, lane: int) -> tuple[int, int]:
        """The first and the last + 1 row of a lane; the first `rows % LANES` lanes hold one row more."""
        each, more = divmod(self.rows, LANES)
        start = lane * each + min(lane, more)
        return start, start + each + (lane < more)

    def pools(self, lane: int) -> list[Pool]:
        """The pools of a lane in order; first pools differ in length, so that not all lanes read at the same time."""
        start, stop = self.lane(lane)
        groups = np.arange(
            np.searchsorted(self.row_starts, start, side="right") - 1, np.searchsorted(self.row_starts, stop)
        )
        if self.epoch is not None:
            groups = groups[np.argsort(mix64(groups.astype(np.uint64) ^ self._salt("group")), kind="stable")]
        pieces = np.stack([self.row_starts[groups], self.row_starts[groups + 1]], axis=1).clip(start, stop)
        cuts = [0, *range(1 + lane % POOL_GROUPS, len(pieces), POOL_GROUPS), len(pieces)]
        pools, first = [], 0
        for k in range(len(cuts) - 1):
            pools.append(Pool(first, pieces[cuts[k] : cuts[k + 1]]))
            first += len(pools[-1])
        return pools

    def permute(self, pool: Pool) -> Int64Array:
        """(len(pool),) int64, the rows of a pool in the epoch's order."""
        rows = np.concatenate([np.arange(first, last) for first, last in pool.pieces.tolist()] or [np.arange(0)])
        if self.epoch is None:
            return rows
        return rows[argsort(mix64(rows.astype(np.uint64) ^ self._salt("row")))]

    def _salt(self, what: str) -> np.uint64:
        return salted(f"sketchpipe {what}", self.seed, self.epoch or 0)


def argsort(keys: UInt64Array) -> Int64Array:
    """(N,) int64, the places of `keys` from the least to the greatest; `keys` are hashes, no two of them equal.

    Hashes spread evenly over buckets by their highest bits; this takes a third of the time of NumPy's sort.
    """
    bits = max(1, len(keys).bit_length())
    out = np.empty(len(keys), np.int64)
    _argsort(keys, np.uint64(64 - bits), np.zeros((1 << bits) + 1, np.int64), out)
    return out


@kernel
def _argsort(keys: UInt64Array, shift: np.uint64, ends: Int64Array, out: Int64Array) -> None:
    """Fill `out`; `ends`, (buckets + 1,), must be zeros, and become the end of each bucket."""
    for key in keys:
        ends[np.int64(key >> shift) + 1] += 1
    for bucket in range(1, len(ends)):
        ends[bucket] += ends[bucket - 1]
    for k in range(len(keys)):
        of_key = np.int64(keys[k] >> shift)
        out[ends[of_key]] = k
        ends[of_key] += 1
    for place in range(1, len(out)):  # insertion sort: only keys in the same bucket are out of order
        moved, to = out[place], place
        while to > 0 and keys[out[to - 1]] > keys[moved]:
            out[to] = out[to - 1]
            to -= 1
        out[to] = moved
