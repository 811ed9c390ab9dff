"""Drawings as records of bytes between the two passes, and the kernels that write and read them.

A record begins at a multiple of 8: a header of 40 bytes, the ends of its strokes in its points (uint16, as shards
store them), its x, its y, and zeros up to the next multiple of 8. The header:

    0 key_id uint64 | 8 timestamp int64 | 16 bytes uint32, source int32 | 24 word int32, countrycode int32
    32 strokes uint16, points uint16, recognized int16, 2 zeros

Axes: N drawings, S strokes, P points. A blob is a (B,) uint64 array of whole records in the machine's byte order; the
kernels take views of it in other widths.
"""

from collections.abc import Sequence

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from pipeline.arrays import Int32Array, Int64Array, UInt8Array, UInt16Array, UInt64Array
from pipeline.drawings import Drawings
from pipeline.jit import inlined_kernel, kernel

HEADER_BYTES = 40
_ONE, _EIGHT, _BYTE = uint64(1), uint64(8), uint64(0xFF)


def record_sizes(drawings: Drawings) -> Int64Array:
    """(N,) int64, the bytes of each drawing's record."""
    sizes = np.empty(len(drawings), np.int64)
    _sizes(drawings.stroke_end, drawings.drawing_end, sizes)
    return sizes


def scatter(drawings: Drawings, source: int, partition: Int64Array, free: Int64Array, blob: UInt64Array) -> None:
    """Write the record of each drawing into `blob`, in place, at the first free byte of its partition.

    `partition`, (N,) int64, is -1 for drawings that are left out. `free` holds the first free byte of each partition,
    and is advanced in place.
    """
    _scatter(
        drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end, drawings.key_id, drawings.word,
        drawings.recognized, drawings.countrycode, drawings.timestamp.view(np.int64), source, partition, free,
        blob, blob.view(np.int64), blob.view(np.int32), blob.view(np.uint16), blob.view(np.uint8),
    )  # fmt: skip


def index(blob: UInt64Array, count: int) -> tuple[Int64Array, UInt64Array]:
    """The byte at which each of the `count` records of `blob` begins, (N,) int64, and its key_id, (N,) uint64.

    Raises:
        ValueError: the records do not fill the blob exactly, so they are not the bytes that were written.
    """
    start, key_id = np.empty(count, np.int64), np.empty(count, np.uint64)
    if _index(blob, blob.view(np.uint32), blob.view(np.uint16), start, key_id) != 8 * len(blob):
        raise ValueError("the spilled records are damaged")
    return start, key_id


def duplicates(blob: UInt64Array, start: Int64Array) -> tuple[NDArray[np.bool_], int]:
    """(N,) bool, which records have key_id, word and strokes of the one before, and how many have only its key_id.

    `start`, (N,) int64, is the byte at which each record begins, in an order that puts equal records side by side.
    """
    again = np.zeros(len(start), np.bool_)
    same_key = _duplicates(blob, blob.view(np.int32), blob.view(np.uint8), start, again)
    return again, int(same_key)


