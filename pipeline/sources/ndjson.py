"""Parses chunks of Quick, Draw! ndjson, simplified or raw, to Drawings and rejects."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import UInt8Array
from pipeline.drawings import Drawings, content_hash
from pipeline.sources.chunks import BLOCK_BYTES, Chunk, Scanned
from pipeline.sources.limits import MAX_LINE_BYTES
from pipeline.sources.rejects import Reject, reason_and_message
from pipeline.sources.scanner import columns
from pipeline.sources.scanner import lines as nd
from pipeline.sources.scanner.faults import TOO_LONG
from pipeline.sources.scanner.raw_strokes import make_scratch
from pipeline.sources.scanner.spans import intern_spans

_REJECTS_A_CALL = 1024


def scan_chunk(chunk: Chunk, needs_word: bool = True) -> Scanned:
    """Parse the lines of a chunk; its rejects are made only when they are requested.

    Without `needs_word` a drawing whose word is missing, null or empty has the word "".
    """
    buf = chunk.text
    _scratch.fit(len(buf))
    x, y, rows, key_id = _scratch.x, _scratch.y, _scratch.rows, _scratch.key_id
    stroke_end, drawing_end = _scratch.stroke_end, _scratch.drawing_end
    place = np.zeros(5, np.int64)
    faults = [np.empty((0, 6), np.int32)]
    raw = None
    while place[0] < len(buf):
        rejected = nd.scan_lines(
            buf, needs_word, x, y, stroke_end, drawing_end, rows, key_id, _scratch.faults, place, raw
        )  # fmt: skip
        faults.append(_scratch.faults[:rejected].astype(np.int32))
        if rejected < _REJECTS_A_CALL:  # at the end, or before a line that is not in Google's simplified form
            raw = _scratch.raw
    _, lines, count, strokes, points = place.tolist()
    rows = rows[:, :count]
    word, words = _intern(buf, rows[columns.WORD_START], rows[columns.WORD_END])
    countrycode, countrycodes = _intern(buf, rows[columns.COUNTRY_START], rows[columns.COUNTRY_END])
    # Everything is copied, because the next chunk overwrites the scanner's arrays.
    drawings = Drawings(
        x=x[:points].copy(),
        y=y[:points].copy(),
        stroke_end=stroke_end[:strokes].copy(),
        drawing_end=drawing_end[:count].copy(),
        key_id=key_id[:count].copy(),
        word=word,
        recognized=rows[columns.ROW_RECOGNIZED].astype(np.int8),
        countrycode=countrycode,
        timestamp=rows[columns.ROW_TIMESTAMP].astype("datetime64[us]"),
        words=words,
        countrycodes=countrycodes,
    )
    kind = rows[columns.ROW_KEY]
    if (kind != columns.NUMBER_KEY).any():
        drawings.key_id[:] = np.where(kind == columns.NO_KEY, content_hash(drawings), drawings.key_id)
        for row in np.flatnonzero(kind == columns.TEXT_KEY):
            span = int(drawings.key_id[row])
            drawings.key_id[row] = key_of_text(_decoded(buf[span >> 32 : span & 0xFFFFFFFF].tobytes()))
    skipped = int(chunk.too_long is not None)
    rejects = partial(_rejects, chunk.offset, chunk.too_long, np.concatenate(faults))
    scanned = Scanned(
        drawings, rows[columns.END] + chunk.offset, chunk.end, lines + skipped, rejects, kind == columns.NO_KEY
    )
    notes = rows[columns.ROW_NOTES]
    return replace(scanned, notes=notes.copy(), places=rows[columns.LINE] + skipped) if notes.any() else scanned


def key_of_text(text: str) -> int:
    """The key_id of a text: the number if it is one below 2**64, else the 64-bit BLAKE2b of its UTF-8, little-endian.

    >>> key_of_text("user-0")
    8188522848524297003
    """
    digits = text.lstrip("0")
    if text.isascii() and text.isdecimal() and len(digits) <= 20 and int(digits or "0") < 1 << 64:
        return int(digits or "0")
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _rejects(offset: int, too_long: int | None, faults: NDArray[np.int32], name: str, lines: int) -> Iterator[Reject]:
    """The rejects of a chunk of the file called `name`, which has `lines` lines before the chunk.

    Args:
        offset: the offset in the file where the chunk's text begins.
        too_long: the offset in the file where an overlong line before it begins, or None.
        faults: (R, 6) int32, for each rejected line its index and its first byte in the text, from 0, and its error.
        name: the file's name.
        lines: how many lines the file has before the chunk.
    """
    if too_long is not None:
        yield Reject(name, too_long, lines + 1, *reason_and_message(TOO_LONG, MAX_LINE_BYTES, 0, 0))
        lines += 1
    for k in range(0, len(faults), _REJECTS_A_CALL):
        for line, start, *fault in faults[k : k + _REJECTS_A_CALL].tolist():
            yield Reject(name, offset + start, lines + line + 1, *reason_and_message(*fault))


class _Scratch(threading.local):
    """A thread's arrays for the scanner, reused for each chunk: mapping fresh pages took a fifth of the time.

    They are large enough for anything that a text of `size` bytes may hold; pages never written take no memory.
    """

    size = -1

    def fit(self, size: int) -> None:
        """Make the arrays large enough for a text of `size` bytes."""
        if size <= self.size:
            return
        self.size = size = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        most = size // nd.MIN_LINE_BYTES + 1
        self.x, self.y = np.empty(size // 2 + 1, np.uint8), np.empty(size // 2 + 1, np.uint8)
        self.stroke_end, self.drawing_end = np.empty(size // 8 + 1, np.int64), np.empty(most, np.int64)
        self.rows, self.key_id = np.empty((columns.ROW_COLUMNS, most), np.int64), np.empty(most, np.uint64)
        self.faults = np.empty((_REJECTS_A_CALL, 6), np.int64)
        self.raw = make_scratch()


_scratch = _Scratch()


def _intern(buf: UInt8Array, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int32], list[str]]:
    """Number the strings between `starts` and `ends` by their decoded value."""
    ids, firsts = np.empty(len(starts), np.int32), np.empty(len(starts), np.int64)
    count = intern_spans(buf, starts, ends, ids, firsts)
    spans = [buf[starts[row] : ends[row]].tobytes() for row in firsts[:count]]
    strings = [_decoded(span) for span in spans]
    vocabulary = list(dict.fromkeys(strings))
    if len(vocabulary) < count:  # a string occurs both plain and with escapes
        number = {string: k for k, string in enumerate(vocabulary)}
        merged = np.array([*(number[string] for string in strings), -1], np.int32)
        ids = merged[ids]
    return ids, vocabulary


def _decoded(span: bytes) -> str:
    """The string whose JSON stands between two quotes."""
    return str(json.loads(b'"' + span + b'"')) if b"\\" in span else span.decode()
