"""`Loader`: batches of rendered images from shards, in an exact order, rendered on threads ahead of the caller.

Knows no JAX: batches are NumPy arrays. `model/compute/feed.py` puts them on devices.
"""

import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.errors import UsageError
from pipeline.loading.blocks import Blocks, Share
from pipeline.loading.order import LANES, EpochOrder
from pipeline.loading.pools import PoolReader
from pipeline.loading.transform import Transform, apply_transform
from pipeline.rendering.augment import Augmentation
from pipeline.rendering.render import RenderConfig, render, render_augmented
from pipeline.shards.read import ShardSplit, open_split
from pipeline.threads import Times, core_count, ordered_map
from pipeline.wording import counted

KEPT_ROW_GROUPS = 10 * LANES  # a split with fewer row groups is decoded once and kept: at most about 850 MB


@dataclass(frozen=True)
class LoaderConfig:
    """How a split becomes batches.

    Attributes:
        batch: how many drawings a global batch has, over all processes.
        render: how drawings become images.
        augmentation: how drawings are changed before they are drawn; None leaves them as they are.
        seed: the seed of the order and the augmentation.
        process_index: this process's number.
        process_count: how many processes share each batch: a divisor of 64 and of `batch`.
        threads: how many read and render; None takes the machine's cores.
        ahead: batches rendered ahead of the caller, beside those that threads are rendering.
        mirrored: whether `once` mirrors every drawing's strokes.
        skip_corrupt: whether to skip row groups that cannot be read, instead of raising an error. In training, other
            drawings, of the same pool if possible, take their places; in evaluation these places are masked out.
        transform: is called on each rendered batch: `transform(images, labels, rng)` gets (B, H, W, C) uint8, (B,)
            int32 and a generator seeded by (seed, epoch, batch), and returns two NumPy arrays of B entries, of any
            dtype and other axes. It runs in any thread, in evaluation too: there a batch may have rows of padding,
            which are black and have label 0. An error in it ends the iteration with one that names the batch.
    """

    batch: int = 256
    render: RenderConfig = field(default_factory=RenderConfig)
    augmentation: Augmentation | None = None
    seed: int = 0
    process_index: int = 0
    process_count: int = 1
    threads: int | None = None
    ahead: int = 2
    skip_corrupt: bool = False
    mirrored: bool = False
    transform: Transform | None = None

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
        if not 0 <= self.seed < 1 << 64:
            raise UsageError(f"seed {self.seed}: expected a whole number from 0 to 2**64 - 1")


class LoaderSettings(TypedDict, total=False):
    """The keywords of `Loader`: the attributes of `LoaderConfig`, which says what they mean and their defaults."""

    batch: int
    render: RenderConfig
    augmentation: Augmentation | None
    seed: int
    process_index: int
    process_count: int
    threads: int | None
    ahead: int
    skip_corrupt: bool
    mirrored: bool
    transform: Transform | None


