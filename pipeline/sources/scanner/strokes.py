"""Kernels that parse the strokes of a simplified drawing: two lists of 0-255 for each stroke.

As in `json_values.py`, a kernel takes `buf` and a position in it and returns the position after what it read, or -1 on
an error. `size`, (3,) int64, holds the number of strokes and of points of all drawings read so far, and where the list
read last ends in `x` or `y`.
"""

# In compiled code numpy's int64 and Python's int are the same type.
# mypy: disable-error-code="arg-type, assignment, no-any-return, return-value"

import numpy as np
from numpy import int64, uint64

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.jit import inlined_kernel, inner_kernel
from pipeline.sources.limits import MAX_POINTS
from pipeline.sources.scanner.faults import (
    DRAWING,
    LENGTHS,
    LIST_COUNT,
    NO_POINTS,
    NO_STROKES,
    NOT_INTEGER,
    NOT_STROKE,
    OUT_OF_RANGE,
    RAW_STROKE,
    TOO_MANY,
    TRUNCATED,
)
from pipeline.sources.scanner.json_values import (
    CLOSE_LIST,
    COMMA,
    MINUS,
    NEWLINE,
    NINE,
    OPEN_LIST,
    POINT,
    ZERO,
    fail,
    fail_at,
    fail_type,
    skip_space,
)
from pipeline.sources.scanner.swar import ZERO_DIGITS, load8, swap_bytes, trailing_zeros

_NONE, _ONE, _THREE, _EIGHT = uint64(0), uint64(1), uint64(3), uint64(8)
_BYTE, _WHOLE_BYTES, _LAST_BIT = uint64(0xFF), uint64(0x38), uint64(1 << 63)
_COMMA, _CLOSE = uint64(COMMA), uint64(CLOSE_LIST)
# Digits are kept one a byte. The least value by the bit width of the digits, above `_MOST` for no digits or more than
# three, so that nothing is valid there; and the greatest value, the digits 2, 5, 5.
_LEAST = np.array([1 << 24, 0, 1 << 8, 1 << 16, 1 << 24, 1 << 24, 1 << 24, 1 << 24])
_MOST = 0x020505
_X, _Y = int64(0), int64(1)


@inlined_kernel
def last_of(digits: uint64, width: uint64) -> uint64:
    """A word whose last bytes are the first `width` bits of `digits`, and the others 0; `width` is 0 to 56."""
    return digits << _EIGHT << (uint64(56) - width)


@inlined_kernel
def how_wrong(spelled: int, width: uint64) -> int:
    """Below 0 if `spelled`, digits one a byte with the first in the highest byte, is not a number from 0 to 255.

    Digits of the same width compare as their numbers do; adding 6 sets the high half of a byte above 9.
    """
    return (spelled - _LEAST[width >> _THREE]) | (_MOST - spelled) | -((spelled + 0x060606) & 0xF0F0F0)


@inlined_kernel
def value_of(last: uint64) -> uint64:
    """The number whose digits are the last three bytes, the others being 0: the sum of 100, 10 and 1 times them."""
    return ((last >> uint64(40)) * uint64(0x640A01)) >> uint64(16) & _BYTE


@inlined_kernel
def scan_pairs(buf: UInt8Array, i: int, out: UInt8Array, size: Int64Array) -> int:
    """Read values into `out` from `size[2]` on, two at a time, while they are written as in Google's files.

    Stops after the list, or at the first value in another form: invalid, or with space beside it. The checks of a pair
    are combined into one number, because branches cost more.
    """
    count = size[2]
    last = len(buf) - 8
    while i <= last:
        word = load8(buf, i)
        # Digits have both bits of 0x30 set, comma and bracket only one: the fastest way to find where the digits end.
        gaps = (~word & ZERO_DIGITS) | _LAST_BIT
        gap = trailing_zeros(gaps) & _WHOLE_BYTES
        digits = word ^ ZERO_DIGITS
        first = last_of(digits, gap)
        wrong = how_wrong(int64(swap_bytes(first)), gap)
        out[uint64(count)] = value_of(first)
        c = (word >> gap) & _BYTE
        if c != _COMMA:
            if c == _CLOSE and wrong >= 0:
                count += 1
                i += int64(gap >> _THREE) + 1
            break
        next_gap = trailing_zeros((gaps & (gaps - _ONE)) | _LAST_BIT) & _WHOLE_BYTES
        width = (next_gap + uint64(56) - gap) & _WHOLE_BYTES
        second = last_of(digits >> gap >> _EIGHT, width)
        if (wrong | how_wrong(int64(swap_bytes(second)), width)) < 0:
            break
        out[uint64(count + 1)] = value_of(second)
        c = (word >> next_gap) & _BYTE
        if c != _COMMA:
            if c == _CLOSE:
                count += 2
                i += int64(next_gap >> _THREE) + 1
            break
        count += 2
        i += int64(next_gap >> _THREE) + 1
    size[2] = count
    return i


@inlined_kernel
def scan_short(buf: UInt8Array, i: int, out: UInt8Array, size: Int64Array) -> int:
    """Read one value into `out[size[2]]` up to the end of its digits; return `i` itself if it has another form."""
    if i + 8 > len(buf):
        return i
    word = load8(buf, i)
    gap = trailing_zeros((~word & ZERO_DIGITS) | _LAST_BIT) & _WHOLE_BYTES
    c = (word >> gap) & _BYTE
    first = last_of(word ^ ZERO_DIGITS, gap)
    if how_wrong(int64(swap_bytes(first)), gap) < 0 or (c != _COMMA and c != _CLOSE):
        return i
    out[uint64(size[2])] = value_of(first)
    return i + int64(gap >> _THREE)


