"""Pass 2: reads a shard's ranges from the spill, sorts them, drops duplicates, and writes row groups."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.arrays import Int32Array, Int64Array, UInt64Array
from pipeline.drawings import Drawings, content_hash, from_strokes
from pipeline.shards.layout import ShardPlan
from pipeline.shards.manifest import ShardFile, footer_hash
from pipeline.shards.options import USUAL_SIZES
from pipeline.shards.records import duplicates, gather, index
from pipeline.shards.schema import SCHEMA, WRITER_OPTIONS, to_table
from pipeline.shards.shuffle import SPLITS, first_of_part, order_hash, part_of
from pipeline.shards.spill import RANGES, SpillReader
from pipeline.shards.twins import Twins
from pipeline.storage.files import Output
from pipeline.storage.reading import open_regular

_Piece = tuple[UInt64Array, Int64Array]  # a blob of records, and the bytes at which the wanted ones begin, in order


@dataclass(frozen=True)
class WrittenShard:
    """A shard on disk, and the counts of its drawings.

    Attributes:
        file: its entry in the manifest.
        classes: (K,) int64, drawings of each class.
        written: (F,) int64, drawings from each source.
        duplicates: (F,) int64, drawings from each source that were dropped as duplicates.
        same_key: drawings that share their key_id with another that has other strokes.
        keyless_duplicates: duplicates without a key_id whose word and strokes a drawing with one has.
    """

    file: ShardFile
    classes: Int64Array
    written: Int64Array
    duplicates: Int64Array
    same_key: int
    keyless_duplicates: int

    def dump(self) -> dict[str, Any]:
        """The entry for the journal."""
        counts = {name: getattr(self, name).tolist() for name in ("classes", "written", "duplicates")}
        numbers = {name: getattr(self, name) for name in ("same_key", "keyless_duplicates")}
        return {"file": asdict(self.file), **counts, **numbers}

    @staticmethod
    def load(entry: dict[str, Any]) -> "WrittenShard":
        """The shard that `dump` made into `entry`."""
        counts = {name: np.array(entry[name], np.int64) for name in ("classes", "written", "duplicates")}
        return WrittenShard(**{**entry, **counts, "file": ShardFile(**entry["file"])})


@dataclass(frozen=True)
class Vocabularies:
    """Translates the spill's numbers of words and countrycodes into those of the shards.

    Attributes:
        classes: the words in label order.
        countrycodes: in UTF-8 order.
        label: (W,) int32, the label of each spilled word; -1 if it is no class.
        code: (C + 1,) int32, the number of each spilled countrycode; the last is -1, for null.
    """

    classes: list[str]
    countrycodes: list[str]
    label: Int32Array
    code: Int32Array


def vocabularies(words: Sequence[str], classes: Sequence[str], countrycodes: Sequence[str]) -> Vocabularies:
    """The shards' vocabularies: `classes` in label order, and the countrycodes that were seen, sorted."""
    label = {word: k for k, word in enumerate(classes)}
    codes = sorted(countrycodes)
    place = {code: k for k, code in enumerate(codes)}
    return Vocabularies(
        list(classes),
        codes,
        np.array([label.get(word, -1) for word in words], np.int32),
        np.array([*(place[code] for code in countrycodes), -1], np.int32),
    )


@dataclass
class _Dropped:
    """What `ShardWriter._unique` drops and finds.

    Attributes:
        duplicates: (F,) int64, records from each source that were dropped.
        keyless: how many of them were dropped because a drawing with a key_id has the same word and strokes.
        same_key: records that share their key_id with another, but not its word or strokes.
    """

    duplicates: Int64Array
    keyless: int = 0
    same_key: int = 0


