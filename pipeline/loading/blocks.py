"""Interleaves the lanes of an epoch into blocks of several steps, the next block while this one is rendered."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Int64Array
from pipeline.loading.lanes import Lane
from pipeline.loading.order import LANES, EpochOrder
from pipeline.loading.pools import PoolReader, gather
from pipeline.packed import PackedDrawings, assemble

_BLOCK_ROWS = 32768  # of a process, about 4 MB: enough that 64 lanes cost little at any batch size

Block = tuple[PackedDrawings, Int64Array]


@dataclass(frozen=True)
class Share:
    """A process's share of a step.

    Attributes:
        epoch: None in evaluation.
        step: its number in the epoch.
        start: the share's first drawing in the block.
        stop: the last + 1.
    """

    epoch: int | None
    step: int
    start: int
    stop: int
    _block: "Future[Block]"

    def drawings(self) -> Block:
        """The drawings and their rows, as views; waits until the block is made."""
        drawings, rows = self._block.result()
        return drawings.slice(self.start, self.stop), rows[self.start : self.stop]


@dataclass
class Blocks:
    """Makes one process's share of each step of an epoch.

    Attributes:
        pools: reads the pools of the split.
        order: the order of the epoch.
        steps: consecutive steps; the epoch may end within the last.
        batch: how many drawings a step has, over all processes.
        process_index: this process's number.
        process_count: how many share each step.
        threads: how many read pools.
        keep: whether to read the whole split first, and keep it.
    """

    pools: PoolReader
    order: EpochOrder
    steps: range
    batch: int
    process_index: int
    process_count: int
    threads: int
    keep: bool

    def __post_init__(self) -> None:
        self._readers = ThreadPoolExecutor(self.threads, thread_name_prefix="pool")
        # Blocks wait for pools, so they have their own thread: no pool may be queued after a block that waits for it.
        self._makers = ThreadPoolExecutor(1, thread_name_prefix="block")

    def shares(self) -> Iterator[Share]:
        """This process's share of each step."""
        if not self.steps:
            return
        kept = self.pools.keep(self.threads) if self.keep else None
        read = self.pools.read if kept is None else self.pools.order_kept
        mine = range(self.process_index, LANES, self.process_count)
        places = range(self.steps.start * self.batch, self.steps.stop * self.batch)
        lanes = [Lane(self.order, lane, places, read, self._readers) for lane in mine]
        block_steps = max(1, _BLOCK_ROWS * self.process_count // self.batch)
        cuts = [self.steps[k : k + block_steps] for k in range(0, len(self.steps), block_steps)]
        made = self._makers.submit(self._make, kept, lanes, cuts[0])
        for k, cut in enumerate(cuts):
            block = made
            if cut is not cuts[-1]:
                made = self._makers.submit(self._make, kept, lanes, cuts[k + 1])
            for step in cut:
                start, stop = (self._places_before(end) - self._places_before(cut.start) for end in (step, step + 1))
                yield Share(self.order.epoch, step, start, stop, block)

    def close(self) -> None:
        """Stop the threads, and cancel the pools that lanes have requested."""
        try:
            self._readers.shutdown(cancel_futures=True)
        finally:
            self._makers.shutdown(cancel_futures=True)

    def _places_before(self, step: int) -> int:
        """How many drawings of the steps before `step` belong to this process."""
        return len(range(self.process_index, min(step * self.batch, self.order.rows), self.process_count))

    def _make(self, kept: list[tuple[int, PackedDrawings]] | None, lanes: list[Lane], steps: range) -> Block:
        taken = [part for lane in lanes for part in lane.take_until(steps.stop * self.batch)]
        with self.pools.times.adding("reading"):
            before = self._places_before(steps.start)
            here = np.arange(self._places_before(steps.stop) - before)
            rows = np.empty(len(here), np.int64)
            parts = []
            for part in taken:
                # Place p of the epoch is this process's place p // W; a lane has every 64th place of the epoch.
                places = here[part.place // self.process_count - before :: LANES // self.process_count]
                places = np.ascontiguousarray(places[: len(part.rows)])
                rows[places] = part.rows
                if part.drawings is not None:
                    parts.append((part.drawings, here[: len(places)], places))
            return assemble(parts, len(rows)) if kept is None else gather(kept, rows), rows
