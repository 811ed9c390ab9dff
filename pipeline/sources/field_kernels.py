"""Kernels for the values of a drawing's fields: its strokes, its key_id and its timestamp.

As in `json_kernels.py`, a kernel takes `buf` and a position in it, returns the position behind what it read, and on a
fault returns -1.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.jit import kernel
from pipeline.sources.faults import (
    BAD_KEY_ID,
    DRAWING,
    KEY_ID,
    LENGTHS,
    LIST_COUNT,
    MAX_POINTS,
    NO_POINTS,
    NO_STROKES,
    NOT_INTEGER,
    NOT_STROKE,
    OUT_OF_RANGE,
    RAW_STROKE,
    TOO_MANY,
    TRUNCATED,
    WRONG_TYPE,
)
from pipeline.sources.json_kernels import (
    CLOSE_LIST,
    COMMA,
    MINUS,
    NEWLINE,
    NINE,
    OPEN_LIST,
    POINT,
    QUOTE,
    ZERO,
    ends_early,
    fail,
    fail_at,
    skip_space,
)

UInt8Array = NDArray[np.uint8]
Int64Array = NDArray[np.int64]

NO_TIMESTAMP = -(2**63)  # numpy's NaT


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