class ShardWriter:
    """Writes shards of one finished spill, in row groups of `row_group_rows`; threads may share it.

    With `twins` it drops drawings without a key_id whose word and strokes a drawing with one has.
    """

    def __init__(
        self,
        spill: SpillReader,
        named: Vocabularies,
        *,
        seed: int,
        sources: int,
        twins: Twins | None = None,
        row_group_rows: int = USUAL_SIZES.row_group_rows,
    ) -> None:
        # pyarrow's own pool keeps 25 MB more with one worker and 40 with two, and is no faster.
        pa.set_memory_pool(pa.system_memory_pool())
        self._spill, self._named, self._seed, self._sources = spill, named, seed, sources
        self._twins, self._row_group_rows = twins, row_group_rows
        empty = from_strokes([], [])
        self._like = replace(empty, words=named.classes, countrycodes=named.countrycodes)

    def write(self, plan: ShardPlan, folder: Path) -> WrittenShard:
        """Write one shard into `folder`; the caller syncs it to disk."""
        path = folder / plan.name
        classes = np.zeros(len(self._named.classes), np.int64)
        written, dropped = np.zeros(self._sources, np.int64), _Dropped(np.zeros(self._sources, np.int64))
        rows = 0
        # An open file: pyarrow tries a path as a URI first, which fails if the path is not UTF-8.
        with Output(path, sha256=hashlib.sha256()) as file, pq.ParquetWriter(file, SCHEMA, **WRITER_OPTIONS) as writer:
            for pieces in _row_groups(self._unique(plan, dropped), self._row_group_rows):
                drawings, source = self._gather(pieces)
                written += np.bincount(source, minlength=len(written))
                classes += np.bincount(drawings.word, minlength=len(classes))
                rows += len(drawings)
                writer.write_table(to_table(drawings))
            if not rows:
                writer.write_table(to_table(self._like))
        with open_regular(path, link=False) as shard:
            footer, footer_bytes = footer_hash(shard)
        entry = ShardFile(plan.name, SPLITS[plan.split], rows, file.tell(), file.sha256, footer, footer_bytes)
        return WrittenShard(entry, classes, written, dropped.duplicates, dropped.same_key, dropped.keyless)

    def _gather(self, pieces: Sequence[_Piece]) -> tuple[Drawings, Int32Array]:
        """The drawings of some records, with their final labels and codes, and their sources."""
        drawings, source = gather(pieces, self._like)
        word, code = self._named.label[drawings.word], self._named.code[drawings.countrycode]
        return replace(drawings, word=word, countrycode=code), source

    def _unique(self, plan: ShardPlan, dropped: _Dropped) -> Iterator[_Piece]:
        """The records of a shard in their order, one range of hashes at a time, without duplicates.

        What is left out is counted in `dropped`, in place.
        """
        first, last = first_of_part(plan.index, plan.count), first_of_part(plan.index + 1, plan.count) - 1
        for part in range(first * RANGES >> 64, (last * RANGES >> 64) + 1):
            partition = plan.split * RANGES + part
            if not self._spill.rows[partition]:
                continue
            blob = self._spill.read(partition)
            start, key_id = index(blob, int(self._spill.rows[partition]))
            hashes = order_hash(key_id, self._seed)
            mine = part_of(hashes, plan.count) == plan.index  # some of this range may belong to another shard
            if self._twins is not None:
                twin = mine & self._twins.of_keyed(partition, blob, start, key_id)
                dropped.keyless += self._count(blob, start, twin, dropped)
                mine &= ~twin
            if not mine.all():
                start, hashes = start[mine], hashes[mine]
            start = start.take(self._order(blob, start, hashes))
            again, same_key = duplicates(blob, start)
            dropped.same_key += same_key
            if self._count(blob, start, again, dropped):
                start = start[~again]
            yield blob, start

    def _count(self, blob: UInt64Array, start: Int64Array, which: NDArray[np.bool_], dropped: _Dropped) -> int:
        """Count the records that `which`, (N,) bool, marks as duplicates of their sources; returns how many."""
        if not which.any():
            return 0
        _, source = gather([(blob, start[which])], self._like)
        dropped.duplicates += np.bincount(source, minlength=len(dropped.duplicates))
        return len(source)

    def _order(self, blob: UInt64Array, start: Int64Array, hashes: UInt64Array) -> Int64Array:
        """The order of records: by hash; for equal hashes by content, the other columns with nulls last, and source."""
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        if not (ordered[1:] == ordered[:-1]).any():
            return order
        drawings, source = self._gather([(blob, start)])
        nulls_last = [  # as unsigned, -1 is the largest; NaT, the smallest int64, less 1 is above all times after 1970
            drawings.timestamp.view(np.int64).view(np.uint64) - np.uint64(1),
            drawings.countrycode.view(np.uint32),
            drawings.recognized.view(np.uint8),
        ]
        return np.lexsort((source, *nulls_last, content_hash(drawings), hashes))


def _row_groups(pieces: Iterator[_Piece], rows: int) -> Iterator[list[_Piece]]:
    """Regroup pieces so that each group has `rows` rows, the last one the remaining rows."""
    waiting: deque[_Piece] = deque()
    count = 0
    for blob, start in pieces:
        waiting.append((blob, start))
        count += len(start)
        while count >= rows:
            yield _taken(waiting, rows)
            count -= rows
    if count:
        yield list(waiting)


def _taken(waiting: deque[_Piece], rows: int) -> list[_Piece]:
    """Remove the first `rows` rows from `waiting` and return them."""
    taken = []
    while rows:
        blob, start = waiting.popleft()
        taken.append((blob, start[:rows]))
        if len(start) > rows:
            waiting.appendleft((blob, start[rows:]))
        rows -= min(rows, len(start))
    return taken
