"""From shards to batches of rendered images: exact order, exact position, rendering on threads ahead of the caller.

Knows no JAX: batches are NumPy arrays. `model/feed.py` puts them on devices.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.errors import UsageError
from pipeline.loading.blocks import Blocks, Share
from pipeline.loading.order import LANES, EpochOrder
from pipeline.loading.pools import PoolReader
from pipeline.rendering.augment import Augmentation
from pipeline.rendering.render import RenderConfig, render, render_augmented
from pipeline.shards.read import ShardSplit
from pipeline.threads import Times, core_count, ordered_map

KEPT_ROW_GROUPS = 10 * LANES  # a split with fewer row groups is decoded once and kept: at most about 850 MB


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
        mirrored: whether `once` mirrors every drawing's strokes.
        skip_corrupt: whether to do without row groups that cannot be read, instead of stopping. In training other
            drawings of their neighbourhood take their places, in evaluation these are masked out.
    """

    batch: int
    render: RenderConfig = field(default_factory=RenderConfig)
    augmentation: Augmentation | None = None
    seed: int = 0
    process_index: int = 0
    process_count: int = 1
    threads: int | None = None
    ahead: int = 2
    skip_corrupt: bool = False
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.ahead < 0 or (self.threads is not None and self.threads < 1):
            raise UsageError(
                f"threads {self.threads}, ahead {self.ahead}: expected 1 or more threads, and 0 or more ahead"
            )
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
        images: (B, size, size, C) uint8, light on black.
        labels: (B,) int32, the shards' labels.
        mask: (B,) bool, False where an evaluation has no drawing: its last batch is padded, a row group cannot be read.
        rows: (B,) int64, each drawing's row in the split; -1 where there is none.
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
        times: where the time went so far.
    """

    split: ShardSplit
    config: LoaderConfig
    times: Times = field(default_factory=Times)
    _buffers: list[UInt8Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pools = PoolReader(self.split, self.times, self.config.skip_corrupt)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the split."""
        return len(self.split) // self.config.batch

    @property
    def waited_seconds(self) -> float:
        """How long callers have waited for batches so far."""
        return self.times.waiting

    @property
    def corrupt(self) -> dict[Path, int]:
        """The shards of which row groups were skipped so far, and how many rows."""
        found: dict[Path, int] = {}
        for group in sorted(self._pools.lost):
            path = self.split.path_of(group)
            found[path] = found.get(path, 0) + self.split.rows_in(group)
        return found

    @property
    def skipped(self) -> int:
        """Drawings of the split that cannot be read, as far as this process came across them."""
        return sum(self.corrupt.values())

    def epoch(self, epoch: int, start_step: int = 0) -> Generator[Batch, None, None]:
        """The batches of an epoch from `start_step` on: no drawing twice, the last partial batch left out.

        Raises:
            UsageError: the batch is larger than the split.
            ShardError: a shard is damaged, or the shards were replaced.
        """
        if self.steps_per_epoch == 0:
            count = len(self.split)
            raise UsageError(f"batch {self.config.batch} is larger than the {self.split.name} split ({count} drawings)")
        if epoch < 0 or not 0 <= start_step <= self.steps_per_epoch:
            raise UsageError(
                f"epoch {epoch}, step {start_step}: expected an epoch from 0, a step to {self.steps_per_epoch}"
            )
        order = EpochOrder(self.split.row_starts, self.config.seed, epoch)
        keep = len(self.split.row_groups) < KEPT_ROW_GROUPS
        yield from self._batches(order, range(start_step, self.steps_per_epoch), keep)

    def once(self, limit: int | None = None) -> Generator[Batch, None, None]:
        """Every drawing once, in the stored order of the lanes, not augmented; the last batch is padded and masked.

        With a `limit` only so many batches, and no more of the split is read than they need.
        """
        order = EpochOrder(self.split.row_starts, self.config.seed, None)
        whole = -(-len(self.split) // self.config.batch)
        steps = whole if limit is None else min(limit, whole)
        yield from self._batches(order, range(steps), steps == whole and len(self.split.row_groups) < KEPT_ROW_GROUPS)

    def give_back(self, batch: Batch) -> None:
        """Let a later batch be rendered into this one's images: nobody may read them any more.

        Raises:
            UsageError: they were given back before, or are of another loader.
        """
        if batch.images.shape != self._shape or any(images is batch.images for images in self._buffers):
            raise UsageError(f"batch of step {batch.step}: given back twice, or of another loader")
        self._buffers.append(batch.images)

    @property
    def _shape(self) -> tuple[int, ...]:
        look = self.config.render
        return self.config.batch // self.config.process_count, look.size, look.size, look.channels

    def _batches(self, order: EpochOrder, steps: range, keep: bool) -> Generator[Batch, None, None]:
        config = self.config
        threads = config.threads or core_count()
        blocks = Blocks(
            self._pools, order, steps, config.batch, config.process_index, config.process_count, threads, keep
        )
        # Two threads at least: even one core renders beside a caller that waits for a device.
        batches = ordered_map(self._render, blocks.shares(), max(2, threads), config.ahead)
        try:
            while True:
                with self.times.adding("waiting"):
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch
        finally:
            try:
                blocks.close()
            finally:
                batches.close()

    def _render(self, share: Share) -> Batch:
        packed, rows = share.drawings()
        config, epoch = self.config, share.epoch
        images = self._buffer()
        out, missing = images[: len(rows)], len(images) - len(rows)
        with self.times.adding("rendering"):
            drawings = packed.unpack(self.split.manifest.classes)
            if config.augmentation is None or epoch is None:
                render(drawings, config.render, mirrored=config.mirrored and epoch is None, out=out)
            else:
                render_augmented(
                    drawings, rows, config.render, config.augmentation, seed=config.seed, epoch=epoch, out=out
                )  # fmt: skip
            images[len(rows) :] = 0
        labels = drawings.word
        if missing:
            labels = np.append(labels, np.zeros(missing, np.int32))
            rows = np.append(rows, np.full(missing, -1))
        return Batch(images, labels, rows >= 0, rows, epoch or 0, share.step)

    def _buffer(self) -> UInt8Array:
        try:
            return self._buffers.pop()
        except IndexError:
            return np.empty(self._shape, np.uint8)
