"""Kernels that read countrycode, timestamp, recognized and key_id in other forms than Google's.

A legal JSON value of these fields never costs a drawing: one that cannot be used is read as null, and the reason is
noted. As in `json_values.py`, a kernel takes `buf` and a position in it.
"""

import numpy as np
from numpy import int64, uint64

from pipeline.arrays import Int64Array, UInt8Array, UInt64Array
from pipeline.jit import inner_kernel
from pipeline.sources.limits import MAX_KEY_ID_BYTES
from pipeline.sources.scanner.columns import NUMBER_KEY, ROW_KEY, ROW_NOTES, ROW_RECOGNIZED, ROW_TIMESTAMP, TEXT_KEY
from pipeline.sources.scanner.faults import (
    COUNTRYCODE,
    EMPTY,
    KEY_ID,
    LONG_KEY_ID,
    NOT_A_NUMBER,
    OTHER_TYPE,
    RECOGNIZED,
    TIMESTAMP,
    UNREADABLE,
)
from pipeline.sources.scanner.fields import NO_TIMESTAMP, is_longer, micros_since_1970
from pipeline.sources.scanner.json_values import MINUS, NINE, PLUS, POINT, QUOTE, ZERO, scan_constant, skip_value
from pipeline.sources.scanner.raw_strokes import scan_float

# A timestamp that is a number is one of seconds, milliseconds, microseconds or nanoseconds. From 1990 to 2099 no number
# of one unit is one of another: these are the seconds of January 1, 1990 and of January 1, 2100.
_FIRST_SECOND, _LAST_SECOND = 631_152_000, 4_102_444_800
_MOST_NANOSECONDS = _LAST_SECOND * 10**9
# January 1 of the years 1 and 10,000, between which Python can hold a time.
_FIRST_MICROSECOND, _NO_MICROSECOND = -62_135_596_800_000_000, 253_402_300_800_000_000
_EXACT = 1 << 53  # below this every whole number is a float64


@inner_kernel
def noted(name: int, reason: int) -> int:
    """The bit of `ROW_NOTES` that says that field `name`, from COUNTRYCODE to KEY_ID, was read as null."""
    return 1 << (4 * (name - COUNTRYCODE) + reason)


@inner_kernel
def recognized_of(buf: UInt8Array, i: int, end: int) -> int:
    """1 for "true" in any case, 1 and 1.0, 0 for "false", 0 and 0.0, with or without quotes; else -1."""
    if buf[i] == QUOTE:
        i, end = i + 1, end - 1
    length = end - i
    if ZERO <= buf[i] <= ZERO + 1:
        for k in range(i + 1, end):
            if buf[k] != (POINT if k == i + 1 else ZERO):
                return -1
        return -1 if length == 2 else int(int64(buf[i])) - ZERO
    if length == 4 and (buf[i] | 32) == 116 and (buf[i + 1] | 32) == 114 and (buf[i + 2] | 32) == 117:
        return 1 if (buf[i + 3] | 32) == 101 else -1
    if length == 5 and (buf[i] | 32) == 102 and (buf[i + 1] | 32) == 97 and (buf[i + 2] | 32) == 108:
        return 0 if (buf[i + 3] | 32) == 115 and (buf[i + 4] | 32) == 101 else -1
    return -1


@inner_kernel
def two_digits(buf: UInt8Array, i: int) -> int:
    """The number of two digits at `i`, or -1."""
    if not (ZERO <= buf[i] <= NINE and ZERO <= buf[i + 1] <= NINE):
        return -1
    return (int(int64(buf[i])) - ZERO) * 10 + int(int64(buf[i + 1])) - ZERO


@inner_kernel
def zone_minutes(buf: UInt8Array, i: int) -> int:
    """Minutes east of UTC of the zone at `i`, which ends at a quote: " UTC", Z, +02:00, +0200, +02, none; else 1440."""
    if buf[i] == QUOTE or (buf[i] == 90 and buf[i + 1] == QUOTE):
        return 0
    if buf[i] == 32:
        i += 1
        if buf[i] == 85 and buf[i + 1] == 84 and buf[i + 2] == 67 and buf[i + 3] == QUOTE:
            return 0
    if buf[i] != PLUS and buf[i] != MINUS:
        return 1440
    hours, minutes, j = two_digits(buf, i + 1), 0, i + 3
    if hours >= 0 and buf[j] != QUOTE:
        j += buf[j] == 58
        minutes = two_digits(buf, j)
        j += 2
    if not (0 <= hours <= 23 and 0 <= minutes <= 59) or buf[j] != QUOTE:
        return 1440
    offset = hours * 60 + minutes
    return -offset if buf[i] == MINUS else offset


