"""PyTorch's loaders for benchmarks/feed_peers.py: drawings in memory or in Parquet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from feed_store import BATCH, WINDOW, Batch, Image, Store, black, draw_all, read_store, store_files, strokes_of
from raster_peers import SIZE
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info


def by_batch(folder: Path, workers: int) -> Iterator[Batch]:
    """The DataLoader asks the dataset for a batch at a time."""
    return epochs(Batches(read_store(folder)), workers, BATCH, shuffle=True, drop_last=True, collate_fn=unchanged)


def by_drawing(folder: Path, workers: int) -> Iterator[Batch]:
    """The DataLoader asks the dataset for a drawing at a time, as in tutorials."""
    return epochs(Samples(read_store(folder)), workers, BATCH, shuffle=True, drop_last=True)


def from_parquet(folder: Path, workers: int) -> Iterator[Batch]:
    """Row groups in a random order, some of them shuffled together at a time; each worker has its own file."""
    stream = Stream(store_files(folder, max(1, workers)), folder.name)
    return epochs(stream, workers, None, collate_fn=unchanged)


def epochs(dataset: Any, workers: int, batch: int | None, **options: Any) -> Iterator[Batch]:
    """The batches of a dataset, epoch after epoch; its workers are kept."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    loader: DataLoader[Batch] = DataLoader(
        dataset, batch, num_workers=workers, persistent_workers=workers > 0, generator=generator, **options
    )
    while True:
        yield from loader


class Batches(Dataset[Batch]):
    """Drawings in memory, drawn a batch at a time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.labels = torch.from_numpy(store.labels)

    def __len__(self) -> int:
        return len(self.store)

    def __getitems__(self, rows: list[int]) -> Batch:
        images, array = new_images(len(rows))
        self.store.draw(rows, array)
        indices = torch.tensor(rows)
        return images, self.labels[indices], indices


class Samples(Dataset[Batch]):
    """Drawings in memory, drawn one by one."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.labels = store.labels.tolist()

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, row: int) -> Batch:
        image = black(1)
        self.store.draw([row], image)
        return torch.from_numpy(image[0]), self.labels[row], row


class Stream(IterableDataset[Batch]):
    """Batches from Parquet, a file for each worker."""

    def __init__(self, paths: list[str], recipe: str) -> None:
        self.paths = paths
        self.recipe = recipe
        self.generator = np.random.default_rng(0)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        file = pq.ParquetFile(self.paths[worker.id if worker else 0])
        groups = self.generator.permutation(file.num_row_groups)
        window: list[tuple[bytes, bytes, int, int]] = []
        for some in np.split(groups, range(WINDOW, len(groups), WINDOW)):
            columns = file.read_row_groups(some.tolist(), use_threads=False).columns
            window += zip(*(column.to_pylist() for column in columns), strict=True)
            order = self.generator.permutation(len(window)).tolist()
            whole = len(order) // BATCH * BATCH
            for start in range(0, whole, BATCH):
                yield self.draw([window[place] for place in order[start : start + BATCH]])
            window = [window[place] for place in order[whole:]]

    def draw(self, drawings: list[tuple[bytes, bytes, int, int]]) -> Batch:
        """Draw rows of the file."""
        images, array = new_images(len(drawings))
        draw_all([strokes_of(points, ends) for points, ends, _, _ in drawings], array, self.recipe)
        labels, rows = ([drawing[place] for drawing in drawings] for place in (2, 3))
        return images, torch.tensor(labels), torch.tensor(rows)


def new_images(count: int) -> tuple[torch.Tensor, Image]:
    """Black images and their array; in a worker in shared memory, which saves a copy, as in PyTorch's own collate."""
    shape = (count, SIZE, SIZE, 3)
    if get_worker_info() is None:
        array = black(count)
        return torch.from_numpy(array), array
    storage = torch.UntypedStorage._new_shared(count * SIZE * SIZE * 3)  # fresh pages are zero
    images = torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)
    return images, images.numpy()


def unchanged(batch: Batch) -> Batch:
    return batch
