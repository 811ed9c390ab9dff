"""A lane of a split too large to be kept: read pool by pool, the next one while this one is in use."""

from concurrent.futures import Executor, Future

import numpy as np

from pipeline.drawings import Drawings, Int64Array, concat, from_strokes
from pipeline.order import LANES, EpochOrder, Pool
from pipeline.shards.read import ShardSplit


class Lane:
    """One lane of an epoch from a place of the epoch on.

    At most two pools of a lane are in memory: `POOL_GROUPS` row groups each, about 8 MB.
    """

    def __init__(self, split: ShardSplit, order: EpochOrder, lane: int, place: int, executor: Executor) -> None:
        self._split, self._order, self._lane = split, order, lane
        self._at = max(0, -(-(place - lane) // LANES))  # the next place in the lane
        self._pools = [pool for pool in order.pools(lane) if pool.first + len(pool) > self._at]
        self._executor = executor
        self._current: tuple[Pool, Drawings, Int64Array] | None = None
        self._next: Future[tuple[Pool, Drawings, Int64Array]] | None = None
        self._start_next()

    def take_until(self, place: int) -> tuple[Drawings, Int64Array, Int64Array]:
        """The lane's next drawings before `place` of the epoch, their rows, and their places."""
        start, stop = self._at, min(max(self._at, -(-(place - self._lane) // LANES)), self._end())
        parts: list[Drawings] = []
        rows: list[Int64Array] = []
        while self._at < stop or not parts:
            if self._current is None or self._at >= self._current[0].first + len(self._current[0]):
                if self._next is None:
                    break
                self._current = self._next.result()
                self._start_next()
            pool, drawings, pool_rows = self._current
            first, last = self._at - pool.first, min(stop - pool.first, len(pool))
            parts.append(drawings.slice(first, last))
            rows.append(pool_rows[first:last])
            self._at = pool.first + last
        places = np.arange(start, stop) * LANES + self._lane
        return concat(parts or [from_strokes([], [])]), np.concatenate([*rows, np.arange(0)]), places

    def _end(self) -> int:
        first, last = self._order.lane(self._lane)
        return last - first

    def _start_next(self) -> None:
        self._next = self._executor.submit(self._read, self._pools.pop(0)) if self._pools else None

    def _read(self, pool: Pool) -> tuple[Pool, Drawings, Int64Array]:
        groups = np.searchsorted(self._split.row_starts, pool.pieces[:, 0], side="right") - 1
        parts, stored = [], []
        for group, (first, last) in zip(groups.tolist(), pool.pieces.tolist(), strict=True):
            start = int(self._split.row_starts[group])
            parts.append(self._split.read_row_group(group).slice(first - start, last - start))
            stored.append(np.arange(first, last))
        rows = self._order.permute(pool)
        place_of_row = np.argsort(np.concatenate(stored), kind="stable")
        sorted_rows = np.concatenate(stored)[place_of_row]
        return pool, concat(parts).take(place_of_row[np.searchsorted(sorted_rows, rows)]), rows
