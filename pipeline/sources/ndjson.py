"""Quick, Draw! ndjson, plain or gzipped, as Drawings: whole lines in bounded chunks, bad lines named."""

import gzip
import hashlib
import json
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.drawings import Drawings, UInt8Array
from pipeline.errors import InputError
from pipeline.hashing import content_hash
from pipeline.sources import ndjson_kernels as nd
from pipeline.sources.faults import MAX_LINE_BYTES, TOO_LONG
from pipeline.sources.rejects import Reject, reason_and_message

BLOCK_BYTES = 1 << 20  # what a source's hash is made of, whatever the chunks
CHUNK_BYTES = 4 * BLOCK_BYTES
_REJECTS_A_CALL = 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Chunk:
    """Whole lines of one file, and where they stand in it.

    Attributes:
        text: the lines, the last with its newline.
        offset: the first byte's place in the (decompressed) file.
        end: the byte of the file behind the last line.
        line: how many lines stand before.
        too_long: (offset, line) of a line over `MAX_LINE_BYTES` that was passed over just before `text`.
        blocks: the SHA-256 of each `BLOCK_BYTES` of the file whose reading ended with this chunk.
    """

    text: bytes
    offset: int
    end: int
    line: int
    too_long: tuple[int, int] | None
    blocks: list[bytes]


@dataclass(frozen=True)
class ScannedChunk:
    """The drawings of a chunk and its bad lines, each with where it ends in the file.

    Attributes:
        drawings: N drawings in the order of the lines.
        ends: (N,) int64, the byte of the file behind each drawing's line.
        rejects: the bad lines in order.
    """

    drawings: Drawings
    ends: NDArray[np.int64]
    rejects: list[Reject]


