"""Pass 2: each shard is read from the spill range by range, sorted, freed of duplicates, and written in row groups."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.drawings import Drawings, Int64Array, concat
from pipeline.hashing import UInt64Array, content_hash
from pipeline.shards.manifest import ShardFile, footer_hash
from pipeline.shards.schema import ROW_GROUP_ROWS, SCHEMA, WRITER_OPTIONS, to_table
from pipeline.shards.shuffle import SPLITS, first_of_part, order_hash, part_of
from pipeline.shards.spill import RANGES, Spill, Spilled

ROWS_PER_SHARD = 1 << 20


@dataclass(frozen=True)
class ShardPlan:
    """One shard to write: number `index` of the `count` shards of a split (an index into `SPLITS`)."""

    split: int
    index: int
    count: int

    @property
    def name(self) -> str:
        """The file's name, as Hugging Face's `datasets` and others read it without being told."""
        return f"{SPLITS[self.split]}-{self.index:05d}-of-{self.count:05d}.parquet"


@dataclass(frozen=True)
class WrittenShard:
    """A shard on disk, and what its writing counted.

    Attributes:
        file: its line in the manifest.
        classes: (K,) int64, drawings of each class.
        written: (F,) int64, drawings from each source.
        duplicates: (F,) int64, drawings from each source that were there already.
        same_key: drawings that share their key_id with another that has other strokes.
    """

    file: ShardFile
    classes: Int64Array
    written: Int64Array
    duplicates: Int64Array
    same_key: int


def plan_shards(rows_of_split: Int64Array, num_shards: int | None) -> list[ShardPlan]:
    """The shards of each split that has rows: `num_shards` for the first, as many rows a shard for the others.

    None makes a shard for each `ROWS_PER_SHARD`.
    """
    rows = [int(count) for count in rows_of_split]
    counts = [-(-count // ROWS_PER_SHARD) for count in rows]
    if num_shards is not None and rows[0]:
        counts = [-(-count * num_shards // rows[0]) for count in rows]
    return [ShardPlan(split, index, count) for split, count in enumerate(counts) for index in range(count)]


def write_shard(plan: ShardPlan, folder: Path, spill: Spill, seed: int, sources: int) -> WrittenShard:
    """Write one shard of what the finished `spill` holds of so many `sources` into `folder`."""
    path, like = folder / plan.name, spill.like
    classes = np.zeros(len(like.words), np.int64)
    written, duplicates = np.zeros(sources, np.int64), np.zeros(sources, np.int64)
    same_key = rows = 0
    # An open file: pyarrow takes a path for a URI first, which one that is not UTF-8 cannot be.
    with path.open("wb") as file, pq.ParquetWriter(file, SCHEMA, **WRITER_OPTIONS) as writer:
        pending: list[Drawings] = []
        waiting = 0
        for spilled in _sorted_ranges(plan, spill, seed):
            keep, same = _unique(spilled)
            duplicates += np.bincount(spilled.source[~keep], minlength=sources)
            written += np.bincount(spilled.source[keep], minlength=sources)
            same_key += same
            pending.append(spilled.drawings if keep.all() else spilled.drawings.take(np.flatnonzero(keep)))
            classes += np.bincount(pending[-1].word, minlength=len(classes))
            rows += len(pending[-1])
            waiting += len(pending[-1])
            if waiting >= ROW_GROUP_ROWS:
                gathered = concat(pending)
                full = waiting - waiting % ROW_GROUP_ROWS
                for start in range(0, full, ROW_GROUP_ROWS):
                    writer.write_table(to_table(gathered.take(np.arange(start, start + ROW_GROUP_ROWS))))
                pending, waiting = [gathered.take(np.arange(full, waiting))], waiting - full
        if waiting or not rows:
            writer.write_table(to_table(concat(pending or [like])))
    with path.open("rb") as written_file:
        digest = hashlib.file_digest(written_file, "sha256").hexdigest()
        footer, footer_bytes = footer_hash(written_file)
    entry = ShardFile(plan.name, SPLITS[plan.split], rows, path.stat().st_size, digest, footer, footer_bytes)
    return WrittenShard(entry, classes, written, duplicates, same_key)


def _sorted_ranges(plan: ShardPlan, spill: Spill, seed: int) -> Iterator[Spilled]:
    """The drawings of a shard in their order, a range of hashes at a time."""
    first, last = first_of_part(plan.index, plan.count), first_of_part(plan.index + 1, plan.count) - 1
    for part in range(first * RANGES >> 64, (last * RANGES >> 64) + 1):
        partition = plan.split * RANGES + part
        if spill.rows[partition] == 0:
            continue
        spilled = spill.read(partition)
        hashes = order_hash(spilled.drawings.key_id, seed)
        mine = np.flatnonzero(part_of(hashes, plan.count) == plan.index)
        if len(mine) < len(hashes):  # the shard's border cuts this range
            spilled, hashes = spilled.take(mine), hashes[mine]
        if len(hashes):
            yield spilled.take(_order(spilled, hashes))


def _order(spilled: Spilled, hashes: UInt64Array) -> Int64Array:
    """By hash; where hashes tie, by content, then by the other columns with nulls last, then by source."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    if not (ordered[1:] == ordered[:-1]).any():
        return order
    drawings = spilled.drawings
    nulls_last = [  # a null is -1, or the smallest int64: the largest as unsigned, once that is one less
        drawings.timestamp.view(np.int64).view(np.uint64) - np.uint64(1),
        drawings.countrycode.view(np.uint32),
        drawings.recognized.view(np.uint8),
    ]
    return np.lexsort((spilled.source, *nulls_last, content_hash(drawings), hashes))


def _unique(spilled: Spilled) -> tuple[NDArray[np.bool_], int]:
    """Which are the first of their key_id, word and strokes; and how many share only the key_id."""
    drawings = spilled.drawings
    keep = np.ones(len(drawings), np.bool_)
    same_key = 0
    for row in np.flatnonzero(drawings.key_id[1:] == drawings.key_id[:-1]) + 1:
        pair = drawings.take(np.array([row - 1, row]))
        if pair.word[0] == pair.word[1] and pair.strokes(0) == pair.strokes(1):
            keep[row] = False
        else:
            same_key += 1
    return keep, same_key
