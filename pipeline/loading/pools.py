"""Reads the pools of a split in an epoch's order, and replaces drawings that cannot be read."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.arrays import Int64Array
from pipeline.errors import ShardError
from pipeline.loading.order import EpochOrder, Pool
from pipeline.packed import PackedDrawings, assemble, join, without_strokes
from pipeline.shards.read import RowGroupError, ShardSplit
from pipeline.threads import Times, ordered_map

_JOINED_GROUPS = 32  # of a split that is kept in memory: about 34 MB


def gather(pieces: Sequence[tuple[int, PackedDrawings]], rows: Int64Array) -> PackedDrawings:
    """The drawings at `rows`, (M,) int64, of pieces given with their first rows; row -1 gives one without strokes."""
    parts = []
    for first, drawings in pieces:
        places = np.flatnonzero((rows >= first) & (rows < first + len(drawings)))
        if len(drawings) <= 1 << 16:
            # In stored order, because reading here and there takes longer than writing here and there; as 16 bits,
            # because NumPy sorts those by counting.
            places = places[np.argsort((rows[places] - first).astype(np.uint16), kind="stable")]
        parts.append((drawings, rows[places] - first, places))
    if sum(len(places) for _, _, places in parts) != np.count_nonzero(rows >= 0):
        raise ValueError("rows that are in no piece")
    return assemble(parts, len(rows))


@dataclass
class PoolReader:
    """Reads the pools of a split, on any threads.

    With `skip_corrupt`, the place of an unreadable drawing goes to a readable one of its pool: these are taken in the
    order of the epoch, repeatedly if necessary, so that batches depend only on what is damaged. In evaluation such a
    place has row -1. If a whole pool is unreadable, the next readable row group of the split gives the drawings.

    Attributes:
        split: the shards.
        times: to which the time for reading is added.
        skip_corrupt: whether a row group that cannot be read is skipped instead of raising an error.
        lost: the row groups that could not be read so far, by number.
    """

    split: ShardSplit
    times: Times
    skip_corrupt: bool = False
    lost: set[int] = field(default_factory=set)
    _kept: list[tuple[int, PackedDrawings]] | None = None
    _keeping: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, threads: int) -> list[tuple[int, PackedDrawings]]:
        """All drawings of the split in pieces, each with its first row; unreadable drawings have no strokes.

        They are read at the first call, and joined piece by piece, so that only a part is in memory twice.
        """
        with self._keeping:
            if self._kept is None:
                # Assigned only when complete: after an interruption everything is read again.
                self._kept = [self._joined(first, threads) for first in range(0, self._count, _JOINED_GROUPS)]
            return self._kept

    @property
    def _count(self) -> int:
        return len(self.split.row_groups)

    def _joined(self, first: int, threads: int) -> tuple[int, PackedDrawings]:
        """Row groups from `first` on as one piece, with its first row."""

        def read(group: int) -> PackedDrawings:
            with self.times.adding("reading"):
                part = self._read(group)
            return without_strokes(self.split.rows_in(group)) if part is None else part

        groups = range(first, min(first + _JOINED_GROUPS, self._count))
        parts = list(ordered_map(read, groups, threads))
        with self.times.adding("reading"):
            return int(self.split.row_starts[first]), join(parts)

    def order_kept(self, order: EpochOrder, pool: Pool) -> tuple[None, Int64Array]:
        """No drawings, and the rows of a pool, for a split that is kept in memory."""
        with self.times.adding("reading"):
            return None, self._with_stand_ins(order, pool, lambda group: group not in self.lost)

    def read(self, order: EpochOrder, pool: Pool) -> tuple[PackedDrawings, Int64Array]:
        """The drawings of a pool in the epoch's order, and their rows."""
        with self.times.adding("reading"):
            groups = {group: self._read(group) for group in sorted(self._groups(pool))}  # one shard after the other

            def is_readable(group: int) -> bool:
                if group not in groups:
                    groups[group] = self._read(group)
                return groups[group] is not None

            rows = self._with_stand_ins(order, pool, is_readable)
            pieces = [(int(self.split.row_starts[group]), part) for group, part in groups.items() if part is not None]
            return gather(pieces, rows), rows

    def _groups(self, pool: Pool) -> list[int]:
        groups: list[int] = (np.searchsorted(self.split.row_starts, pool.pieces[:, 0], side="right") - 1).tolist()
        return groups

    def _read(self, group: int) -> PackedDrawings | None:
        if group in self.lost:
            return None
        try:
            return self.split.read_packed(group)
        except RowGroupError:
            if not self.skip_corrupt:
                raise
            self.lost.add(group)
            return None

    def _with_stand_ins(self, order: EpochOrder, pool: Pool, is_readable: Callable[[int], bool]) -> Int64Array:
        rows = order.permute(pool)
        is_lost = np.zeros(len(rows), bool)
        groups = self._groups(pool)
        for group in groups:
            if not is_readable(group):
                is_lost |= (rows >= self.split.row_starts[group]) & (rows < self.split.row_starts[group + 1])
        if not is_lost.any():
            return rows
        if order.epoch is None:
            rows[is_lost] = -1
            return rows
        good = rows[~is_lost]
        if len(good) == 0:
            spare = self._next_readable(groups[-1], is_readable)
            good = np.arange(self.split.row_starts[spare], self.split.row_starts[spare + 1])
        rows[is_lost] = np.resize(good, np.count_nonzero(is_lost))
        return rows

    def _next_readable(self, group: int, is_readable: Callable[[int], bool]) -> int:
        for other in range(group + 1, group + self._count):
            if is_readable(other % self._count):
                return other % self._count
        raise ShardError(f"{self.split.folder}: no row group of its {self.split.name} split could be read")