def read_chunks(path: Path, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Yield the lines of a file in chunks of about `chunk_bytes`, a multiple of `BLOCK_BYTES`.

    A complete last line without a newline is given one. A byte order mark is dropped.

    Raises:
        InputError: the file cannot be read, or its gzip stream is damaged.
    """
    rest, offset, line = b"", 0, 0
    skipping: tuple[int, int] | None = None  # inside an over-long line: where it began
    passed: tuple[int, int] | None = None
    with _open(path) as file:
        while True:
            read = _read(file, chunk_bytes, path)
            blocks = [hashlib.sha256(read[k : k + BLOCK_BYTES]).digest() for k in range(0, len(read), BLOCK_BYTES)]
            if offset == 0 and not rest and skipping is None and read.startswith(_BOM):
                read, offset = read[len(_BOM) :], len(_BOM)
            last = not blocks
            if skipping is not None:
                end = read.find(b"\n") + 1
                if end == 0 and not last:
                    offset += len(read)
                    yield Chunk(b"", offset, offset, line, None, blocks)
                    continue
                offset, read, line = offset + (end or len(read)), read[end or len(read) :], line + 1
                passed, skipping = skipping, None
            text = rest + read
            end = len(text) if last else text.rfind(b"\n") + 1
            text, rest = text[:end], text[end:]
            if len(rest) > MAX_LINE_BYTES:
                skipping = (offset + len(text), line + text.count(b"\n"))
            start, offset = offset, offset + len(text)
            if text and not text.endswith(b"\n"):
                text += b"\n"
            yield Chunk(text, start, offset, line, passed, blocks)
            passed = None
            line += text.count(b"\n")
            if skipping is not None:
                offset, rest = offset + len(rest), b""
            if last:
                return


def scan_chunk(chunk: Chunk, file: str) -> ScannedChunk:
    """Parse the lines of a chunk; `file` is the name that rejects carry."""
    buf = np.frombuffer(chunk.text, np.uint8)
    _scratch.fit(len(buf))
    x, y, rows, key_id = _scratch.x, _scratch.y, _scratch.rows, _scratch.key_id
    stroke_end, drawing_end, faults = _scratch.stroke_end, _scratch.drawing_end, _scratch.faults
    place = np.zeros(5, np.int64)
    rejects = [] if chunk.too_long is None else [_reject(file, *chunk.too_long, (TOO_LONG, MAX_LINE_BYTES, 0, 0))]
    while place[0] < len(buf):
        rejected = nd.scan_lines(buf, x, y, stroke_end, drawing_end, rows, key_id, faults, place)
        for line, start, *fault in faults[:rejected].tolist():
            rejects.append(_reject(file, chunk.offset + start, chunk.line + line, fault))
    _, _, count, strokes, points = place.tolist()
    rows = rows[:, :count]
    word, words = _intern(buf, rows[nd.WORD_START], rows[nd.WORD_END])
    countrycode, countrycodes = _intern(buf, rows[nd.COUNTRY_START], rows[nd.COUNTRY_END])
    # Copies all, for the next chunk writes over the scanner's arrays.
    drawings = Drawings(
        x=x[:points].copy(),
        y=y[:points].copy(),
        stroke_end=stroke_end[:strokes].copy(),
        drawing_end=drawing_end[:count].copy(),
        key_id=key_id[:count].copy(),
        word=word,
        recognized=rows[nd.ROW_RECOGNIZED].astype(np.int8),
        countrycode=countrycode,
        timestamp=rows[nd.ROW_TIMESTAMP].astype("datetime64[us]"),
        words=words,
        countrycodes=countrycodes,
    )
    without_key = rows[nd.HAS_KEY_ID] == 0
    if without_key.any():
        drawings.key_id[without_key] = content_hash(drawings)[without_key]
    return ScannedChunk(drawings, rows[nd.END] + chunk.offset, rejects)


class _Scratch(threading.local):
    """A thread's arrays for the scanner, kept from chunk to chunk: the pages of fresh ones took a fifth of the time.

    Large enough for whatever a text of `size` bytes may hold; what is never written takes no memory.
    """

    size = -1

    def fit(self, size: int) -> None:
        """Have arrays for a text of `size` bytes."""
        if size <= self.size:
            return
        self.size = size = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        most = size // nd.MIN_LINE_BYTES + 1
        self.x, self.y = np.empty(size // 2 + 1, np.uint8), np.empty(size // 2 + 1, np.uint8)
        self.stroke_end, self.drawing_end = np.empty(size // 9 + 1, np.int64), np.empty(most, np.int64)
        self.rows, self.key_id = np.empty((nd.ROW_COLUMNS, most), np.int64), np.empty(most, np.uint64)
        self.faults = np.empty((_REJECTS_A_CALL, 6), np.int64)


_scratch = _Scratch()


def source_hash(blocks: list[bytes]) -> str:
    """The hash of a source: SHA-256, in hex, over the SHA-256 of its blocks."""
    return hashlib.sha256(b"".join(blocks)).hexdigest()


def _intern(buf: UInt8Array, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int32], list[str]]:
    """Number the strings between `starts` and `ends` by their decoded value."""
    ids, firsts = np.empty(len(starts), np.int32), np.empty(len(starts), np.int64)
    count = nd.intern_spans(buf, starts, ends, ids, firsts)
    spans = [buf[starts[row] : ends[row]].tobytes() for row in firsts[:count]]
    strings = [json.loads(b'"' + span + b'"') for span in spans]
    vocabulary = list(dict.fromkeys(strings))
    if len(vocabulary) < count:  # the same string, once plain and once with escapes
        number = {string: k for k, string in enumerate(vocabulary)}
        merged = np.array([*(number[string] for string in strings), -1], np.int32)
        ids = merged[ids]
    return ids, vocabulary


def _reject(file: str, offset: int, line: int, fault: Sequence[int]) -> Reject:
    code, a, b, c = fault
    return Reject(file, offset, line + 1, *reason_and_message(code, a, b, c))


def _open(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed where they begin as gzip's do, whatever its name."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        return cast(IO[bytes], gzip.open(path)) if zipped else path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _read(file: IO[bytes], count: int, path: Path) -> bytes:
    """`count` bytes, or what is left."""
    try:
        return file.read(count)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: its gzip stream is damaged or cut short ({error}); fetch it anew") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
