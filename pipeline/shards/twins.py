"""Finds drawings without a key_id whose word and strokes a drawing with a key_id has; a build keeps only the latter.

The key_id of a drawing without one is its content hash, which also decides its partition of the spill. So if a build
took both kinds, the content hashes of the drawings with a key_id are written to a second file, each into the partition
where a drawing without a key_id would be that has the same hash. Pass 2 then compares partition by partition, in one
pass and in memory for the hashes of one partition.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt64Array
from pipeline.drawings import content_hash, from_strokes, word_salts
from pipeline.progress import Progress, untold
from pipeline.shards.records import gather, index
from pipeline.shards.shuffle import partition_of
from pipeline.shards.spill import PARTITIONS, RANGES, Piece, Segment, SpillReader
from pipeline.sources.chunks import Scanned
from pipeline.storage.files import Output
from pipeline.threads import ordered_map

COMPARING = "pass 2 of 2, comparing strokes"
HASH_BYTES = 8
_HELD = 1 << 19  # hashes gathered in memory before they are written
_MOST_WORKERS = 16  # each takes about 4 MB
_ZEROS_OF_GOOGLE = np.uint64((1 << 21) - 1)  # the bits that are zero in each of Google's key_ids
_LEAST_HASH = np.uint64(1 << 44)  # a smaller key_id is a counter or a time: one hash in a million is smaller


def keyless_in(scanned: Scanned) -> NDArray[np.bool_]:
    """(N,) bool, which drawings have their content hash for a key_id.

    Beside those whose source has no key_id, these are drawings whose source was itself made from shards of such
    drawings. Where no key_id looks like a hash, none is computed.
    """
    key_id = scanned.drawings.key_id
    keyless = np.zeros(len(key_id), np.bool_) if scanned.keyless is None else scanned.keyless
    if (~keyless & (key_id & _ZEROS_OF_GOOGLE != 0) & (key_id >= _LEAST_HASH)).any():
        keyless = content_hash(scanned.drawings) == key_id
    return keyless


class Twins:
    """Tells pass 2 which drawings without a key_id to drop; threads may share it.

    Args:
        hashes: the content hashes of the drawings with a key_id of their own, by partition.
        salts: `word_salts` of the words of the spill.
    """

    def __init__(self, hashes: SpillReader, salts: UInt64Array) -> None:
        self._hashes, self._salts = hashes, salts
        self._like = from_strokes([], [])

    def of_keyed(self, partition: int, blob: UInt64Array, start: Int64Array, key_id: UInt64Array) -> NDArray[np.bool_]:
        """(N,) bool, which records of a partition have no key_id, but the word and strokes of a drawing with one.

        Args:
            partition: the number of the partition.
            blob: its records.
            start: (N,) int64, the byte at which each record begins.
            key_id: (N,) uint64, the key_id of each record.
        """
        twin = np.zeros(len(key_id), np.bool_)
        for hashes, _ in self._hashes.parts(partition, _HELD * HASH_BYTES):
            twin |= np.isin(key_id, hashes)
        if twin.any():  # unless its own hash is its key_id, a drawing has a key_id that only happens to be that hash
            drawings, _ = gather([(blob, start[twin])], self._like)
            twin[twin] = content_hash(drawings, self._salts) == drawings.key_id
        return twin

    def close(self) -> None:
        """Close the file of hashes."""
        self._hashes.close()


def find_twins(
    spill: SpillReader,
    words: Sequence[str],
    path: Path,
    *,
    seed: int,
    splits: Sequence[Fraction],
    workers: int = 1,
    progress: Progress = untold,
) -> Twins:
    """Write the content hashes of all spilled drawings with a key_id of their own to `path`.

    Args:
        spill: the finished spill.
        words: those that the spill's numbers of words stand for.
        path: the file of hashes, which is written anew.
        seed: of the order.
        splits: shares of the splits.
        workers: threads.
        progress: is called with the drawings compared so far.
    """
    salts, like = word_salts(words), from_strokes([], [])

    def hashes_of(piece: Piece) -> tuple[int, UInt64Array]:
        blob = spill.read_piece(piece)
        start, key_id = index(blob, piece.rows)
        content = content_hash(gather([(blob, start)], like)[0], salts)
        return piece.rows, content[content != key_id]

    def told() -> Iterator[UInt64Array]:
        rows, total = 0, int(spill.rows.sum())
        progress(COMPARING, rows, total, unit="drawings")
        for count, hashes in ordered_map(hashes_of, spill.pieces(), min(workers, _MOST_WORKERS)):
            yield hashes
            rows += count
            progress(COMPARING, rows, total, unit="drawings")

    segments = []
    with Output(path) as file:
        for held in _gathered(told()):
            partition = partition_of(held, seed, splits, RANGES)
            rows = np.bincount(partition, minlength=PARTITIONS)
            segments.append(Segment(file.tell(), np.cumsum(rows) * HASH_BYTES, rows, code=0))
            file.write(held[np.argsort(partition, kind="stable")])
    return Twins(SpillReader(path, segments), salts)


def _gathered(parts: Iterator[UInt64Array]) -> Iterator[UInt64Array]:
    """The same hashes, at least `_HELD` at a time except for the last."""
    waiting: list[UInt64Array] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= _HELD:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
