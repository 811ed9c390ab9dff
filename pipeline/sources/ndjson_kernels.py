"""The scanner of Quick, Draw! ndjson: strict, one pass over the bytes, no Python object a line.

The kernels that `scan_lines` calls in other files are frozen into its cached machine code: after an edit in
`json_kernels.py`, touch this file too (numba's cache looks at the file of the outermost kernel only).
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.jit import kernel
from pipeline.sources.json_kernels import (
    CLOSE_LIST,
    CLOSE_OBJECT,
    COMMA,
    MINUS,
    NEWLINE,
    NINE,
    OPEN_LIST,
    OPEN_OBJECT,
    POINT,
    QUOTE,
    TRUNCATED,
    ZERO,
    ends_early,
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

NOT_OBJECT, TWICE, MISSING, WRONG_TYPE, EMPTY_WORD, BAD_TIMESTAMP, BAD_KEY_ID = range(20, 27)
NO_STROKES, NOT_STROKE, LIST_COUNT, RAW_STROKE, NO_POINTS, LENGTHS, NOT_INTEGER, OUT_OF_RANGE, TOO_MANY = range(30, 39)
MAX_POINTS = 65_535  # a shard keeps the ends of strokes as uint16

# The columns of the scanner's output `rows`, one row an accepted line.
LINE, START, END, WORD_START, WORD_END, COUNTRY_START, COUNTRY_END, RECOGNIZED, TIMESTAMP, HAS_KEY_ID = range(10)
ROW_COLUMNS = 10
TOO_LONG = 40
MAX_LINE_BYTES = 1 << 20  # Google's longest raw line has 37,210
NO_TIMESTAMP = -(2**63)  # numpy's NaT

FIELDS = ("word", "countrycode", "timestamp", "recognized", "key_id", "drawing")
WORD, COUNTRYCODE, TIMESTAMP_FIELD, RECOGNIZED_FIELD, KEY_ID, DRAWING, UNKNOWN = range(7)
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
def scan_values(
    buf: UInt8Array, i: int, start: int, out: UInt8Array, count: int, stroke: int, axis: int, fault: Int64Array
) -> tuple[int, int]:
    """Read a list of integers 0-255 into `out` from `count` on; returns the position and the new count."""
    if buf[i] != OPEN_LIST:
        return fail(fault, TRUNCATED if buf[i] == NEWLINE else NOT_STROKE, stroke, axis), count
    i = skip_space(buf, i + 1)
    if buf[i] == CLOSE_LIST:
        return i + 1, count
    while True:
        first = i
        value = np.int64(buf[i]) - ZERO
        if value < 0 or value > 9:
            if buf[i] == MINUS and ZERO < buf[i + 1] <= NINE:
                return fail(fault, OUT_OF_RANGE, stroke, axis, first - start), count
            return fail_value(buf, i, start, stroke, axis, fault), count
        i += 1
        digit = np.int64(buf[i]) - ZERO
        while 0 <= digit <= 9:
            value = value * 10 + digit
            i += 1
            digit = np.int64(buf[i]) - ZERO
            if i - first > 3:
                break
        c = buf[i]
        if c != COMMA and c != CLOSE_LIST:
            if c == POINT or c == 101 or c == 69:
                return fail(fault, NOT_INTEGER, stroke, axis, first - start), count
            if ZERO <= c <= NINE:
                return fail(fault, OUT_OF_RANGE, stroke, axis, first - start), count
            i = skip_space(buf, i)
            c = buf[i]
        if i - first > 1 and buf[first] == ZERO and ZERO <= buf[first + 1] <= NINE:
            return fail(fault, NOT_INTEGER, stroke, axis, first - start), count
        if value > 255:
            return fail(fault, OUT_OF_RANGE, stroke, axis, first - start), count
        out[count] = value
        count += 1
        if c == CLOSE_LIST:
            return i + 1, count
        if c != COMMA:
            return fail_at(buf, i, start, COMMA, fault), count
        i += 1
        if buf[i] <= 32:
            i = skip_space(buf, i)


@kernel
def fail_type(buf: UInt8Array, i: int, name: int, fault: Int64Array) -> int:
    """Note that what stands at `i` is no value of the field `name`, or that nothing stands there."""
    return fail(fault, TRUNCATED) if ends_early(buf, i) else fail(fault, WRONG_TYPE, name)


@kernel
def fail_value(buf: UInt8Array, i: int, start: int, stroke: int, axis: int, fault: Int64Array) -> int:
    """Note what stands at `i` where an integer belongs."""
    if buf[i] == NEWLINE:
        return fail_at(buf, i, start, ZERO, fault)
    return fail(fault, NOT_INTEGER, stroke, axis, i - start)


@kernel
def scan_drawing(
    buf: UInt8Array, i: int, start: int, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, size: Int64Array,
    fault: Int64Array,
) -> int:  # fmt: skip
    """Read the strokes at `i` behind what `x`, `y` and `stroke_end` hold; `size`, (2,), counts strokes and points."""
    stroke, point = size[0], size[1]
    if buf[i] != OPEN_LIST:
        return fail_type(buf, i, DRAWING, fault)
    i = skip_space(buf, i + 1)
    if buf[i] == CLOSE_LIST:
        return fail(fault, NO_STROKES)
    number = 0
    while True:
        number += 1
        if buf[i] != OPEN_LIST:
            return fail(fault, NOT_STROKE, number, 2) if buf[i] != NEWLINE else fail(fault, TRUNCATED)
        i = skip_space(buf, i + 1)
        if buf[i] == CLOSE_LIST:
            return fail(fault, LIST_COUNT, number, 0)
        i, x_end = scan_values(buf, i, start, x, point, number, 0, fault)
        if i < 0:
            return -1
        i = skip_space(buf, i)
        if buf[i] == CLOSE_LIST:
            return fail(fault, LIST_COUNT, number, 1)
        if buf[i] != COMMA:
            return fail_at(buf, i, start, COMMA, fault)
        i, y_end = scan_values(buf, skip_space(buf, i + 1), start, y, point, number, 1, fault)
        if i < 0:
            return -1
        i = skip_space(buf, i)
        if buf[i] != CLOSE_LIST:
            return fail(fault, RAW_STROKE, number) if buf[i] == COMMA else fail_at(buf, i, start, CLOSE_LIST, fault)
        if x_end != y_end:
            return fail(fault, LENGTHS, number, x_end - point, y_end - point)
        if x_end == point:
            return fail(fault, NO_POINTS, number)
        point = x_end
        if point - size[1] > MAX_POINTS:
            return fail(fault, TOO_MANY, MAX_POINTS)
        stroke_end[stroke] = point
        stroke += 1
        i = skip_space(buf, i + 1)
        if buf[i] == CLOSE_LIST:
            size[0], size[1] = stroke, point
            return i + 1
        if buf[i] != COMMA:
            return fail_at(buf, i, start, COMMA, fault)
        i = skip_space(buf, i + 1)


@kernel
def scan_key_id(buf: UInt8Array, i: int, key_id: NDArray[np.uint64], fault: Int64Array) -> int:
    """Read a key_id, a string or a plain number of up to 64 bits, into `key_id`, (1,)."""
    quoted = buf[i] == QUOTE
    j = i + 1 if quoted else i
    if not ZERO <= buf[j] <= NINE:
        if quoted or buf[j] == MINUS:
            return fail(fault, TRUNCATED if buf[j] == NEWLINE else BAD_KEY_ID)
        return fail_type(buf, i, KEY_ID, fault)
    first = j
    value = np.uint64(0)
    while ZERO <= buf[j] <= NINE:
        digit = np.uint64(buf[j] - ZERO)
        if j - first >= 19 and (
            value > np.uint64(1844674407370955161) or (value == np.uint64(1844674407370955161) and digit > np.uint64(5))
        ):
            return fail(fault, BAD_KEY_ID)
        value = value * np.uint64(10) + digit
        j += 1
    if quoted:
        if buf[j] != QUOTE:
            return fail(fault, TRUNCATED if buf[j] == NEWLINE else BAD_KEY_ID)
        j += 1
    elif (buf[first] == ZERO and j > first + 1) or buf[j] == POINT or buf[j] == 101 or buf[j] == 69:
        return fail(fault, BAD_KEY_ID)
    key_id[0] = value
    return j


@kernel
def scan_timestamp(buf: UInt8Array, i: int) -> int:
    """Microseconds since 1970 of a checked string such as "2017-03-02 23:25:10.07453 UTC", or `NO_TIMESTAMP`.

    Between one and nine digits of fraction, or none; `T` for the space and `Z` for ` UTC` are read too.
    """
    parts = np.zeros(6, np.int64)
    j = i + 1
    for part in range(6):
        width = 4 if part == 0 else 2
        for _ in range(width):
            if not ZERO <= buf[j] <= NINE:
                return NO_TIMESTAMP
            parts[part] = parts[part] * 10 + (np.int64(buf[j]) - ZERO)
            j += 1
        if (
            (part < 2 and buf[j] != MINUS)
            or (part == 2 and buf[j] != 32 and buf[j] != 84)
            or (3 <= part < 5 and buf[j] != 58)
        ):
            return NO_TIMESTAMP
        j += 1 if part < 5 else 0
    micros = 0
    if buf[j] == POINT:
        first = j + 1
        j = first
        while ZERO <= buf[j] <= NINE:
            if j - first < 6:
                micros = micros * 10 + (np.int64(buf[j]) - ZERO)
            j += 1
        if j == first or j - first > 9:
            return NO_TIMESTAMP
        for _ in range(j - first, 6):
            micros *= 10
    if buf[j] == 90:
        j += 1
    elif buf[j] == 32 and buf[j + 1] == 85 and buf[j + 2] == 84 and buf[j + 3] == 67:
        j += 4
    if buf[j] != QUOTE:
        return NO_TIMESTAMP
    year, month, day, hour, minute, second = parts
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days_in_month = 28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= days_in_month or hour > 23 or minute > 59 or second > 59:
        return NO_TIMESTAMP
    # Days since 1970 with years that begin in March (H. Hinnant, "chrono-compatible low-level date algorithms").
    year -= month <= 2
    day_of_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1
    days = year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - 719_468
    return ((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + micros


@kernel
def scan_field(
    buf: UInt8Array, i: int, start: int, name: int, row: Int64Array, key_id: NDArray[np.uint64], fault: Int64Array
) -> int:
    """Read the value of a known field but `drawing` into `row`; null is as good as missing, except for `word`."""
    if buf[i] == 110 and name != WORD:
        return scan_scalar(buf, i, start, fault)
    if name == RECOGNIZED_FIELD:
        j = scan_literal(buf, i)
        if j < 0:
            return fail_type(buf, i, name, fault)
        row[RECOGNIZED] = buf[i] == 116
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
        row[TIMESTAMP] = scan_timestamp(buf, i)
        if row[TIMESTAMP] == NO_TIMESTAMP:
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
    row[COUNTRY_START], row[RECOGNIZED], row[TIMESTAMP] = -1, -1, NO_TIMESTAMP
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
