"""The strict scanner of Quick, Draw! ndjson: parses every line of a chunk in one pass over its bytes."""

import numpy as np
from numpy import int64, uint64
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt8Array, UInt64Array
from pipeline.jit import inlined_kernel, inner_kernel, kernel
from pipeline.sources.scanner.faults import (
    DRAWING,
    EMPTY_WORD,
    KEY_ID,
    MAX_LINE_BYTES,
    MISSING,
    NOT_OBJECT,
    RECOGNIZED,
    TIMESTAMP,
    TOO_LONG,
    TWICE,
    UNKNOWN,
    WORD,
)
from pipeline.sources.scanner.fields import NAME_BYTES, NO_TIMESTAMP, field_of, plain_name, scan_key_id, scan_timestamp
from pipeline.sources.scanner.json_values import (
    CLOSE_OBJECT,
    COMMA,
    NEWLINE,
    OPEN_OBJECT,
    QUOTE,
    fail,
    fail_at,
    fail_type,
    scan_key,
    scan_literal,
    scan_scalar,
    scan_string,
    skip_space,
    skip_value,
)
from pipeline.sources.scanner.raw_strokes import Scratch, has_times, scan_raw_drawing
from pipeline.sources.scanner.strokes import scan_drawing
from pipeline.sources.scanner.swar import load8

# The bytes of the shortest valid line: {"word":"x","drawing":[[[0],[0]]]} and its newline.
MIN_LINE_BYTES = 35
# The first index of the scanner's output `rows`; the second is the accepted line.
LINE, START, END, WORD_START, WORD_END, COUNTRY_START, COUNTRY_END, ROW_RECOGNIZED, ROW_TIMESTAMP, HAS_KEY_ID = range(
    10
)
ROW_COLUMNS = 10


@inner_kernel
def scan_field(
    buf: UInt8Array, i: int, start: int, name: int, rows: Int64Array, key_ids: UInt64Array, row: int, fault: Int64Array
) -> int:
    """Read the value of a known field other than `drawing` into `row`; except for `word`, null means missing."""
    if buf[uint64(i)] == 110 and name != WORD:
        return scan_scalar(buf, i, start, fault)
    if name == RECOGNIZED:
        j = scan_literal(buf, i)
        if j < 0:
            return fail_type(buf, i, name, fault)
        rows[ROW_RECOGNIZED, row] = buf[i] == 116
        return j
    if name == KEY_ID:
        rows[HAS_KEY_ID, row] = 1
        return scan_key_id(buf, i, key_ids, row, fault)
    if buf[uint64(i)] != QUOTE:
        return fail_type(buf, i, name, fault)
    if name == TIMESTAMP:
        return scan_timestamp(buf, i, start, rows[ROW_TIMESTAMP], row, fault)
    j = scan_string(buf, i, start, fault)
    if j < 0:
        return -1
    if name == WORD:
        if j == i + 2:
            return fail(fault, EMPTY_WORD)
        rows[WORD_START, row] = i + 1
        rows[WORD_END, row] = j - 1
    else:
        rows[COUNTRY_START, row] = i + 1
        rows[COUNTRY_END, row] = j - 1
    return j


@inlined_kernel
def scan_line(
    buf: UInt8Array, i: int, row: int, rows: Int64Array, key_ids: UInt64Array, x: UInt8Array, y: UInt8Array,
    stroke_end: Int64Array, size: Int64Array, fault: Int64Array, raw: Scratch,
) -> int:  # fmt: skip
    """Read the line at `i` into `row` of `rows` and `key_ids`, and its strokes into the arrays after them.

    Returns the position after the line, or -1 with the error in `fault`.
    """
    start = i
    rows[COUNTRY_START, row] = -1
    rows[ROW_RECOGNIZED, row] = -1
    rows[ROW_TIMESTAMP, row] = NO_TIMESTAMP
    rows[HAS_KEY_ID, row] = 0
    key_ids[row] = 0
    i = skip_space(buf, i)
    if buf[i] != OPEN_OBJECT:
        return fail(fault, NOT_OBJECT, int64(buf[i]))
    i = skip_space(buf, i + 1)
    if buf[i] == CLOSE_OBJECT:
        return fail(fault, MISSING, WORD)
    seen = 0
    guess = WORD
    while True:
        name = plain_name(buf, i, guess)
        if name != UNKNOWN:
            i = skip_space(buf, i + NAME_BYTES[name])
        else:
            quote = i
            i = scan_key(buf, i, start, fault)
            if i < 0:
                return -1
            name = field_of(buf, quote)
        if name == UNKNOWN:
            i = skip_value(buf, i, start, fault)
        else:
            if seen & (1 << name):
                return fail(fault, TWICE, name)
            seen |= 1 << name
            guess = name + 1 if name < DRAWING else WORD
            if name == DRAWING:
                drawing = i
                i = scan_drawing(buf, i, start, x, y, stroke_end, size, fault)
                if i < 0 and has_times(buf, drawing):
                    fault[0] = 0
                    i = scan_raw_drawing(buf, drawing, start, x, y, stroke_end, size, fault, raw)
            else:
                i = scan_field(buf, i, start, name, rows, key_ids, row, fault)
        if i < 0:
            return -1
        i = skip_space(buf, i)
        if buf[uint64(i)] == CLOSE_OBJECT:
            break
        if buf[uint64(i)] != COMMA:
            return fail_at(buf, i, start, COMMA, fault)
        i = skip_space(buf, i + 1)
    i = skip_space(buf, i + 1)
    if buf[i] != NEWLINE:
        return fail_at(buf, i, start, NEWLINE, fault)
    if not seen & (1 << WORD):
        return fail(fault, MISSING, WORD)
    if not seen & (1 << DRAWING):
        return fail(fault, MISSING, DRAWING)
    return i + 1


