"""sketchpipe's loaders for benchmarks/feed_peers.py; each epoch decodes the shards again."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from feed_store import BATCH, Batch

from pipeline.loading.loader import Loader, LoaderConfig
from pipeline.rendering.augment import Augmentation
from pipeline.shards.read import open_split


def plain(folder: Path, threads: int, augmentation: Augmentation | None = None) -> Iterator[Batch]:
    """Batches whose image memory is given back to the loader, as in `train`."""
    split = open_split(folder, "train")
    config = LoaderConfig(BATCH, augmentation=augmentation, threads=threads)
    for epoch in itertools.count():
        loader = Loader(split, config)
        for batch in loader.epoch(epoch):
            yield batch.images, batch.labels, batch.rows
            loader.give_back(batch)


def augmented(folder: Path, threads: int) -> Iterator[Batch]:
    return plain(folder, threads, Augmentation())
