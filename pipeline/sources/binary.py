"""Reads Google's packed binary drawings in bounded chunks of whole records; rejects bad records.

A record is key_id uint64, countrycode 2 bytes of ASCII, recognized int8, timestamp uint32 in seconds since 1970,
n_strokes uint16, and for each stroke n_points uint16, then its x and its y, one byte a point; all little-endian, with
nothing between records (https://github.com/googlecreativelab/quickdraw-dataset, examples/binary_file_parser.py). A
record does not contain its word.

No byte marks where a record begins. So a bad record whose length is known is one reject, and reading resumes after it;
but if two headers in a row are invalid, or a record is longer than any drawing or than the rest of the file, everything
from there on is one reject.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.drawings import Drawings
from pipeline.jit import kernel
from pipeline.sources.chunks import BLOCK_BYTES, CHUNK_BYTES, Chunk, Scanned
from pipeline.sources.limits import MAX_LINE_BYTES, MAX_POINTS
from pipeline.sources.rejects import Reject
from pipeline.sources.streams import Stream

HEADER = np.dtype(
    [("key_id", "<u8"), ("countrycode", "<u2"), ("recognized", "i1"), ("timestamp", "<u4"), ("strokes", "<u2")]
)  # packed
MAX_RECORD_BYTES = MAX_LINE_BYTES
_HEADER_BYTES = 17
_LEAST_RECORD_BYTES, _LEAST_STROKE_BYTES = 21, 4
_WHOLE, _NO_STROKES, _NO_POINTS, _TOO_MANY, _COUNTRYCODE, _RECOGNIZED, _TOO_LONG, _CUT = range(8)
_ONE = np.uint64(1)
_WAIT, _LOST = -1, -2  # instead of a record's end: more bytes are needed; no later record can be found
_RECORD, _START, _FAULT, _NUMBER, _IS_LOST = range(5)  # the columns of `faults`
REASONS = {
    _NO_STROKES: ("no-strokes", "the drawing has no strokes"),
    _NO_POINTS: ("no-points", "stroke {0} has no points"),
    _TOO_MANY: ("too-many-points", "the drawing has {0} points, more than " + str(MAX_POINTS)),
    _COUNTRYCODE: ("bad-record", "the countrycode's bytes {1} are not printable ASCII"),
    _RECOGNIZED: ("bad-record", "recognized is {0}, neither 0 nor 1"),
    _TOO_LONG: ("bad-record", f"the record is longer than {MAX_RECORD_BYTES} bytes"),
    _CUT: ("truncated-record", "the file ends before the record does"),
}


def read_binary_chunks(stream: Stream, *, start: int = 0, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Yield the records of a stream from byte `start` on, where a record begins, in chunks of about `chunk_bytes`.

    `chunk_bytes` is a multiple of `BLOCK_BYTES`; the first chunk's `fresh` begins at the block that contains `start`.
    Where no more records can be found, the chunk extends to the end of what was read, and later chunks hold no records.
    To know whether this has happened, the bytes before `start` are read too.

    Raises:
        InputError: the file cannot be read.
    """
    block = start - start % BLOCK_BYTES
    stream.seek_to(0)
    rest = np.empty(0, np.uint8)  # the beginning of a record that the next read continues
    offset, position = 0, 0  # of the first byte that is in no chunk yet, and of the next byte to read
    lost, last = False, False
    place = np.empty(2, np.int64)
    while not last:
        wanted = chunk_bytes if position >= block else min(chunk_bytes, block - position)
        read = np.frombuffer(stream.read(wanted), np.uint8)
        is_early, last = position < block, len(read) < wanted
        position += len(read)
        buffer = read if len(rest) == 0 else np.concatenate([rest, read])
        low = cut = len(buffer)
        if not lost:
            lost = bool(end_of_records(_frozen(buffer), last, MAX_POINTS, place))
            low, cut = max(0, start - offset), len(buffer) if lost or last else int(place[0])
            if lost and low > place[1]:
                low = cut  # records were lost in an earlier chunk, which has the reject
        if not is_early or last:
            low = min(low, cut)
            yield Chunk(buffer[low:cut], offset + low, offset + cut, None, buffer[len(rest) :])
        offset, rest = offset + cut, buffer[cut:]


