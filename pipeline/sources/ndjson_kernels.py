"""The scanner of Quick, Draw! ndjson: strict, one pass over the bytes, no Python object a line.

The kernels that `scan_lines` calls in other files are frozen into its cached machine code, and numba's cache looks at
this file only. So the hash of those files stands here, and a test holds it against them: whoever edits one of them
changes this file too, and nobody scans with the code of yesterday.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.jit import kernel
from pipeline.sources.faults import (
    BAD_TIMESTAMP,
    COUNTRYCODE,
    DRAWING,
    EMPTY_WORD,
    FIELDS,
    KEY_ID,
    MAX_LINE_BYTES,
    MISSING,
    NOT_OBJECT,
    RECOGNIZED,
    TOO_LONG,
    TWICE,
    UNKNOWN,
    WORD,
)
from pipeline.sources.field_kernels import (
    NO_TIMESTAMP,
    fail_type,
    scan_drawing,
    scan_key_id,
    scan_timestamp,
)
from pipeline.sources.json_kernels import (
    CLOSE_OBJECT,
    COMMA,
    NEWLINE,
    OPEN_OBJECT,
    QUOTE,
    fail,
    fail_at,
    scan_hex4,
    scan_key,
    scan_literal,
    scan_scalar,
    scan_string,
    skip_space,
    skip_value,
)

UInt8Array = NDArray[np.uint8]
Int64Array = NDArray[np.int64]

# The columns of the scanner's output `rows`, one row an accepted line.
LINE, START, END, WORD_START, WORD_END, COUNTRY_START, COUNTRY_END, ROW_RECOGNIZED, ROW_TIMESTAMP, HAS_KEY_ID = range(
    10
)
ROW_COLUMNS = 10
CALLED_FILES = ("faults.py", "field_kernels.py", "json_kernels.py")
CALLED_SHA256 = "f08c077ebd67a80ca728e895e106b7ea5feb089100e828c1c16898ce8e5140a9"
_FIELD_BYTES = np.frombuffer("".join(FIELDS).encode(), np.uint8)
_FIELD_ENDS = np.cumsum([len(name) for name in FIELDS])


@kernel
def field_of(buf: UInt8Array, i: int) -> int:
    """Which of `FIELDS` the checked string at `i` names, escapes resolved; `UNKNOWN` if none."""
    begin = 0
    for name in range(len(_FIELD_ENDS)):
        end = _FIELD_ENDS[name]
        j = i + 1
        k = begin
        while k < end:
            c = np.int64(buf[j])
            j += 1
            if c == 92 and buf[j] == 117:
                c = scan_hex4(buf, j + 1)
                j += 5
            if c != _FIELD_BYTES[k]:
                break
            k += 1
        if k == end and buf[j] == QUOTE:
            return name
        begin = end
    return UNKNOWN


@kernel
def scan_field(
    buf: UInt8Array, i: int, start: int, name: int, row: Int64Array, key_id: NDArray[np.uint64], fault: Int64Array
) -> int:
    """Read the value of a known field but `drawing` into `row`; null is as good as missing, except for `word`."""
    if buf[i] == 110 and name != WORD:
        return scan_scalar(buf, i, start, fault)
    if name == RECOGNIZED:
        j = scan_literal(buf, i)
        if j < 0:
            return fail_type(buf, i, name, fault)
        row[ROW_RECOGNIZED] = buf[i] == 116
        return j
    if name == KEY_ID:
        row[HAS_KEY_ID] = 1
        return scan_key_id(buf, i, key_id, fault)
    if buf[i] != QUOTE:
        return fail_type(buf, i, name, fault)
    j = scan_string(buf, i, start, fault)
    if j < 0:
        return -1
    if name == WORD:
        if j == i + 2:
            return fail(fault, EMPTY_WORD)
        row[WORD_START], row[WORD_END] = i + 1, j - 1
    elif name == COUNTRYCODE:
        row[COUNTRY_START], row[COUNTRY_END] = i + 1, j - 1
    else:
        row[ROW_TIMESTAMP] = scan_timestamp(buf, i)
        if row[ROW_TIMESTAMP] == NO_TIMESTAMP:
            return fail(fault, BAD_TIMESTAMP)
    return j


@kernel
def scan_line(
    buf: UInt8Array, i: int, row: Int64Array, key_id: NDArray[np.uint64], x: UInt8Array, y: UInt8Array,
    stroke_end: Int64Array, size: Int64Array, fault: Int64Array,
) -> int:  # fmt: skip
    """Read the line at `i` into `row`, `key_id` and the strokes; -1 and a fault where it is not whole."""
    start = i
    row[:] = 0
    row[COUNTRY_START], row[ROW_RECOGNIZED], row[ROW_TIMESTAMP] = -1, -1, NO_TIMESTAMP
    i = skip_space(buf, i)
    if buf[i] != OPEN_OBJECT:
        return fail(fault, NOT_OBJECT, buf[i])
    i = skip_space(buf, i + 1)
    seen = 0
    if buf[i] == CLOSE_OBJECT:
        return fail(fault, MISSING, WORD)
    while True:
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
            if name == DRAWING:
                i = scan_drawing(buf, i, start, x, y, stroke_end, size, fault)
            else:
                i = scan_field(buf, i, start, name, row, key_id, fault)
        if i < 0:
            return -1
        i = skip_space(buf, i)
        if buf[i] == CLOSE_OBJECT:
            break
        if buf[i] != COMMA:
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


@kernel
def end_of_line(buf: UInt8Array, i: int) -> int:
    """The position behind the line that `i` stands in."""
    while buf[i] != NEWLINE:
        i += 1
    return i + 1


@kernel
def scan_lines(
    buf: UInt8Array, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, rows: Int64Array,
    key_ids: NDArray[np.uint64], rejects: Int64Array, totals: Int64Array,
) -> None:  # fmt: skip
    """Read every line of `buf` into the arrays behind it; `totals`, (4,), gets lines, drawings, rejects and points.

    `rejects`, (lines, 6), gets line, start, and the fault of each bad line. A blank line is passed over.
    """
    fault = np.zeros(4, np.int64)
    size = np.zeros(2, np.int64)
    i = line = drawings = rejected = 0
    while i < len(buf):
        start = i
        strokes, points = size[0], size[1]
        blank = buf[skip_space(buf, i)] == NEWLINE
        if not blank:
            key_ids[drawings] = 0
            i = scan_line(buf, i, rows[drawings], key_ids[drawings:], x, y, stroke_end, size, fault)
        if blank or i < 0:
            i = end_of_line(buf, start)
        else:
            fault[0] = 0
        if i - start > MAX_LINE_BYTES + 1:
            fail(fault, TOO_LONG, MAX_LINE_BYTES)
        elif blank:
            fault[0] = 0
        if fault[0] != 0:
            size[0], size[1] = strokes, points
            rejects[rejected, 0], rejects[rejected, 1] = line, start
            rejects[rejected, 2:] = fault
            rejected += 1
        elif not blank:
            rows[drawings, LINE], rows[drawings, START], rows[drawings, END] = line, start, i
            drawing_end[drawings] = size[0]
            drawings += 1
        line += 1
    totals[:] = line, drawings, rejected, size[1]


@kernel
def intern_spans(
    buf: UInt8Array, starts: Int64Array, ends: Int64Array, ids: NDArray[np.int32], firsts: Int64Array
) -> int:
    """Number the distinct byte strings `buf[start:end]` in order of appearance; a start of -1 gets id -1.

    `ids`, (N,), gets the numbers and `firsts`, (N,), the first row of each; returns how many there are.
    """
    slots = 16
    while slots < 2 * len(starts):
        slots *= 2
    table = np.full(slots, -1, np.int32)
    count = 0
    for row in range(len(starts)):
        if starts[row] < 0:
            ids[row] = -1
            continue
        length = ends[row] - starts[row]
        code = length
        for k in range(starts[row], ends[row]):
            code = (code * 31 + buf[k]) & 0x3FFFFFFF
        slot = code & (slots - 1)
        while table[slot] >= 0:
            other = firsts[table[slot]]
            if ends[other] - starts[other] == length:
                k = 0
                while k < length and buf[starts[other] + k] == buf[starts[row] + k]:
                    k += 1
                if k == length:
                    break
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = row
            count += 1
        ids[row] = table[slot]
    return count
