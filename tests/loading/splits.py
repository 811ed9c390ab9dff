"""Small splits, kept or streamed, and what several processes see of them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.arrays import Int64Array
from pipeline.loading import blocks
from pipeline.loading import loader as loader_module
from pipeline.loading.loader import Batch, Loader, LoaderConfig
from pipeline.loading.order import LANES, EpochOrder
from pipeline.rendering.augment import Augmentation
from pipeline.rendering.render import RenderConfig
from pipeline.shards.read import ShardSplit

WORLDS = (1, 2, 4, 8)


def stream(patch: pytest.MonkeyPatch, block_rows: int = 100) -> None:
    """Let loaders stream splits however small, in blocks so small that an epoch has several."""
    patch.setattr(loader_module, "KEPT_ROW_GROUPS", 1)
    patch.setattr(blocks, "_BLOCK_ROWS", block_rows)


def all_rows(order: EpochOrder) -> Int64Array:
    """(rows,) int64, the rows of the whole epoch in order, as the interleaved lanes give them piece by piece."""
    out = np.empty(order.rows, np.int64)
    for lane in range(min(LANES, order.rows)):
        out[lane::LANES] = np.concatenate([order.permute(pool) for pool in order.pools(lane)])
    return out


def config_of(batch: int = 32, **changes: object) -> LoaderConfig:
    config = LoaderConfig(batch, render=RenderConfig(16), augmentation=Augmentation(), seed=3, threads=2)
    return dataclasses.replace(config, **changes)  # type: ignore[arg-type]


def loaders_of(split: ShardSplit, world: int, **changes: object) -> list[Loader]:
    return [Loader(split, config_of(process_index=p, process_count=world, **changes)) for p in range(world)]


def interleaved(shares: Sequence[Sequence[Batch]]) -> list[Batch]:
    """Global batches of what W processes were given: process p has places p, p + W, ..."""
    joined = []
    for parts in zip(*shares, strict=True):
        arrays = {}
        for name in ("images", "labels", "mask", "rows"):
            stacked = np.stack([getattr(part, name) for part in parts], axis=1)
            arrays[name] = stacked.reshape(-1, *stacked.shape[2:])
        joined.append(dataclasses.replace(parts[0], **arrays))
    return joined


def assert_same(found: Sequence[Batch], expected: Sequence[Batch]) -> None:
    assert [(batch.epoch, batch.step) for batch in found] == [(batch.epoch, batch.step) for batch in expected]
    for one, other in zip(found, expected, strict=True):
        for name in ("rows", "labels", "mask", "images"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def file_bytes_read() -> int:
    """Bytes that this process has read from files, as Linux counts them; skips the test elsewhere."""
    path = Path("/proc/self/io")
    if not path.exists():
        pytest.skip("only Linux counts what a process reads")
    return int(path.read_text().split()[1])