def has_header(begin: bytes) -> bool:
    """Whether a file with this beginning may begin with a record: its header is valid, or it is shorter than one."""
    if len(begin) < _HEADER_BYTES:
        return True
    return header_fault(_frozen(np.frombuffer(begin, np.uint8)), 0, np.empty(2, np.int64)) == _WHOLE


def scan_binary_chunk(chunk: Chunk, word: str) -> Scanned:
    """Read the records of a chunk; `word` is the word of all its drawings.

    The last record may be cut if the file ends there or no later record can be found.
    """
    buf = _frozen(chunk.text)
    most = len(buf) // _LEAST_RECORD_BYTES
    x, y = np.empty(len(buf) // 2, np.uint8), np.empty(len(buf) // 2, np.uint8)
    stroke_end, drawing_end = np.empty(len(buf) // _LEAST_STROKE_BYTES, np.int64), np.empty(most, np.int64)
    headers, ends = np.empty((most, _HEADER_BYTES), np.uint8), np.empty(most, np.int64)
    faults, totals = np.empty((len(buf) // _HEADER_BYTES + 1, 5), np.int64), np.zeros(4, np.int64)
    scan_records(buf, MAX_POINTS, x, y, stroke_end, drawing_end, headers, ends, faults, totals)
    records, count, rejected, points = totals.tolist()
    header = headers[:count].reshape(-1).view(HEADER)
    codes, countrycode = _countrycodes(header["countrycode"])
    drawings = Drawings(  # of copies, so that the larger arrays are freed when this call returns
        x=x[:points].copy(),
        y=y[:points].copy(),
        stroke_end=stroke_end[: drawing_end[count - 1] if count else 0].copy(),
        drawing_end=drawing_end[:count].copy(),
        key_id=header["key_id"].astype(np.uint64),
        word=np.zeros(count, np.int32),
        recognized=header["recognized"].astype(np.int8),
        countrycode=countrycode,
        timestamp=header["timestamp"].astype("datetime64[s]").astype("datetime64[us]"),
        words=[word],
        countrycodes=codes,
    )
    rejects = partial(_rejects, chunk.offset, faults[:rejected].copy())
    return Scanned(drawings, ends[:count] + chunk.offset, chunk.end, records, rejects)


def _frozen(buf: UInt8Array) -> UInt8Array:
    """A read-only view, because numba would compile each kernel twice, for writeable and for read-only arrays."""
    view = buf.view()
    view.flags.writeable = False
    return view


def _countrycodes(column: NDArray[np.uint16]) -> tuple[list[str], NDArray[np.int32]]:
    """The codes in order of appearance, and each drawing's index into them."""
    found, first, inverse = np.unique(column, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return [int(code).to_bytes(2, "little").decode("ascii") for code in found[order]], place[inverse]


def _rejects(offset: int, faults: Int64Array, name: str, records: int) -> Iterator[Reject]:
    """The rejects of a chunk at `offset` of the file called `name`, which has `records` records before the chunk.

    `faults`, (R, 5) int64, holds for each rejected record its index and its first byte in the chunk, its error code,
    the number that the message shows, and whether no record can be found after it.
    """
    for record, start, fault, number, lost in faults.tolist():
        reason, sentence = REASONS[fault]
        message = sentence.format(number, number.to_bytes(2, "little").hex(" ") if fault == _COUNTRYCODE else "")
        if lost:
            message += f"; records have no delimiter, so everything from byte {offset + start} on is skipped"
        yield Reject(name, offset + start, records + record + 1, reason, message)


@kernel
def header_fault(buf: UInt8Array, i: int, shape: Int64Array) -> int:
    """The error code of the header at `i`; only its countrycode and recognized can be invalid."""
    first, second = np.int64(buf[i + 8]), np.int64(buf[i + 9])
    if not (32 < first < 127 and 32 < second < 127):
        shape[1] = first | second << 8
        return _COUNTRYCODE
    if buf[i + 10] > 1:
        shape[1] = np.int64(np.int8(buf[i + 10]))
        return _RECOGNIZED
    return _WHOLE


@kernel
def measure_record(
    buf: UInt8Array, start: int, after_bad: bool, is_last: bool, max_points: int, shape: Int64Array
) -> int:
    """The error code of the record at `start`, or `_WHOLE`.

    `shape`, (2,), receives the record's end, or `_WAIT` if `buf` ends before the record and is not the last of its
    file, or `_LOST`; and the number that the error's message shows. `after_bad` says that the header before this one
    was invalid.
    """
    count = len(buf)
    unfinished = _LOST if is_last else _WAIT
    shape[0], shape[1] = unfinished, 0
    if count - start < _HEADER_BYTES:
        return _CUT
    fault = header_fault(buf, start, shape)
    bad_header = fault != _WHOLE
    if bad_header and after_bad:
        shape[0] = _LOST
        return fault
    strokes = int(np.int64(buf[start + 15]) | np.int64(buf[start + 16]) << 8)
    if fault == _WHOLE and strokes == 0:
        fault = _NO_STROKES
    i = start + _HEADER_BYTES
    points = 0
    for stroke in range(strokes):
        if i + 2 > count:
            return fault if bad_header else _CUT
        more = int(np.int64(buf[i]) | np.int64(buf[i + 1]) << 8)
        i += 2 + 2 * more
        if i - start > MAX_RECORD_BYTES:
            shape[0] = _LOST
            return _TOO_LONG
        if i > count:
            return fault if bad_header else _CUT
        points += more
        if more == 0 and fault == _WHOLE:
            fault = _NO_POINTS
            shape[1] = stroke + 1
    if fault == _WHOLE and points > max_points:
        fault = _TOO_MANY
        shape[1] = points
    shape[0] = i
    return fault


@kernel
def end_of_records(buf: UInt8Array, is_last: bool, max_points: int, place: Int64Array) -> bool:
    """Whether `buf` has a place after which no record can be found.

    `place`, (2,), receives the end of the last whole record with a valid header, and where the walk stopped. A chunk
    ends at the former, so that the next chunk knows that no invalid header precedes it.
    """
    shape = np.zeros(2, np.int64)
    i = 0
    after_bad = False
    place[0] = 0
    while i < len(buf):
        fault = measure_record(buf, i, after_bad, is_last, max_points, shape)
        if shape[0] < 0:
            break
        after_bad = fault in (_COUNTRYCODE, _RECOGNIZED)
        i = shape[0]
        if not after_bad:
            place[0] = i
    place[1] = i
    return i < len(buf) and shape[0] == _LOST


@kernel
def scan_records(
    buf: UInt8Array, max_points: int, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array,
    headers: UInt8Array, ends: Int64Array, faults: Int64Array, totals: Int64Array,
) -> None:  # fmt: skip
    """Copy the valid records of `buf` into the arrays; `totals`, (4,), receives records, drawings, rejects, points."""
    shape = np.zeros(2, np.int64)
    i = record = drawing = rejected = stroke = point = 0
    after_bad = False
    while i < len(buf):
        fault = measure_record(buf, i, after_bad, True, max_points, shape)
        after_bad = fault in (_COUNTRYCODE, _RECOGNIZED)
        lost = shape[0] < 0
        if fault != _WHOLE:
            faults[rejected, _RECORD], faults[rejected, _START], faults[rejected, _FAULT] = record, i, fault
            faults[rejected, _NUMBER], faults[rejected, _IS_LOST] = shape[1], lost
            rejected += 1
        else:
            for k in range(_HEADER_BYTES):
                headers[drawing, k] = buf[i + k]
            j = i + _HEADER_BYTES
            while j < shape[0]:
                more = int(np.int64(buf[j]) | np.int64(buf[j + 1]) << 8)
                j += 2
                to, at, behind = np.uint64(point), np.uint64(j), np.uint64(j + more)  # unsigned: 1.4 times faster
                for _ in range(more):
                    x[to], y[to] = buf[at], buf[behind]
                    to, at, behind = to + _ONE, at + _ONE, behind + _ONE
                j += 2 * more
                point += more
                stroke_end[stroke] = point
                stroke += 1
            drawing_end[drawing], ends[drawing] = stroke, j
            drawing += 1
        record += 1
        i = len(buf) if lost else shape[0]
    totals[:] = record, drawing, rejected, point