def sizes_of(blob: UInt64Array, start: Int64Array) -> Int64Array:
    """(N,) int64, the bytes of the records that begin at the bytes `start`, (N,) int64."""
    return blob.view(np.int32)[start // 4 + 4].astype(np.int64)


def memory_of(blob: UInt64Array, start: Int64Array) -> Int64Array:
    """(N,) int64, the bytes that each record takes as a drawing: an end of a stroke takes four times as many there."""
    both = blob.view(np.uint32)[start // 4 + 8].astype(np.int64)  # the numbers of strokes and of points
    return HEADER_BYTES + 2 * (both >> 16) + 16 * (both & 0xFFFF)


def compacted(blob: UInt64Array, start: Int64Array) -> tuple[UInt64Array, Int64Array]:
    """A blob of only the records that begin at the bytes `start`, (N,) int64, in that order, and where they begin."""
    ends = np.cumsum(sizes_of(blob, start))
    compact = np.empty(int(ends[-1]) // 8 if len(ends) else 0, np.uint64)
    _compact(blob, start, ends, compact)
    return compact, np.concatenate([np.zeros(1, np.int64), ends])[: len(ends)]


def gather(pieces: Sequence[tuple[UInt64Array, Int64Array]], like: Drawings) -> tuple[Drawings, Int32Array]:
    """The drawings whose records begin at the given bytes of each blob, in order, and their sources, (N,) int32.

    Words and countrycodes are the numbers that were written; the vocabularies are those of `like`.
    """
    sizes = [_totals(blob.view(np.uint16), start) for blob, start in pieces]
    count = sum(len(start) for _, start in pieces)
    strokes, points = (sum(size[k] for size in sizes) for k in (0, 1))
    drawings = Drawings(
        x=np.empty(points, np.uint8),
        y=np.empty(points, np.uint8),
        stroke_end=np.empty(strokes, np.int64),
        drawing_end=np.empty(count, np.int64),
        key_id=np.empty(count, np.uint64),
        word=np.empty(count, np.int32),
        recognized=np.empty(count, np.int8),
        countrycode=np.empty(count, np.int32),
        timestamp=np.empty(count, "datetime64[us]"),
        words=like.words,
        countrycodes=like.countrycodes,
    )
    source = np.empty(count, np.int32)
    place = np.zeros(3, np.int64)
    for blob, start in pieces:
        _gather(
            blob, blob.view(np.int64), blob.view(np.int32), blob.view(np.uint16), blob.view(np.uint8), start, place,
            drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end, drawings.key_id, drawings.word,
            drawings.recognized, drawings.countrycode, drawings.timestamp.view(np.int64), source,
        )  # fmt: skip
    return drawings, source


@inlined_kernel
def _copy(source: UInt8Array, start: int, target: UInt8Array, place: int, count: int) -> None:
    """Copy `count` bytes, eight at a time: a stroke is too short for the code that compilers make of a plain loop."""
    i, j, end = uint64(start), uint64(place), uint64(start + count)
    while i + _EIGHT <= end:
        word = uint64(0)
        for k in range(_EIGHT):  # unrolled and merged by the compiler: one load, one store
            word |= uint64(source[i + uint64(k)]) << (uint64(k) * _EIGHT)
        for k in range(_EIGHT):
            target[j + uint64(k)] = (word >> (uint64(k) * _EIGHT)) & _BYTE
        i += _EIGHT
        j += _EIGHT
    while i < end:
        target[j] = source[i]
        i += _ONE
        j += _ONE


@kernel
def _sizes(stroke_end: Int64Array, drawing_end: Int64Array, sizes: Int64Array) -> None:
    stroke = 0
    point = 0
    for drawing in range(len(drawing_end)):
        strokes = drawing_end[drawing] - stroke
        stroke = drawing_end[drawing]
        points = stroke_end[stroke - 1] - point
        point = stroke_end[stroke - 1]
        sizes[drawing] = (HEADER_BYTES + 2 * strokes + 2 * points + 7) // 8 * 8


@kernel
def _scatter(
    x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, key_id: UInt64Array,
    word: Int32Array, recognized: NDArray[np.int8], countrycode: Int32Array, timestamp: Int64Array, source: int,
    partition: Int64Array, free: Int64Array,
    u64: UInt64Array, i64: Int64Array, i32: Int32Array, u16: UInt16Array, u8: UInt8Array,
) -> None:  # fmt: skip
    for drawing in range(len(drawing_end)):
        if partition[drawing] < 0:
            continue
        first = drawing_end[drawing - 1] if drawing > 0 else 0
        last = drawing_end[drawing]
        begin = stroke_end[first - 1] if first > 0 else 0
        end = stroke_end[last - 1]
        strokes = last - first
        points = end - begin
        size = (HEADER_BYTES + 2 * strokes + 2 * points + 7) // 8 * 8
        at = free[partition[drawing]]
        free[partition[drawing]] += size
        u64[(at + size) // 8 - 1] = 0  # clears the padding; the rest of these 8 bytes is written below
        u64[at // 8] = key_id[drawing]
        i64[at // 8 + 1] = timestamp[drawing]
        i32[at // 4 + 4] = size
        i32[at // 4 + 5] = source
        i32[at // 4 + 6] = word[drawing]
        i32[at // 4 + 7] = countrycode[drawing]
        u16[at // 2 + 16] = strokes
        u16[at // 2 + 17] = points
        u16[at // 2 + 18] = recognized[drawing] + 1
        u16[at // 2 + 19] = 0
        to = at // 2 + HEADER_BYTES // 2
        for k in range(strokes):
            u16[to + k] = stroke_end[first + k] - begin
        to = at + HEADER_BYTES + 2 * strokes
        _copy(x, begin, u8, to, points)
        _copy(y, begin, u8, to + points, points)


@kernel
def _index(u64: UInt64Array, u32: NDArray[np.uint32], u16: UInt16Array, start: Int64Array, key_id: UInt64Array) -> int:
    """Fill both arrays; returns the byte after the last record, or -1 if a length is impossible."""
    at = 0
    whole = 8 * len(u64)
    for drawing in range(len(start)):
        if at + HEADER_BYTES > whole:
            return -1
        size = np.int64(u32[at // 4 + 4])
        content = HEADER_BYTES + 2 * np.int64(u16[at // 2 + 16]) + 2 * np.int64(u16[at // 2 + 17])
        if size != (content + 7) // 8 * 8 or at + size > whole:
            return -1
        start[drawing] = at
        key_id[drawing] = u64[at // 8]
        at += size
    return at


@kernel
def _duplicates(u64: UInt64Array, i32: Int32Array, u8: UInt8Array, start: Int64Array, again: NDArray[np.bool_]) -> int:
    same_key = 0
    for row in range(1, len(start)):
        a, b = start[row - 1], start[row]
        if u64[a // 8] != u64[b // 8]:
            continue
        size = i32[a // 4 + 4]
        equal = i32[b // 4 + 4] == size and i32[a // 4 + 6] == i32[b // 4 + 6] and i32[a // 4 + 8] == i32[b // 4 + 8]
        k = HEADER_BYTES
        while equal and k < size:
            equal = u8[a + k] == u8[b + k]
            k += 1
        if equal:
            again[row] = True
        else:
            same_key += 1
    return same_key


@kernel
def _compact(u64: UInt64Array, start: Int64Array, ends: Int64Array, compact: UInt64Array) -> None:
    to = 0
    for record in range(len(start)):
        at = start[record] // 8 - to
        while to < ends[record] // 8:
            compact[to] = u64[at + to]
            to += 1


@kernel
def _totals(u16: UInt16Array, start: Int64Array) -> tuple[int, int]:
    """How many strokes and points the records hold."""
    strokes = 0
    points = 0
    for at in start:
        strokes += np.int64(u16[at // 2 + 16])
        points += np.int64(u16[at // 2 + 17])
    return strokes, points


@kernel
def _gather(
    u64: UInt64Array, i64: Int64Array, i32: Int32Array, u16: UInt16Array, u8: UInt8Array, start: Int64Array,
    place: Int64Array, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array,
    key_id: UInt64Array, word: Int32Array, recognized: NDArray[np.int8], countrycode: Int32Array,
    timestamp: Int64Array, source: Int32Array,
) -> None:  # fmt: skip
    """Append to the columns; `place`, (3,), counts their drawings, strokes and points, and is updated in place."""
    row, stroke, point = place
    for at in start:
        strokes = np.int64(u16[at // 2 + 16])
        points = np.int64(u16[at // 2 + 17])
        key_id[row] = u64[at // 8]
        timestamp[row] = i64[at // 8 + 1]
        source[row] = i32[at // 4 + 5]
        word[row] = i32[at // 4 + 6]
        countrycode[row] = i32[at // 4 + 7]
        recognized[row] = np.int64(u16[at // 2 + 18]) - 1
        begin = at // 2 + HEADER_BYTES // 2
        for k in range(strokes):
            stroke_end[stroke + k] = point + np.int64(u16[begin + k])
        begin = at + HEADER_BYTES + 2 * strokes
        _copy(u8, begin, x, point, points)
        _copy(u8, begin + points, y, point, points)
        row += 1
        stroke += strokes
        point += points
        drawing_end[row - 1] = stroke
    place[0], place[1], place[2] = row, stroke, point
