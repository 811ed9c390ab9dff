"""Stores accepted drawings on disk between the two passes, by ranges of their hash.

Partition p holds the drawings of split p // RANGES whose hash lies in part p % RANGES of all hashes, so that pass 2
takes partitions one by one and needs memory for a few of them, however large the build is. The file is a sequence of
segments; each holds its records, partition by partition, and then its index.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from pipeline.arrays import Int64Array, UInt8Array, UInt64Array
from pipeline.drawings import Drawings
from pipeline.shards.records import record_sizes, scatter
from pipeline.shards.shuffle import SPLITS
from pipeline.storage.files import Output

RANGES = 512
PARTITIONS = RANGES * len(SPLITS)
_PIECE_BYTES = 1 << 20
_ROW_BYTES = 49  # of memory for a drawing's columns, its partition and its size


@dataclass(frozen=True)
class Segment:
    """The place of a segment in the spill, and its index.

    Attributes:
        offset: its first byte in the spill.
        ends: (PARTITIONS,) int64, the end of each partition's records, in bytes from `offset`.
        rows: (PARTITIONS,) int64, how many records each partition has.
        code: XXH64 of the records and the index.
    """

    offset: int
    ends: Int64Array
    rows: Int64Array
    code: int

    @property
    def end(self) -> int:
        """The byte of the spill after its index."""
        return self.offset + int(self.ends[-1]) + self.ends.nbytes + self.rows.nbytes


@dataclass(frozen=True)
class Gathered:
    """Drawings of one source that are to be written to the spill.

    Attributes:
        drawings: N drawings.
        source: the number of their source.
        partition: (N,) int64, the partition of each; -1 for those that are left out.
        sizes: (N,) int64, the bytes of each record.
    """

    drawings: Drawings
    source: int
    partition: Int64Array
    sizes: Int64Array

    @property
    def bytes(self) -> int:
        """How much memory they take: an end of a stroke takes four times as much as in a record."""
        drawings = self.drawings
        return 2 * len(drawings.x) + 8 * len(drawings.stroke_end) + _ROW_BYTES * len(drawings)


def gathered(drawings: Drawings, source: int, partition: Int64Array) -> Gathered:
    """Drawings of one source, each to be written into its `partition`, (N,) int64; -1 leaves one out."""
    wanted = np.flatnonzero(partition >= 0)
    if 2 * len(wanted) < len(partition):  # otherwise the others would be kept in memory too
        drawings, partition = drawings.take(wanted), partition.take(wanted)
    return Gathered(drawings, source, partition, record_sizes(drawings))


class SpillWriter:
    """Gathers drawings that take about `segment_bytes` of memory, and writes them to an open file as a segment."""

    def __init__(self, file: Output, segment_bytes: int) -> None:
        self._file, self._segment_bytes = file, segment_bytes
        self._waiting: list[Gathered] = []
        self._bytes = 0
        self._buffer = np.empty(0, np.uint64)

    def add(self, drawings: Gathered) -> None:
        """Add drawings to the next segment."""
        self._waiting.append(drawings)
        self._bytes += drawings.bytes

    @property
    def is_full(self) -> bool:
        """Whether enough is gathered for a segment."""
        return self._bytes >= self._segment_bytes

    def take(self) -> list[Gathered]:
        """The drawings that were added; those added from now on are for the segment after."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        return waiting

    def write(self, waiting: Sequence[Gathered]) -> Segment:
        """Write what `take` returned as a segment and sync it to disk; any thread may call this, one at a time."""
        bytes_of, rows = np.zeros(PARTITIONS, np.int64), np.zeros(PARTITIONS, np.int64)
        for some in waiting:
            wanted = some.partition >= 0
            # Exact: float64 holds every whole number below 2**53.
            bytes_of += np.bincount(some.partition[wanted], some.sizes[wanted], PARTITIONS).astype(np.int64)
            rows += np.bincount(some.partition[wanted], minlength=PARTITIONS)
        ends = np.cumsum(bytes_of)
        if len(self._buffer) * 8 < ends[-1]:
            self._buffer = np.empty(int(ends[-1]) // 8, np.uint64)
        blob = self._buffer[: int(ends[-1]) // 8]
        free = ends - bytes_of
        for some in waiting:
            scatter(some.drawings, some.source, some.partition, free, blob)
        code = _code([blob.view(np.uint8), ends.view(np.uint8), rows.view(np.uint8)])
        segment = Segment(self._file.tell(), ends, rows, code)
        for part in (blob, ends, rows):
            self._file.write(part)
        self._file.sync()
        return segment


@dataclass(frozen=True)
class Piece:
    """Records of consecutive partitions that lie side by side in one segment.

    Attributes:
        offset: its first byte in the spill.
        bytes: its length.
        rows: how many records it holds.
    """

    offset: int
    bytes: int
    rows: int


class SpillReader:
    """Reads partitions of finished segments; threads may share it.

    Attributes:
        rows, bytes: (PARTITIONS,) int64, how many records each partition has, and how many bytes these have.
    """

    def __init__(self, path: Path, segments: Sequence[Segment]) -> None:
        self._file = path.open("rb", buffering=0)
        self._segments = segments
        self.rows, self.bytes = np.zeros(PARTITIONS, np.int64), np.zeros(PARTITIONS, np.int64)
        for segment in segments:
            self.rows += segment.rows
            self.bytes += np.diff(segment.ends, prepend=0)

    def parts(self, partition: int, most: int) -> Iterator[tuple[UInt64Array, int]]:
        """The records of a partition in the order in which they were added, and their number, some at a time.

        A part has at most `most` bytes, or is what one segment has of the partition. There is one part or more.
        """
        waiting: list[Piece] = []
        for span in self._spans(partition):
            if waiting and sum(one.bytes for one in waiting) + span.bytes > most:
                yield self._read(waiting)
                waiting = []
            waiting.append(span)
        yield self._read(waiting)

    def pieces(self) -> Iterator[Piece]:
        """All records in the order of the file, in pieces of about `_PIECE_BYTES`."""
        for segment in self._segments:
            last = np.flatnonzero(np.diff(segment.ends // _PIECE_BYTES, append=-1))  # the last partition of each piece
            ends, rows = segment.ends[last], np.cumsum(segment.rows)[last]
            for end, length, count in zip(ends, np.diff(ends, prepend=0), np.diff(rows, prepend=0), strict=True):
                yield Piece(segment.offset + int(end - length), int(length), int(count))

    def read_piece(self, piece: Piece) -> UInt64Array:
        """(B,) uint64, the records of a piece."""
        return self._read([piece])[0]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _spans(self, partition: int) -> Iterator[Piece]:
        """Where each segment has records of a partition."""
        for segment in self._segments:
            start = int(segment.ends[partition - 1]) if partition else 0
            length = int(segment.ends[partition]) - start
            if length:
                yield Piece(segment.offset + start, length, int(segment.rows[partition]))

    def _read(self, pieces: Sequence[Piece]) -> tuple[UInt64Array, int]:
        blob = np.empty(sum(piece.bytes for piece in pieces) // 8, np.uint64)
        view, place = blob.view(np.uint8).data, 0
        for piece in pieces:
            self._read_into(view[place : place + piece.bytes], piece.offset)
            place += piece.bytes
        return blob, sum(piece.rows for piece in pieces)

    def _read_into(self, view: memoryview, offset: int) -> None:
        place = 0
        while place < len(view):
            # Not preadv, which older versions of macOS lack.
            got = os.pread(self._file.fileno(), len(view) - place, offset + place)
            if not got:
                raise OSError("the spill file ends early")
            view[place : place + len(got)] = got
            place += len(got)


def read_segments(path: Path, noted: Sequence[tuple[int, int, int]]) -> list[Segment] | None:
    """The segments of a spill, from the journal's record of each: its first byte, the byte after it, and its code.

    None if the bytes of one of them are not those that were written.
    """
    segments = []
    for offset, end, code in noted:
        try:
            content = np.fromfile(path, np.int64, (end - offset) // 8, offset=offset)
        except OSError:
            return None
        if 8 * len(content) != end - offset:
            return None
        records, ends, rows = np.split(content, [len(content) - 2 * PARTITIONS, len(content) - PARTITIONS])
        if _code([part.view(np.uint8) for part in (records, ends, rows)]) != code:
            return None
        segments.append(Segment(offset, ends.copy(), rows.copy(), code))
    return segments


def _code(parts: Sequence[UInt8Array]) -> int:
    """The XXH64 of the XXH64s of the parts."""
    codes = np.array([xxhash.xxh64_intdigest(part.data) for part in parts], np.uint64)
    return xxhash.xxh64_intdigest(codes.data)
