"""Cuts a file into chunks of whole lines, in bounded memory, and hashes what was read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xxhash

from pipeline.arrays import UInt8Array
from pipeline.sources.scanner.faults import MAX_LINE_BYTES
from pipeline.sources.streams import Stream

BLOCK_BYTES = 1 << 20  # what a source's hash is made of, whatever the chunks
CHUNK_BYTES = 4 * BLOCK_BYTES
_BOM = b"\xef\xbb\xbf"
_NEWLINE = 10


@dataclass(frozen=True)
class Chunk:
    """Whole lines, or whole records, of one file, and where they stand in it.

    Attributes:
        text: (B,) uint8, the bytes; of lines the last has its newline.
        offset: the first byte's place in the (decompressed) file.
        end: the byte of the file behind the last line.
        too_long: where a line over `MAX_LINE_BYTES` began that was passed over just before `text`, or None.
        fresh: (F,) uint8, what was read of the file for this chunk: whole blocks, but at the file's end.
        damage: why the file ends here, though it should not, or None.
    """

    text: UInt8Array
    offset: int
    end: int
    too_long: int | None
    fresh: UInt8Array
    damage: str | None = None

    def block_hashes(self) -> list[str]:
        """The XXH64, in hex, of each `BLOCK_BYTES` of `fresh`."""
        starts = range(0, len(self.fresh), BLOCK_BYTES)
        return [xxhash.xxh64_hexdigest(self.fresh[k : k + BLOCK_BYTES].data) for k in starts]


def read_chunks(stream: Stream, *, start: int = 0, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Yield the lines of a stream from byte `start` on, where one begins, in chunks of about `chunk_bytes`.

    A complete last line without a newline is given one. A byte order mark is dropped. Where hashes of blocks are
    wanted, `chunk_bytes` is a multiple of `BLOCK_BYTES`; the first chunk's `fresh` begins at the block that `start`
    lies in.
    """
    block = start - start % BLOCK_BYTES
    stream.seek_to(block)
    rest = np.empty(0, np.uint8)  # the bytes of a line that the next read goes on with
    offset = block  # of the first byte that is not in a chunk yet
    skipping: int | None = None  # inside an over-long line: where it began
    last = False
    while not last:
        buffer = np.empty(len(rest) + chunk_bytes + 1, np.uint8)
        buffer[: len(rest)] = rest
        count = stream.read_into(buffer[len(rest) : -1].data)
        fresh, last = buffer[len(rest) : len(rest) + count], count < chunk_bytes
        low, high = 0, len(rest) + count  # of what is to be cut into lines
        if offset < start:  # the bytes of the block that an earlier chunk had
            low = min(start - offset, high)
        elif offset == 0 and buffer[: min(high, 3)].tobytes() == _BOM:
            low = len(_BOM)
        passed = None
        if skipping is not None:
            low = behind = _behind_newline(buffer, high)
            if not behind and not last:
                offset, rest = offset + high, buffer[:0]
                yield Chunk(buffer[:0], skipping, skipping, None, fresh)  # whoever goes on begins with this line
                continue
            low, passed, skipping = behind or high, skipping, None
        end = high if last else _behind_last_newline(buffer, low, high)
        rest = buffer[end:high]
        begin, offset = offset + low, offset + end
        if end > low and buffer[end - 1] != _NEWLINE:
            buffer[end] = _NEWLINE
            end += 1
        yield Chunk(buffer[low:end], begin, offset, passed, fresh)
        if len(rest) > MAX_LINE_BYTES:
            skipping, offset, rest = offset, offset + len(rest), rest[:0]


def _behind_newline(buffer: UInt8Array, high: int) -> int:
    """The place behind the first newline of `buffer[:high]`, or 0."""
    return buffer[:high].tobytes().find(b"\n") + 1


def _behind_last_newline(buffer: UInt8Array, low: int, high: int) -> int:
    """The place behind the last newline of `buffer[low:high]`, or `low`."""
    for stop in range(high, low, -65_536):  # a line is seldom longer
        found = buffer[max(low, stop - 65_536) : stop].tobytes().rfind(b"\n")
        if found >= 0:
            return max(low, stop - 65_536) + found + 1
    return low
