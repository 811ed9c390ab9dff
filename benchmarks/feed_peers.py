"""Checks and times one loader of benchmarks/feed.py in a process of its own, and prints JSON.

    python benchmarks/feed_peers.py LOADER WORKERS FOLDER SECONDS

A loader gives shuffled batches of 256 images and labels without end. LOADER is a name of `LOADERS`; FOLDER holds its
drawings: shards for sketchpipe, a store of benchmarks/feed_store.py for the peers. The batches of one epoch are checked
first: shapes, dtypes, labels, images against the recipe or sketchpipe's renderer, and that no drawing occurs twice.
Then whole epochs are timed, for at least SECONDS; CPU time is that of the whole process tree.

The peers are written as an expert would write them: a whole batch is drawn into the one array that the caller gets, in
shared memory if the caller is another process, and workers are kept from epoch to epoch.
"""

import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from feed_store import BATCH, Batch, black, read_store
from raster_peers import SIZE, Image

from pipeline.drawings import concat
from pipeline.rendering.augment import Augmentation
from pipeline.rendering.render import RenderConfig, render, render_augmented
from pipeline.shards.read import open_split

LOADERS = {
    "sketchpipe": ("feed_sketchpipe", "plain"),
    "sketchpipe-augmented": ("feed_sketchpipe", "augmented"),
    "torch-batches": ("feed_torch", "by_batch"),
    "torch-drawings": ("feed_torch", "by_drawing"),
    "torch-parquet": ("feed_torch", "from_parquet"),
    "grain-parquet": ("feed_grain", "from_parquet"),
    "grain-memory": ("feed_grain", "from_memory"),
    "tensorflow": ("feed_tensorflow", "from_memory"),
}
DRAWN_AGAIN = 8  # images of each batch that are drawn again to check that they belong to their rows


def main() -> None:
    name, workers, folder, seconds = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
    cv2.setNumThreads(1)
    module, function = LOADERS[name]
    try:
        batches = getattr(importlib.import_module(module), function)(folder, workers)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    steps = check_epoch(batches, folder, max(1, workers), augmented=function == "augmented")
    tree = psutil.Process()
    count, start, start_cpu = 0, time.perf_counter(), cpu_seconds(tree)
    while count % steps or time.perf_counter() - start < seconds:
        next(batches)
        count += 1
    wall, cpu = time.perf_counter() - start, cpu_seconds(tree) - start_cpu
    print(json.dumps({"images": count * BATCH, "seconds": wall, "cpu_seconds": cpu}))


class Expected:
    """The expected content of sketchpipe's first epoch: all drawings in memory, rendered without the loader."""

    def __init__(self, folder: Path, augmented: bool) -> None:
        split = open_split(folder, "train")
        self.drawings = concat([split.read_row_group(group) for group in range(len(split.row_groups))])
        self.labels = self.drawings.word
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.drawings)

    def draw(self, rows: list[int], images: Image) -> None:
        """Draw rows into (B, 64, 64, 3) images."""
        drawings, config = self.drawings.take(np.array(rows)), RenderConfig(SIZE)
        if self.augmented:
            render_augmented(drawings, np.array(rows), config, Augmentation(), seed=0, epoch=0, out=images)
        else:
            render(drawings, config, out=images)


def check_epoch(batches: Iterator[Batch], folder: Path, workers: int, *, augmented: bool) -> int:
    """Check an epoch's batches and stop the process at a wrong one; returns how many batches an epoch has.

    Each of several workers may drop a partial batch of its own, so one batch less than there are workers is not
    checked.
    """
    shards = (folder / "manifest.json").exists()
    expected = Expected(folder, augmented) if shards else read_store(folder)
    count = len(expected)
    seen = np.zeros(count, np.bool_)
    for _ in range(count // BATCH - workers + 1):
        images, labels, rows = (np.asarray(part) for part in next(batches))
        if images.shape != (BATCH, SIZE, SIZE, 3) or images.dtype != np.uint8 or labels.shape != (BATCH,):
            sys.exit(f"WRONG: a batch of {images.dtype} {images.shape}, labels {labels.shape}")
        if labels.dtype.kind not in "iu" or len(np.unique(rows)) < BATCH or seen[rows].any():
            sys.exit(f"WRONG: a drawing occurs twice, or labels are {labels.dtype}")
        seen[rows] = True
        again = black(DRAWN_AGAIN)
        expected.draw(rows[:DRAWN_AGAIN].tolist(), again)
        if not np.array_equal(again, images[:DRAWN_AGAIN]) or not np.array_equal(expected.labels[rows], labels):
            sys.exit("WRONG: images or labels do not belong to their rows")
    return count // BATCH


def cpu_seconds(tree: psutil.Process) -> float:
    """The CPU time of a process, of its descendants, and of those that have ended."""
    return sum(sum(process.cpu_times()[:4]) for process in (tree, *tree.children(recursive=True)))


if __name__ == "__main__":
    main()