@dataclass(frozen=True, repr=False)
class Batch:
    """One process's share of a global batch, B drawings.

    Attributes:
        images: (B, size, size, C) uint8, light on black; or what the transform returned, if there is one.
        labels: (B,) int32, the shards' labels; or what the transform returned, if there is one.
        mask: (B,) bool, False in an evaluation's padding, and where a drawing cannot be read.
        rows: (B,) int64, each drawing's row in the split; -1 where there is none.
        epoch: from 0.
        step: its number in the epoch, from 0.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    mask: NDArray[np.bool_]
    rows: Int64Array
    epoch: int
    step: int
    # The array it was rendered into, until it is given back; a transform may return other arrays.
    _memory: list[UInt8Array] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Batch(epoch {self.epoch}, step {self.step}, images {self.images.shape} {self.images.dtype})"


class Loader:
    """Batches of one split: iterate the loader itself or `epoch` for training, `once` for evaluation.

    Each `iter` takes the next epoch, even if the one before was not finished; `len` is the batches of an epoch. Several
    iterations may run at once, each with threads of its own, which end when the iteration is finished, closed or
    garbage-collected. A pickled loader holds its split, its settings and the number of its next epoch.

    Attributes:
        split: the shards.
        config: how the split becomes batches.
        next_epoch: the epoch that the next `iter` takes; may be set.
        times: how long each kind of work has taken so far.
    """

    def __init__(
        self,
        shards: ShardSplit | str | Path,
        config: LoaderConfig | None = None,
        *,
        split: str | None = None,
        **settings: Unpack[LoaderSettings],
    ) -> None:
        """Open the shards; batches are read only when they are requested.

        Args:
            shards: a folder of shards, or an open split.
            config: how the split becomes batches; None takes the defaults of `LoaderConfig`.
            split: which split of the folder: train, validation or test; None is train.
            **settings: attributes of `LoaderConfig`, in place of those of `config`.

        Raises:
            UsageError: a setting has an invalid value, or there is no such split.
            InputError: the folder does not exist, or the split has no drawings.
            ShardError: the manifest or a shard is missing or damaged.
        """
        if isinstance(shards, ShardSplit) and split not in (None, shards.name):
            raise UsageError(f'split "{split}": the given shards are the {shards.name} split of {shards.folder}')
        opened = shards if isinstance(shards, ShardSplit) else open_split(shards, split or "train")
        self._begin(opened, replace(config or LoaderConfig(), **settings), 0)

    def _begin(self, split: ShardSplit, config: LoaderConfig, next_epoch: int) -> None:
        self.split, self.config, self.next_epoch = split, config, next_epoch
        self.times = Times()
        self._pools = PoolReader(split, self.times, config.skip_corrupt)
        self._buffers: list[UInt8Array] = []
        self._counting = threading.Lock()

    def __getstate__(self) -> tuple[ShardSplit, LoaderConfig, int]:
        return self.split, self.config, self.next_epoch

    def __setstate__(self, state: tuple[ShardSplit, LoaderConfig, int]) -> None:
        self._begin(*state)

    def __repr__(self) -> str:
        drawings, batches = counted(len(self.split), "drawing"), f"{len(self):,} of {self.config.batch:,}"
        where = f"{self.split.folder} {self.split.name}"
        return f"Loader({where}, {drawings}, batches: {batches}, seed {self.config.seed})"

    def __len__(self) -> int:
        """The number of batches in an epoch: the full batches of the split."""
        return len(self.split) // self.config.batch

    def __iter__(self) -> Generator[Batch, None, None]:
        """The batches of `next_epoch`, which is incremented at once."""
        with self._counting:
            epoch, self.next_epoch = self.next_epoch, self.next_epoch + 1
        return self.epoch(epoch)

    @property
    def waited_seconds(self) -> float:
        """How long callers have waited for batches so far."""
        return self.times.waiting

    @property
    def corrupt(self) -> dict[Path, int]:
        """The shards with row groups that were skipped so far, and how many rows were skipped in each."""
        found: dict[Path, int] = {}
        for group in sorted(self._pools.lost):
            path = self.split.path_of(group)
            found[path] = found.get(path, 0) + self.split.rows_in(group)
        return found

    @property
    def skipped(self) -> int:
        """How many drawings of the split this process has found unreadable so far."""
        return sum(self.corrupt.values())

    def epoch(self, epoch: int, start_step: int = 0) -> Generator[Batch, None, None]:
        """The batches of an epoch from `start_step` on: no drawing twice, without the last partial batch.

        Raises:
            UsageError: the batch is larger than the split.
            ShardError: a shard is damaged, or the shards were replaced.
        """
        if len(self) == 0:
            count = counted(len(self.split), "drawing")
            raise UsageError(f"batch {self.config.batch} is larger than the {self.split.name} split ({count})")
        if epoch < 0 or not 0 <= start_step <= len(self):
            raise UsageError(f"epoch {epoch}, step {start_step}: expected an epoch from 0, a step to {len(self)}")
        order = EpochOrder(self.split.row_starts, self.config.seed, epoch)
        keep = len(self.split.row_groups) < KEPT_ROW_GROUPS
        yield from self._batches(order, range(start_step, len(self)), keep)

    def once(self, limit: int | None = None) -> Generator[Batch, None, None]:
        """Every drawing once, in the stored order of the lanes, not augmented; the last batch is padded and masked.

        With a `limit`, only so many batches; no more of the split is read than they need.
        """
        order = EpochOrder(self.split.row_starts, self.config.seed, None)
        whole = -(-len(self.split) // self.config.batch)
        steps = whole if limit is None else min(limit, whole)
        yield from self._batches(order, range(steps), steps == whole and len(self.split.row_groups) < KEPT_ROW_GROUPS)

    def give_back(self, batch: Batch) -> None:
        """Let a later batch be rendered into this one's memory; its images must not be read any more.

        Raises:
            UsageError: the batch was given back before, or its images have another shape than this loader's.
        """
        if not batch._memory or batch._memory[0].shape != self._shape:
            raise UsageError(f"batch of step {batch.step}: given back twice, or of a loader of another shape")
        self._buffers.append(batch._memory.pop())

    @property
    def _shape(self) -> tuple[int, ...]:
        render = self.config.render
        return self.config.batch // self.config.process_count, render.size, render.size, render.channels

    def _batches(self, order: EpochOrder, steps: range, keep: bool) -> Generator[Batch, None, None]:
        config = self.config
        threads = config.threads or core_count()
        blocks = Blocks(
            self._pools, order, steps, config.batch, config.process_index, config.process_count, threads, keep
        )
        # At least two threads: even one core can render while the caller waits for a device.
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
        buffer = images = self._buffer()
        out, missing = images[: len(rows)], len(images) - len(rows)
        with self.times.adding("rendering"):
            drawings = packed.unpack(self.split.manifest.classes)
            if config.augmentation is None or epoch is None:
                render(drawings, config.render, mirrored=config.mirrored and epoch is None, out=out)
            else:
                how = config.render, config.augmentation
                render_augmented(drawings, rows, *how, seed=config.seed, epoch=epoch, out=out)
            images[len(rows) :] = 0
        labels: NDArray[Any] = drawings.word
        if missing:
            labels = np.append(labels, np.zeros(missing, np.int32))
            rows = np.append(rows, np.full(missing, -1))
        if config.transform is not None:
            with self.times.adding("transforming"):
                images, labels = apply_transform(
                    config.transform, images, labels,
                    seed=config.seed, epoch=epoch, step=share.step, process_index=config.process_index,
                )  # fmt: skip
        return Batch(images, labels, rows >= 0, rows, epoch or 0, share.step, [buffer])

    def _buffer(self) -> UInt8Array:
        try:
            return self._buffers.pop()
        except IndexError:
            return np.empty(self._shape, np.uint8)
