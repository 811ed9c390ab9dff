"""From shards to batches of rendered images: exact order, exact position, rendering on threads ahead of the caller.

Knows no JAX: batches are NumPy arrays. `model/feed.py` puts them on devices.
"""

import contextlib
import os
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.augment import Augmentation
from pipeline.drawings import Drawings, Int64Array, UInt8Array, concat
from pipeline.errors import UsageError
from pipeline.lanes import Lane
from pipeline.order import LANES, EpochOrder
from pipeline.render import RenderConfig, render, render_augmented
from pipeline.shards.read import ShardSplit
from pipeline.threads import ordered_map

KEPT_ROW_GROUPS = 10 * LANES  # a split with fewer row groups is decoded once and kept: at most about 700 MB
_BLOCK_ROWS = 8192  # a streamed split hands on rows in blocks, so that 64 lanes cost little at any batch size


@dataclass(frozen=True)
class LoaderConfig:
    """How a split becomes batches.

    Attributes:
        batch: drawings of a global batch, over all processes.
        render: how drawings become images.
        augmentation: how drawings are changed before they are drawn; None leaves them as they are.
        seed: of the order and the augmentation.
        process_index: this process's number.
        process_count: how many processes share each batch: a divisor of 64 and of `batch`.
        threads: that read and render; None takes the machine's cores.
        ahead: batches rendered ahead of the caller, beside those that the threads have in hand.
    """

    batch: int
    render: RenderConfig = field(default_factory=RenderConfig)
    augmentation: Augmentation | None = None
    seed: int = 0
    process_index: int = 0
    process_count: int = 1
    threads: int | None = None
    ahead: int = 2

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"batch {self.batch}: expected 1 or more")
        if self.process_count < 1 or LANES % self.process_count or self.batch % self.process_count:
            raise UsageError(f"process_count {self.process_count}: expected a divisor of {LANES} and of the batch")
        if not 0 <= self.process_index < self.process_count:
            raise UsageError(f"process_index {self.process_index}: expected 0 to {self.process_count - 1}")


@dataclass(frozen=True)
class Batch:
    """One process's share of a global batch, B drawings.

    Attributes:
        images: (B, size, size, 3) uint8, RGB on black.
        labels: (B,) int32, the shards' labels.
        mask: (B,) bool, False where a last batch of an evaluation is padded.
        rows: (B,) int64, each drawing's row in the split; -1 where padded.
        epoch: from 0.
        step: in the epoch, from 0.
    """

    images: UInt8Array
    labels: NDArray[np.int32]
    mask: NDArray[np.bool_]
    rows: Int64Array
    epoch: int
    step: int


