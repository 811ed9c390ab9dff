"""Cuts a file into chunks of whole lines, in bounded memory, and hashes what was read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import xxhash
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.drawings import Drawings
from pipeline.sources.compressed import Lost
from pipeline.sources.limits import MAX_LINE_BYTES
from pipeline.sources.rejects import Reject
from pipeline.sources.streams import ALL, Stream

BLOCK_BYTES = 1 << 20  # of which a source's hash is made, however large chunks are
CHUNK_BYTES = BLOCK_BYTES
_BOM = b"\xef\xbb\xbf"
_NEWLINE = 10


@dataclass(frozen=True)
class Chunk:
    """Whole lines, or whole records, of one file, and their place in it.

    Attributes:
        text: (B,) uint8, the bytes; lines all end in a newline.
        offset: the first byte's place in the (decompressed) file.
        end: the byte of the file after the last line.
        too_long: where a line over `MAX_LINE_BYTES` begins that was skipped just before `text`, or None.
        fresh: (F,) uint8, what was read from the file for this chunk: whole blocks, except at the end of the file.
        damage: what is wrong with the file from here on, or None.
        lost: what that costs, if checksums or lengths show it.
        proved: the offset up to which the file was proved when the chunk was read; see `Stream.proved`.
    """

    text: UInt8Array
    offset: int
    end: int
    too_long: int | None
    fresh: UInt8Array
    damage: str | None = None
    lost: Lost | None = None
    proved: int = ALL

    def block_hashes(self) -> list[str]:
        """The XXH64, in hex, of each `BLOCK_BYTES` of `fresh`."""
        starts = range(0, len(self.fresh), BLOCK_BYTES)
        return [xxhash.xxh64_hexdigest(self.fresh[k : k + BLOCK_BYTES].data) for k in starts]


@dataclass(frozen=True)
class Scanned:
    """What is in a chunk.

    Attributes:
        drawings: N drawings in the order of the file.
        ends: (N,) int64, for each drawing the offset in the file where its line or record ends.
        end: the offset in the file where the chunk ends.
        lines: how many lines or records it holds, rejected ones and an overlong line skipped before it included.
        rejects: returns its rejects in order, given the file's name and how many lines the file has before the chunk.
        keyless: (N,) bool, which drawings have no key_id in the source; None if all have one.
        notes: (N,) int64, what is noted of each drawing, bits of `scanner/faults.py`; empty if nothing is.
        places: (N,) int64, the number of each drawing's line in the chunk, from 0; empty if `notes` is.
        lost, proved: those of the chunk.
    """

    drawings: Drawings
    ends: Int64Array
    end: int
    lines: int
    rejects: Callable[[str, int], Iterable[Reject]]
    keyless: NDArray[np.bool_] | None = None
    notes: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    places: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    lost: Lost | None = None
    proved: int = ALL

    def unproved(self, read: int, before: int, start: int) -> int:
        """How many drawings are of members that are not proved, in this chunk and before.

        Args:
            read: how many of its drawings are read.
            before: what this function returned for the chunk before; 0 for the first.
            start: the offset in the file where the chunk before ends.
        """
        late = int((self.ends[:read] > self.proved).sum())
        return late + before if self.proved < start else late


def read_chunks(stream: Stream, *, start: int = 0, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Yield the lines of a stream from byte `start` on, where a line begins, in chunks of about `chunk_bytes`.

    A complete last line without a newline is given one. A byte order mark is dropped. If hashes of blocks are
    needed, `chunk_bytes` must be a multiple of `BLOCK_BYTES`; the first chunk's `fresh` begins with the block that
    contains `start`.
    """
    block = start - start % BLOCK_BYTES
    stream.seek_to(block)
    rest = np.empty(0, np.uint8)  # the beginning of a line whose rest is read next
    offset = block  # of the first byte that is not in a chunk yet
    skipping: int | None = None  # inside an over-long line: where it began
    last = False
    while not last:
        buffer = np.empty(len(rest) + chunk_bytes + 1, np.uint8)
        buffer[: len(rest)] = rest
        count = stream.read_into(buffer[len(rest) : -1].data)
        fresh, last = buffer[len(rest) : len(rest) + count], count < chunk_bytes
        low, high = 0, len(rest) + count  # the part of the buffer to cut into lines
        if offset < start:  # skips the part of the block that earlier chunks had
            low = min(start - offset, high)
        elif offset == 0 and buffer[: min(high, 3)].tobytes() == _BOM:
            low = len(_BOM)
        passed = None
        if skipping is not None:
            low = after = _after_newline(buffer, high)
            if not after and not last:
                offset, rest = offset + high, buffer[:0]
                yield Chunk(buffer[:0], skipping, skipping, None, fresh)  # a resumed build starts at this line
                continue
            low, passed, skipping = after or high, skipping, None
        end = high if last else _after_last_newline(buffer, low, high)
        rest = buffer[end:high]
        begin, offset = offset + low, offset + end
        if end > low and buffer[end - 1] != _NEWLINE:
            buffer[end] = _NEWLINE
            end += 1
        yield Chunk(buffer[low:end], begin, offset, passed, fresh)
        if len(rest) > MAX_LINE_BYTES:
            skipping, offset, rest = offset, offset + len(rest), rest[:0]


def _after_newline(buffer: UInt8Array, high: int) -> int:
    """The place after the first newline of `buffer[:high]`, or 0."""
    return buffer[:high].tobytes().find(b"\n") + 1


def _after_last_newline(buffer: UInt8Array, low: int, high: int) -> int:
    """The place after the last newline of `buffer[low:high]`, or `low`."""
    for stop in range(high, low, -65_536):  # a line is seldom longer
        found = buffer[max(low, stop - 65_536) : stop].tobytes().rfind(b"\n")
        if found >= 0:
            return max(low, stop - 65_536) + found + 1
    return low
