"""Reads one range of hashes after another from the spill: sorted, without duplicates, in bounded memory.

A range is usually small: 50 million drawings make ranges of 13 MB. One can be large because drawings repeat, or because
many share a key_id. Such a range is read a piece at a time, and the duplicates of a piece are dropped before the next
piece is read. If its distinct drawings still do not fit, those that come first in the order are kept, and the range is
read again for those after them.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int32Array, Int64Array, UInt64Array
from pipeline.drawings import Drawings, content_hash, word_salts
from pipeline.shards.layout import ShardPlan
from pipeline.shards.records import compacted, duplicates, index, sizes_of
from pipeline.shards.shuffle import first_of_part, order_hash, part_of
from pipeline.shards.spill import RANGES, SpillReader
from pipeline.shards.twins import Twins

_UNUSED_BYTES = 1 << 16  # of a blob, beside the records that are wanted: with more it is copied to free the rest

Records = tuple[UInt64Array, Int64Array]  # a blob of records, and the bytes at which the wanted ones begin, in order
Gather = Callable[[Sequence[Records]], tuple[Drawings, Int32Array]]
_Key = tuple[np.uint64, np.uint64]  # the hash of a record, and that of its content: the order of records with others


@dataclass
class Dropped:
    """What `RangeReader.unique` drops and finds.

    Attributes:
        duplicates: (F,) int64, records from each source that were dropped.
        keyless: how many of them were dropped because a drawing with a key_id has the same word and strokes.
        same_key: records that share their key_id with another, but not its word or strokes.
    """

    duplicates: Int64Array
    keyless: int = 0
    same_key: int = 0


@dataclass(frozen=True)
class RangeReader:
    """Reads the ranges of shards from one finished spill; threads may share it.

    Attributes:
        spill: the spill.
        gather: returns the drawings of some records, with their final labels and codes, and their sources.
        classes: the words in label order.
        seed: of the order.
        held_bytes: the most bytes of records to hold of a range.
        twins: says which drawings without a key_id to drop.
    """

    spill: SpillReader
    gather: Gather
    classes: Sequence[str]
    seed: int
    held_bytes: int
    twins: Twins | None = None

    def unique(self, plan: ShardPlan, dropped: Dropped) -> Iterator[Records]:
        """The records of a shard in their order, some at a time, without duplicates.

        What is left out is counted in `dropped`, in place.
        """
        first, last = first_of_part(plan.index, plan.count), first_of_part(plan.index + 1, plan.count) - 1
        for part in range(first * RANGES >> 64, (last * RANGES >> 64) + 1):
            partition = plan.split * RANGES + part
            if self.spill.rows[partition]:
                yield from _Range(self, plan, partition, dropped).read()

    @functools.cached_property
    def salts(self) -> UInt64Array:
        """`word_salts` of the classes."""
        return word_salts(self.classes)


class _Range:
    """The records of one partition that belong to one shard."""

    def __init__(self, reader: RangeReader, plan: ShardPlan, partition: int, dropped: Dropped) -> None:
        self._reader, self._plan, self._partition, self._dropped = reader, plan, partition, dropped

    def read(self) -> Iterator[Records]:
        """The records in their order, without duplicates."""
        if self._reader.spill.bytes[self._partition] <= self._reader.held_bytes:
            yield self._whole()
            return
        low: _Key | None = None
        last: np.uint64 | None = None  # the key_id of the record before
        while True:
            (blob, start), high = self._first_from(low)
            if len(start):
                _, same_key = duplicates(blob, start)
                key_id = blob[start[[0, -1]] // 8]
                self._dropped.same_key += same_key + int(key_id[0] == last)
                last = key_id[1]
                yield blob, start
            if high is None:
                return
            low = high

    def _whole(self) -> Records:
        """All records of a range that can be held as it is, which is the usual case: nothing is computed twice."""
        reader, dropped = self._reader, self._dropped
        ((blob, rows),) = reader.spill.parts(self._partition, reader.held_bytes)
        start, key_id = index(blob, rows)
        hashes = order_hash(key_id, reader.seed)
        mine = part_of(hashes, self._plan.count) == self._plan.index  # some of this range may belong to another shard
        if reader.twins is not None:
            twin = mine & reader.twins.of_keyed(self._partition, blob, start, key_id)
            dropped.keyless += self._drop(blob, start[twin])
            mine &= ~twin
        if not mine.all():
            start, hashes = start[mine], hashes[mine]
        start = start.take(self._order(blob, start, hashes))
        again, same_key = duplicates(blob, start)
        dropped.same_key += same_key
        if self._drop(blob, start[again]):
            start = start[~again]
        return self._without_unused(blob, start) if len(start) < rows else (blob, start)

    def _drop(self, blob: UInt64Array, start: Int64Array) -> int:
        """Count records as duplicates of their sources; returns how many there are."""
        if len(start):
            self._dropped.duplicates += self._by_source((blob, start))
        return len(start)

    def _first_from(self, low: _Key | None) -> tuple[Records, _Key | None]:
        """The first records from `low` on that can be held, and the key of the first one after them, None at the end.

        Their duplicates are counted.
        """
        spill, most = self._reader.spill, self._reader.held_bytes
        piece = most // 4
        held: list[Records] = []
        high: _Key | None = None
        read, keyless = np.zeros_like(self._dropped.duplicates), 0
        for blob, rows in spill.parts(self._partition, piece):
            records, twins = self._wanted(blob, rows, low, high, read)
            keyless += twins
            held.append(self._without_duplicates(records))
            if sum(8 * len(one) for one, _ in held) > most:
                records, cut = self._cut(self._merged(held))
                held, high = [records], cut or high
        records = self._merged(held)
        if high is not None:  # some that were read before `high` was known come after it
            read[:], keyless = 0, 0
            for blob, rows in spill.parts(self._partition, piece):
                keyless += self._wanted(blob, rows, low, high, read)[1]
        self._dropped.keyless += keyless
        self._dropped.duplicates += read - self._by_source(records)
        return records, high

    def _wanted(
        self, blob: UInt64Array, rows: int, low: _Key | None, high: _Key | None, read: Int64Array
    ) -> tuple[Records, int]:
        """The records of a blob that belong to the shard and are from `low` to before `high`, without twins.

        Returns them and how many are twins; adds the number from each source, twins included, to `read`.
        """
        reader = self._reader
        start, key_id = index(blob, rows)
        hashes = order_hash(key_id, reader.seed)
        mine = part_of(hashes, self._plan.count) == self._plan.index  # some of this range may belong to another shard
        if low is not None or high is not None:
            content = self._content((blob, start))
            if low is not None:
                mine &= ~_before(hashes, content, low)
            if high is not None:
                mine &= _before(hashes, content, high)
        twins = 0
        start, key_id = (start, key_id) if mine.all() else (start[mine], key_id[mine])
        read += self._by_source((blob, start))
        if reader.twins is not None:
            twin = reader.twins.of_keyed(self._partition, blob, start, key_id)
            start, twins = start[~twin], int(twin.sum())
        return (blob, start), twins

    def _merged(self, held: Sequence[Records]) -> Records:
        """Records in one blob, sorted, without duplicates, from such blobs."""
        if len(held) == 1:
            return held[0]
        blob = np.concatenate([blob for blob, _ in held])
        shift = np.cumsum([0, *(8 * len(blob) for blob, _ in held)])
        start = np.concatenate([start + begin for (_, start), begin in zip(held, shift, strict=False)])
        return self._without_duplicates((blob, start))

    def _without_duplicates(self, records: Records) -> Records:
        """The records in their order, of equal ones the first; in a blob of their own if others take much of theirs."""
        blob, start = records
        start = start.take(self._order(blob, start, order_hash(blob[start // 8], self._reader.seed)))
        again, _ = duplicates(blob, start)
        return self._without_unused(blob, start[~again] if again.any() else start)

    def _without_unused(self, blob: UInt64Array, start: Int64Array) -> Records:
        """Records in a blob of their own, if others take more than half of theirs."""
        unused = 8 * len(blob) - int(sizes_of(blob, start).sum())
        return compacted(blob, start) if unused > max(_UNUSED_BYTES, 4 * len(blob)) else (blob, start)

    def _cut(self, records: Records) -> tuple[Records, _Key | None]:
        """The first records, which take half of what may be held, and the key of the first one after them.

        Records of one key are not separated. If all are left, there is none after them.
        """
        blob, start = records
        ends = np.cumsum(sizes_of(blob, start))
        count = int(np.searchsorted(ends, self._reader.held_bytes // 2))
        if count >= len(start):
            return records, None
        hashes = order_hash(blob[start // 8], self._reader.seed)
        content = self._content(records)
        same = (hashes == hashes[count]) & (content == content[count])
        first, last = int(np.argmax(same)), len(same) - int(np.argmax(same[::-1]))
        count = first or last
        if count == len(start):
            return records, None
        return compacted(blob, start[:count]), (hashes[count], content[count])

    def _content(self, records: Records) -> UInt64Array:
        """(N,) uint64, the hash of the word and strokes of each record."""
        return content_hash(self._reader.gather([records])[0], self._reader.salts)

    def _by_source(self, records: Records) -> Int64Array:
        """(F,) int64, how many of the records are from each source."""
        blob, start = records
        source = blob.view(np.int32)[start // 4 + 5]
        return np.bincount(source, minlength=len(self._dropped.duplicates))

    def _order(self, blob: UInt64Array, start: Int64Array, hashes: UInt64Array) -> Int64Array:
        """The order of records: by hash; for equal hashes by content, the other columns with nulls last, and source."""
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        if not (ordered[1:] == ordered[:-1]).any():
            return order
        drawings, source = self._reader.gather([(blob, start)])
        nulls_last = [  # as unsigned, -1 is the largest; NaT, the smallest int64, less 1 is above all times after 1970
            drawings.timestamp.view(np.int64).view(np.uint64) - np.uint64(1),
            drawings.countrycode.view(np.uint32),
            drawings.recognized.view(np.uint8),
        ]
        return np.lexsort((source, *nulls_last, content_hash(drawings, self._reader.salts), hashes))


def _before(hashes: UInt64Array, content: UInt64Array, key: _Key) -> NDArray[np.bool_]:
    """(N,) bool, which records come before `key`."""
    before: NDArray[np.bool_] = (hashes < key[0]) | ((hashes == key[0]) & (content < key[1]))
    return before
