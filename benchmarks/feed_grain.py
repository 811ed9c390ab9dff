"""Grain's loaders for benchmarks/feed_peers.py: its Parquet dataset, and drawings in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import grain
import numpy as np
from feed_store import BATCH, ROW_GROUP_ROWS, WINDOW, Batch, black, draw_all, read_store, store_files, strokes_of
from raster_peers import SIZE

AHEAD = 2  # batches that each worker or thread prepares ahead


def from_parquet(folder: Path, workers: int) -> Iterator[Batch]:
    """Rows shuffled in windows; each worker process has its own file, because interleaving files costs 40 us a row."""
    rows = grain.experimental.ParquetIterDataset(store_files(folder, max(1, workers)))
    shuffled = grain.experimental.WindowShuffleIterDataset(rows, window_size=WINDOW * ROW_GROUP_ROWS, seed=0)
    batches = shuffled.batch(BATCH, drop_remainder=True, batch_fn=DrawRows(folder.name))
    endless = grain.experimental.RepeatIterDataset(batches)
    if workers:
        options = grain.multiprocessing.MultiprocessingOptions(workers, per_worker_buffer_size=AHEAD)
        endless = endless.mp_prefetch(options, worker_init_fn=start_worker)
    return iter(endless)


def from_memory(folder: Path, threads: int) -> Iterator[Batch]:
    """All rows shuffled together; batches drawn on threads."""
    store = read_store(folder)
    rows = grain.MapDataset.range(len(store)).seed(0).shuffle()
    batches = rows.batch(BATCH, drop_remainder=True).map(store.batch).repeat()
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=AHEAD * threads)))


class DrawRows:
    """Draws rows of a store as a batch, in shared memory if Grain's workers ask for it."""

    def __init__(self, recipe: str) -> None:
        self.recipe = recipe
        self.shared = False

    def enable_shared_memory_output(self) -> None:
        """Called by Grain."""
        self.shared = True

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """Draw the rows as one batch."""
        shape = (len(rows), SIZE, SIZE, 3)
        images = grain.multiprocessing.SharedMemoryArray(shape, np.uint8) if self.shared else black(len(rows))
        draw_all([strokes_of(row["points"], row["stroke_end"]) for row in rows], images, self.recipe)
        return images, np.array([row["label"] for row in rows]), np.array([row["row"] for row in rows])


def start_worker(number: int, count: int) -> None:
    """Called by Grain in worker `number` of `count`."""
    del number, count
    cv2.setNumThreads(1)
