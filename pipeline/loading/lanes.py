"""Reads one lane of an epoch pool by pool, the next pool while this one is in use."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from pipeline.arrays import Int64Array
from pipeline.loading.order import LANES, EpochOrder, Pool
from pipeline.packed import PackedDrawings


@dataclass(frozen=True)
class Taken:
    """Consecutive drawings of a lane.

    Attributes:
        drawings: those of one pool; None if the split is kept in memory.
        rows: (N,) int64, their rows in the split.
        place: the place of the first in the epoch; each of the others is `LANES` after the one before.
    """

    drawings: PackedDrawings | None
    rows: Int64Array
    place: int


PoolContent = tuple[PackedDrawings | None, Int64Array]


class Lane:
    """One lane of an epoch, from one place of the epoch to another.

    At most two pools of a lane are in memory: `POOL_GROUPS` row groups each, about 4 MB.
    """

    def __init__(
        self, order: EpochOrder, lane: int, places: range, read: Callable[[EpochOrder, Pool], PoolContent],
        executor: Executor,
    ) -> None:  # fmt: skip
        self._order, self._lane, self._read = order, lane, read
        self._at, stop = (max(0, -(-(place - lane) // LANES)) for place in (places.start, places.stop))  # in the lane
        self._pools = [pool for pool in order.pools(lane) if self._at < pool.first + len(pool) and pool.first < stop]
        self._executor = executor
        self._current: tuple[Pool, PoolContent] | None = None
        self._next: deque[tuple[Pool, Future[PoolContent]]] = deque()  # one at most
        self._start_next()

    def take_until(self, place: int) -> Iterator[Taken]:
        """The lane's next drawings before `place` of the epoch."""
        first, last = self._order.lane(self._lane)
        stop = min(-(-(place - self._lane) // LANES), last - first)
        while self._at < stop:
            if self._current is None or self._at >= self._current[0].first + len(self._current[0]):
                pool, content = self._next.popleft()
                self._current = pool, content.result()
                self._start_next()
            pool, (drawings, rows) = self._current
            start, end = self._at - pool.first, min(stop - pool.first, len(pool))
            place = self._at * LANES + self._lane
            self._at = pool.first + end
            yield Taken(None if drawings is None else drawings.slice(start, end), rows[start:end], place)

    def _start_next(self) -> None:
        if self._pools:
            pool = self._pools.pop(0)
            self._next.append((pool, self._executor.submit(self._read, self._order, pool)))