@dataclass
class Loader:
    """Batches of one split; iterate `epoch` for training or `once` for evaluation.

    Attributes:
        split: the shards.
        config: how they become batches.
        waited_seconds: how long callers have waited for batches so far.
    """

    split: ShardSplit
    config: LoaderConfig
    waited_seconds: float = 0.0
    _kept: Drawings | None = None
    _buffers: list[UInt8Array] = field(default_factory=list)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the split."""
        return len(self.split) // self.config.batch

    def epoch(self, epoch: int, start_step: int = 0) -> Generator[Batch, None, None]:
        """The batches of an epoch from `start_step` on: no drawing twice, the last partial batch left out.

        Raises:
            UsageError: the batch is larger than the split.
            ShardError: a shard is damaged.
        """
        if self.steps_per_epoch == 0:
            count = len(self.split)
            raise UsageError(f"batch {self.config.batch} is larger than the {self.split.name} split ({count} drawings)")
        yield from self._batches(EpochOrder(self.split.row_starts, self.config.seed, epoch), start_step, padded=False)

    def once(self) -> Generator[Batch, None, None]:
        """Every drawing once, in the stored order of the lanes, not augmented; the last batch is padded and masked."""
        yield from self._batches(EpochOrder(self.split.row_starts, self.config.seed, None), 0, padded=True)

    def give_back(self, batch: Batch) -> None:
        """Let a later batch be rendered into this one's images: nobody may read them any more."""
        self._buffers.append(batch.images)

    def _batches(self, order: EpochOrder, start_step: int, *, padded: bool) -> Generator[Batch, None, None]:
        threads = self.config.threads or os.cpu_count() or 1
        with contextlib.ExitStack() as cleanup:
            if len(self.split.row_groups) < KEPT_ROW_GROUPS:
                strokes = self._kept_strokes(order, start_step, padded=padded)
            else:
                executor = ThreadPoolExecutor(threads, thread_name_prefix="lane")
                # A caller that stops does not wait for the pools that 64 lanes have asked for.
                cleanup.callback(executor.shutdown, cancel_futures=True)
                strokes = self._streamed_strokes(order, start_step, executor, padded=padded)
            work = ((drawings, rows, order.epoch, step) for step, (drawings, rows) in enumerate(strokes, start_step))
            # Two threads at least: even one core renders beside a caller that waits for a device.
            batches = ordered_map(self._render, work, max(2, threads), self.config.ahead)
            cleanup.callback(batches.close)
            while True:
                start = time.perf_counter()
                batch = next(batches, None)
                self.waited_seconds += time.perf_counter() - start
                if batch is None:
                    return
                yield batch

    def _places(self, step: int, rows: int, *, padded: bool) -> range | None:
        """This process's places in the epoch for a step; None behind the last."""
        batch = self.config.batch
        stop = min((step + 1) * batch, rows) if padded else (step + 1) * batch
        if stop > rows or stop <= step * batch:
            return None
        return range(step * batch + self.config.process_index, stop, self.config.process_count)

    def _kept_strokes(self, order: EpochOrder, step: int, *, padded: bool) -> Iterator[tuple[Drawings, Int64Array]]:
        if self._kept is None:
            groups = range(len(self.split.row_groups))
            self._kept = concat(list(ordered_map(self.split.read_row_group, groups, os.cpu_count() or 1)))
        rows = order.all_rows()
        while (places := self._places(step, order.rows, padded=padded)) is not None:
            mine = rows[places.start : places.stop : places.step]
            yield self._kept.take(mine), mine
            step += 1

    def _streamed_strokes(
        self, order: EpochOrder, step: int, executor: Executor, *, padded: bool
    ) -> Iterator[tuple[Drawings, Int64Array]]:
        first, count = self.config.process_index, self.config.process_count
        place = step * self.config.batch
        lanes = [Lane(self.split, order, lane, place, executor) for lane in range(first, LANES, count)]
        block_steps = max(1, _BLOCK_ROWS * count // self.config.batch)
        while self._places(step, order.rows, padded=padded) is not None:
            steps = [self._places(step + k, order.rows, padded=padded) for k in range(block_steps)]
            wanted = [places for places in steps if places is not None]
            parts = [lane.take_until(wanted[-1].stop) for lane in lanes]
            block, rows = concat([part for part, _, _ in parts]), np.concatenate([r for _, r, _ in parts])
            by_place = np.argsort(np.concatenate([places for _, _, places in parts]))
            done = 0
            for places in wanted:
                mine = by_place[done : done + len(places)]
                yield block.take(mine), rows[mine]
                done += len(places)
            step += len(wanted)

    def _render(self, work: tuple[Drawings, Int64Array, int | None, int]) -> Batch:
        drawings, rows, epoch, step = work
        config = self.config
        share = config.batch // config.process_count
        images = self._buffer(share)
        out = images[: len(rows)]
        if config.augmentation is None or epoch is None:
            render(drawings, config.render, out=out)
        else:
            render_augmented(
                drawings, rows, config.render, config.augmentation, seed=config.seed, epoch=epoch, out=out
            )  # fmt: skip
        missing = share - len(rows)
        images[len(rows) :] = 0
        return Batch(
            images=images,
            labels=np.pad(drawings.word, (0, missing)),
            mask=np.arange(share) < len(rows),
            rows=np.pad(rows, (0, missing), constant_values=-1),
            epoch=epoch or 0,
            step=step,
        )

    def _buffer(self, share: int) -> UInt8Array:
        try:
            return self._buffers.pop()
        except IndexError:
            return np.empty((share, self.config.render.size, self.config.render.size, 3), np.uint8)
