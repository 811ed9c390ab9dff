"""tf.data's loader for benchmarks/feed_peers.py: drawings in memory, drawn on its threads."""

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from feed_store import BATCH, Batch, read_store

AHEAD = 2  # batches that are prepared ahead


def from_memory(folder: Path, threads: int) -> Iterator[Batch]:
    """All rows shuffled together; a whole batch is drawn in one call of Python."""
    store = read_store(folder)
    rows = tf.data.Dataset.range(len(store)).shuffle(len(store), seed=0).batch(BATCH, drop_remainder=True).repeat()
    types = (tf.uint8, tf.int32, tf.int64)
    batches = rows.map(lambda some: tf.numpy_function(store.batch, [some], types), threads).prefetch(AHEAD)
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    iterator: Iterator[Batch] = batches.with_options(options).as_numpy_iterator()
    return iterator