@inner_kernel
def end_of_line(buf: UInt8Array, i: int) -> int:
    """The position after the line that contains `i`."""
    while buf[i] != NEWLINE:
        i += 1
    return i + 1


@kernel
def scan_lines(
    buf: UInt8Array, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, rows: Int64Array,
    key_ids: UInt64Array, rejects: Int64Array, place: Int64Array, raw: Scratch,
) -> int:  # fmt: skip
    """Read the lines of `buf` into the other arrays, until `buf` ends or `rejects` is full; returns how many rejects.

    `place`, (5,), says where to begin and is updated in place: a position in `buf`, and the numbers of lines, drawings,
    strokes and points before it. `rows`, (ROW_COLUMNS, R), and `key_ids`, (R,), have one row more than there can be
    drawings, because a row is filled before it is known whether its line is valid. `rejects`, (K, 6), receives the
    line, the start and the error of each rejected line. Blank lines are skipped. `raw` is scratch for raw drawings.
    """
    fault = np.zeros(4, np.int64)
    size = np.zeros(3, np.int64)
    i = place[0]
    line = place[1]
    drawings = place[2]
    size[0] = place[3]
    size[1] = place[4]
    rejected = int64(0)
    while i < len(buf) and rejected < len(rejects):
        start = i
        strokes = size[0]
        points = size[1]
        fault[0] = 0
        blank = buf[skip_space(buf, i)] == NEWLINE
        if not blank:
            i = scan_line(buf, i, drawings, rows, key_ids, x, y, stroke_end, size, fault, raw)
        if blank or i < 0:
            i = end_of_line(buf, start)
        if i - start > MAX_LINE_BYTES + 1:
            fail(fault, TOO_LONG, MAX_LINE_BYTES)
        if fault[0] != 0:
            size[0] = strokes
            size[1] = points
            rejects[rejected, 0] = line
            rejects[rejected, 1] = start
            for k in range(4):
                rejects[rejected, 2 + k] = fault[k]
            rejected += 1
        elif not blank:
            rows[LINE, drawings] = line
            rows[START, drawings] = start
            rows[END, drawings] = i
            drawing_end[drawings] = size[0]
            drawings += 1
        line += 1
    place[0] = i
    place[1] = line
    place[2] = drawings
    place[3] = size[0]
    place[4] = size[1]
    return rejected


@inner_kernel
def same_bytes(buf: UInt8Array, i: int, j: int, length: int) -> bool:
    """Whether the `length` bytes at `i` equal those at `j`."""
    k = int64(0)
    while k < length:
        if length - k >= 8:
            if load8(buf, i + k) != load8(buf, j + k):
                return False
            k += 8
        else:
            if buf[uint64(i + k)] != buf[uint64(j + k)]:
                return False
            k += 1
    return True


@kernel
def intern_spans(
    buf: UInt8Array, starts: Int64Array, ends: Int64Array, ids: NDArray[np.int32], firsts: Int64Array
) -> int:
    """Number the distinct byte strings `buf[start:end]` in order of appearance; a start of -1 gets id -1.

    `ids`, (N,), receives the numbers, and `firsts`, (N,), the first row of each; returns how many strings there are.
    """
    slots = 16
    while slots < 2 * len(starts):
        slots *= 2
    table = np.full(slots, -1, np.int32)
    count = 0
    for row in range(len(starts)):
        start = starts[row]
        if start < 0:
            ids[row] = -1
            continue
        length = ends[row] - start
        if (
            row > 0
            and starts[row - 1] >= 0
            and ends[row - 1] - starts[row - 1] == length
            and same_bytes(buf, starts[row - 1], start, length)
        ):
            ids[row] = ids[row - 1]
            continue
        code = length
        for k in range(start, start + length):
            code = (code * 31 + int64(buf[uint64(k)])) & 0x3FFFFFFF
        slot = code & (slots - 1)
        while table[slot] >= 0:
            other = firsts[table[slot]]
            if ends[other] - starts[other] == length and same_bytes(buf, starts[other], start, length):
                break
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = row
            count += 1
        ids[row] = table[slot]
    return count