@inner_kernel
def micros_of_text(buf: UInt8Array, i: int) -> int:
    """Microseconds since 1970 of a validated string such as "2017-03-02 23:25:10.07453 UTC", or `NO_TIMESTAMP`.

    The time may be missing; its fraction may be missing or have one to nine digits. `T` may stand for the space, and
    `Z`, an offset such as +02:00 or nothing for ` UTC`.
    """
    century, years, month, day = two_digits(buf, i + 1), -1, -1, -1
    if century >= 0:
        years = two_digits(buf, i + 3)
    if years >= 0 and buf[i + 5] == MINUS:
        month = two_digits(buf, i + 6)
    if month >= 0 and buf[i + 8] == MINUS:
        day = two_digits(buf, i + 9)
    if day < 0:
        return NO_TIMESTAMP
    j = i + 11
    if buf[j] == QUOTE:
        return micros_since_1970(century * 100 + years, month, day, 0, 0, 0)
    hour, minute, second = -1, -1, -1
    if buf[j] == 32 or buf[j] == 84:
        hour = two_digits(buf, j + 1)
    if hour >= 0 and buf[j + 3] == 58:
        minute = two_digits(buf, j + 4)
    if minute >= 0 and buf[j + 6] == 58:
        second = two_digits(buf, j + 7)
    if second < 0:
        return NO_TIMESTAMP
    j += 9
    micros = 0
    if buf[j] == POINT:
        first = j + 1
        j = first
        while ZERO <= buf[j] <= NINE:
            if j - first < 6:
                micros = micros * 10 + int(int64(buf[j])) - ZERO
            j += 1
        if j == first or j - first > 9:
            return NO_TIMESTAMP
        for _ in range(j - first, 6):
            micros *= 10
    offset = zone_minutes(buf, j)
    since = micros_since_1970(century * 100 + years, month, day, hour, minute, second)
    if offset == 1440 or since == NO_TIMESTAMP:
        return NO_TIMESTAMP
    since += micros - offset * 60_000_000
    return since if _FIRST_MICROSECOND <= since < _NO_MICROSECOND else NO_TIMESTAMP


@inner_kernel
def micros_of_number(buf: UInt8Array, i: int, end: int, fault: Int64Array) -> int:
    """Microseconds since 1970 of a validated number, whose unit follows from its size, or `NO_TIMESTAMP`."""
    whole, j = 0, i
    while j < end and ZERO <= buf[j] <= NINE and whole <= _MOST_NANOSECONDS // 10:
        whole = whole * 10 + int(int64(buf[j])) - ZERO
        j += 1
    if j == end:
        if _FIRST_SECOND <= whole < _LAST_SECOND:
            return whole * 1_000_000
        if _FIRST_SECOND <= whole // 10**3 < _LAST_SECOND:
            return whole * 1_000
        if _FIRST_SECOND <= whole // 10**6 < _LAST_SECOND:
            return whole
        return whole // 1_000 if _FIRST_SECOND <= whole // 10**9 < _LAST_SECOND else NO_TIMESTAMP
    _, value = scan_float(buf, i, i, 0, 0, fault)
    fault[0] = 0
    for unit in (1e6, 1e3, 1.0, 1e-3):
        if _FIRST_SECOND * 1e6 <= value * unit < _LAST_SECOND * 1e6:
            return int(np.rint(value * unit))
    return NO_TIMESTAMP


@inner_kernel
def whole_number(buf: UInt8Array, i: int, fault: Int64Array) -> int:
    """The validated number at `i` if it is whole and a float64 holds every number up to it exactly; else -1."""
    if buf[i] == MINUS:
        return -1
    j, value = scan_float(buf, i, i, 0, 0, fault)
    fault[0] = 0
    return int(value) if j >= 0 and value < _EXACT and value == np.floor(value) else -1


@inner_kernel
def scan_other_value(
    buf: UInt8Array, i: int, start: int, name: int, rows: Int64Array, key_ids: UInt64Array, row: int, fault: Int64Array
) -> int:
    """Read the value of field `name`, COUNTRYCODE to KEY_ID, which is neither null nor as Google writes it, into `row`.

    Returns the position after it, or -1 if it is no legal value.
    """
    end = skip_value(buf, i, start, fault)
    if end < 0:
        return -1
    is_text = buf[i] == QUOTE
    is_number = buf[i] == MINUS or ZERO <= buf[i] <= NINE
    reason = UNREADABLE
    if scan_constant(buf, i) >= 0:
        reason = NOT_A_NUMBER
    elif is_text and end == i + 2:
        reason = EMPTY
    elif not (is_text or is_number) or name == COUNTRYCODE:
        reason = OTHER_TYPE
    elif name == RECOGNIZED:
        recognized = recognized_of(buf, i, end)
        rows[ROW_RECOGNIZED, row] = recognized
        if recognized >= 0:
            return end
    elif name == TIMESTAMP:
        micros = micros_of_text(buf, i) if is_text else micros_of_number(buf, i, end, fault)
        rows[ROW_TIMESTAMP, row] = micros
        if micros != NO_TIMESTAMP:
            return end
    elif name == KEY_ID:
        if is_text and is_longer(buf, i + 1, end - 1, MAX_KEY_ID_BYTES):
            rows[ROW_NOTES, row] |= LONG_KEY_ID
            return end
        if is_text:
            rows[ROW_KEY, row] = TEXT_KEY
            key_ids[row] = (uint64(i + 1) << uint64(32)) | uint64(end - 1)
            return end
        number = whole_number(buf, i, fault)
        if number >= 0:
            rows[ROW_KEY, row] = NUMBER_KEY
            key_ids[row] = uint64(number)
            return end
    rows[ROW_NOTES, row] |= noted(name, reason)
    return end