@inner_kernel
def scan_value(
    buf: UInt8Array, i: int, start: int, out: UInt8Array, count: int, stroke: int, axis: int, fault: Int64Array
) -> int:
    """Read one integer 0-255 into `out[count]`, and the space after it."""
    first = i
    value = int64(buf[i]) - ZERO
    if value < 0 or value > 9:
        if buf[i] == MINUS and ZERO < buf[i + 1] <= NINE:
            return fail(fault, OUT_OF_RANGE, stroke, axis, first - start)
        if buf[i] == NEWLINE:
            return fail(fault, TRUNCATED)
        return fail(fault, NOT_INTEGER, stroke, axis, first - start)
    i += 1
    digit = int64(buf[i]) - ZERO
    while 0 <= digit <= 9 and i - first < 4:
        value = value * 10 + digit
        i += 1
        digit = int64(buf[i]) - ZERO
    c = int64(buf[i])
    if c == POINT or c == 101 or c == 69:
        return fail(fault, NOT_INTEGER, stroke, axis, first - start)
    if ZERO <= c <= NINE:
        return fail(fault, OUT_OF_RANGE, stroke, axis, first - start)
    if i - first > 1 and buf[first] == ZERO:
        return fail(fault, NOT_INTEGER, stroke, axis, first - start)
    if value > 255:
        return fail(fault, OUT_OF_RANGE, stroke, axis, first - start)
    out[count] = value
    return skip_space(buf, i)


@inlined_kernel
def scan_values(
    buf: UInt8Array, i: int, start: int, out: UInt8Array, stroke: int, axis: int, size: Int64Array, fault: Int64Array
) -> int:
    """Read a list of integers 0-255 into `out` from point `size[1]` on; `size[2]` becomes the end."""
    if buf[uint64(i)] != OPEN_LIST:
        return fail(fault, TRUNCATED if buf[i] == NEWLINE else NOT_STROKE, stroke, axis)
    i = skip_space(buf, i + 1)
    if buf[uint64(i)] == CLOSE_LIST:
        return i + 1
    i = scan_pairs(buf, i, out, size)
    if buf[uint64(i - 1)] == CLOSE_LIST:
        return i
    i = skip_space(buf, i)
    while True:
        j = scan_short(buf, i, out, size)
        if j == i:
            j = scan_value(buf, i, start, out, size[2], stroke, axis, fault)
            if j < 0:
                return -1
        size[2] += 1
        i = j + 1
        if buf[uint64(j)] == CLOSE_LIST:
            return i
        if buf[uint64(j)] != COMMA:
            return fail_at(buf, j, start, COMMA, fault)
        i = skip_space(buf, i)


@inlined_kernel
def scan_stroke(
    buf: UInt8Array, i: int, start: int, x: UInt8Array, y: UInt8Array, stroke: int, point: int, size: Int64Array,
    fault: Int64Array,
) -> int:  # fmt: skip
    """Read the stroke at `i` into `x` and `y` from `point` on; `size[2]` becomes its end, `stroke` counts from 1."""
    if buf[uint64(i)] != OPEN_LIST:
        return fail(fault, NOT_STROKE, stroke, 2) if buf[i] != NEWLINE else fail(fault, TRUNCATED)
    i = skip_space(buf, i + 1)
    if buf[uint64(i)] == CLOSE_LIST:
        return fail(fault, LIST_COUNT, stroke, 0)
    size[2] = point
    i = scan_values(buf, i, start, x, stroke, _X, size, fault)
    if i < 0:
        return -1
    x_end = size[2]
    i = skip_space(buf, i)
    if buf[uint64(i)] != COMMA:
        return fail(fault, LIST_COUNT, stroke, 1) if buf[i] == CLOSE_LIST else fail_at(buf, i, start, COMMA, fault)
    size[2] = point
    i = scan_values(buf, skip_space(buf, i + 1), start, y, stroke, _Y, size, fault)
    if i < 0:
        return -1
    i = skip_space(buf, i)
    if buf[uint64(i)] != CLOSE_LIST:
        return fail(fault, RAW_STROKE, stroke) if buf[i] == COMMA else fail_at(buf, i, start, CLOSE_LIST, fault)
    if x_end != size[2]:
        return fail(fault, LENGTHS, stroke, x_end - point, size[2] - point)
    if x_end == point:
        return fail(fault, NO_POINTS, stroke)
    return i + 1


@inner_kernel
def scan_drawing(
    buf: UInt8Array, i: int, start: int, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, size: Int64Array,
    fault: Int64Array,
) -> int:  # fmt: skip
    """Read the strokes at `i`, append them to `x`, `y` and `stroke_end`, and count them in `size`."""
    stroke, point = size[0], size[1]
    if buf[i] != OPEN_LIST:
        return fail_type(buf, i, DRAWING, fault)
    i = skip_space(buf, i + 1)
    if buf[i] == CLOSE_LIST:
        return fail(fault, NO_STROKES)
    while True:
        i = scan_stroke(buf, i, start, x, y, stroke - size[0] + 1, point, size, fault)
        if i < 0:
            return -1
        point = size[2]
        if point - size[1] > MAX_POINTS:
            return fail(fault, TOO_MANY, MAX_POINTS)
        stroke_end[uint64(stroke)] = point
        stroke += 1
        i = skip_space(buf, i)
        if buf[uint64(i)] == CLOSE_LIST:
            size[0], size[1] = stroke, point
            return i + 1
        if buf[uint64(i)] != COMMA:
            return fail_at(buf, i, start, COMMA, fault)
        i = skip_space(buf, i + 1)
