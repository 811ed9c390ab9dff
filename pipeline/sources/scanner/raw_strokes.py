"""Kernels that parse numbers of any range, and strokes of two lists of them, x and y, or of a third one of times.

Times are milliseconds. As in `json_values.py`, a kernel takes `buf` and a position in it and returns the position after
what it read, or -1 on an error.
"""

import math

import numpy as np

from pipeline.arrays import Float64Array, Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel
from pipeline.sources.limits import MAX_RAW_POINTS
from pipeline.sources.scanner.faults import (
    LENGTHS,
    LIST_COUNT,
    NO_POINTS,
    NOT_FINITE,
    NOT_NUMBER,
    NOT_STROKE,
    NUMBER,
    RAW_LISTS,
    RAW_STROKE,
    TIMES,
    TRUNCATED,
)
from pipeline.sources.scanner.json_values import (
    CLOSE_LIST,
    COMMA,
    MINUS,
    NEWLINE,
    NINE,
    OPEN_LIST,
    PLUS,
    POINT,
    ZERO,
    ends_early,
    fail,
    fail_at,
    skip_space,
)
from pipeline.sources.scanner.simplify import MAX_SAMPLES

Scratch = tuple[Float64Array, Float64Array, Float64Array, Float64Array, Int64Array]


X, Y, T = range(3)
TIMES_OF_STROKE = 3  # the number for the list of times in NOT_STROKE, where 2 means the stroke itself

ENOUGH_DIGITS = 10**17  # digits are added to a mantissa below this only, so that it stays within int64
POWERS = np.array([float(f"1e{power}") for power in range(309)])
EXACT_POWER = 22  # 10**22 is the largest power of ten that a float64 holds exactly
EXACT_INTEGER = 1 << 53


def make_scratch() -> Scratch:
    """Scratch for `scan_other_drawing`: 6 MB, of which a drawing touches only what it needs; kept for all chunks."""
    points, samples = MAX_RAW_POINTS, MAX_SAMPLES
    return np.empty(points), np.empty(points), np.empty(samples), np.empty(samples), np.empty(samples, np.int64)


@kernel
def to_float(mantissa: int, exponent: int) -> float:
    """The float64 of `mantissa * 10**exponent`, with 0 <= mantissa < 10**18; infinite if it is too large.

    With at most 15 digits and an exponent from -22 to 22 the single operation rounds correctly (Clinger 1990). A
    fraction with more digits is divided as the sum of two floats, which rounds correctly except extremely close to the
    midpoint of two floats. Other exponents leave an error of at most two units in the last place, three below 1e-290.
    """
    value = float(mantissa)
    if mantissa == 0 or exponent == 0:
        return value
    if -EXACT_POWER <= exponent < 0:
        power = float(POWERS[-exponent])
        quotient = value / power
        if mantissa <= EXACT_INTEGER:
            return quotient
        # The remainder of the division needs quotient * power as a float and its rounding error (Dekker 1971).
        upper, power_upper = 134217729.0 * quotient, 134217729.0 * power
        upper, power_upper = upper - (upper - quotient), power_upper - (power_upper - power)
        lower, power_lower = quotient - upper, power - power_upper
        product = quotient * power
        error = ((upper * power_upper - product) + upper * power_lower + lower * power_upper) + lower * power_lower
        return quotient + ((value - product) - error + float(mantissa - int(value))) / power
    if exponent > 308:
        return math.inf
    if exponent > 0:
        return value * float(POWERS[exponent])
    if exponent < -308:
        value /= 1e308
        exponent += 308
    return value / float(POWERS[min(-exponent, 308)])


@kernel
def fail_number(buf: UInt8Array, i: int, first: int, start: int, stroke: int, axis: int, fault: Int64Array) -> int:
    """Write to `fault` that the byte at `i` cannot continue the number that begins at `first`, or cannot begin one."""
    if buf[i] == NEWLINE or (i == first and ends_early(buf, i)):
        return fail(fault, TRUNCATED)
    if i > first:
        return fail(fault, NUMBER, first - start + 1)
    return fail(fault, NOT_NUMBER, stroke, axis, first - start)


@kernel
def scan_mantissa(buf: UInt8Array, i: int, mantissa: int) -> tuple[int, int, int]:
    """Append the digits at `i` to a mantissa; returns the position, the mantissa and how many digits were left out."""
    left_out = 0
    while ZERO <= buf[i] <= NINE:
        if mantissa < ENOUGH_DIGITS:
            mantissa = mantissa * 10 + (int(np.int64(buf[i])) - ZERO)
        else:
            left_out += 1
        i += 1
    return i, mantissa, left_out


@kernel
def scan_float(buf: UInt8Array, i: int, start: int, stroke: int, axis: int, fault: Int64Array) -> tuple[int, float]:
    """Read a JSON number as float64; one too large for a float64 is an error. Digits after the 18th are ignored."""
    first = i
    if buf[i] == MINUS:
        i += 1
    begin = i
    i, mantissa, exponent = scan_mantissa(buf, i, 0)
    if i == begin:
        return fail_number(buf, i, first, start, stroke, axis, fault), 0.0
    if buf[begin] == ZERO and i > begin + 1:
        return fail(fault, NUMBER, first - start + 1), 0.0
    if buf[i] == POINT:
        begin = i + 1
        i, mantissa, left_out = scan_mantissa(buf, begin, mantissa)
        exponent -= i - begin - left_out
        if i == begin:
            return fail_number(buf, i, first, start, stroke, axis, fault), 0.0
    if buf[i] == 101 or buf[i] == 69:
        i += 1
        below = buf[i] == MINUS
        if below or buf[i] == PLUS:
            i += 1
        begin = i
        i, power, _ = scan_mantissa(buf, begin, 0)
        if i == begin:
            return fail_number(buf, i, first, start, stroke, axis, fault), 0.0
        exponent += -power if below else power
    value = to_float(mantissa, exponent)
    if math.isinf(value):
        return fail(fault, NOT_FINITE, stroke, axis, first - start), 0.0
    return i, -value if buf[first] == MINUS else value


@kernel
def scan_floats(
    buf: UInt8Array, i: int, start: int, out: Float64Array, stroke: int, axis: int, fault: Int64Array
) -> tuple[int, int]:
    """Read a list of numbers into `out`; returns the position and their count, which may exceed the room in `out`."""
    if buf[i] != OPEN_LIST:
        return fail(
            fault, TRUNCATED if buf[i] == NEWLINE else NOT_STROKE, stroke, TIMES_OF_STROKE if axis == T else axis
        ), 0
    i = skip_space(buf, i + 1)
    count = 0
    if buf[i] == CLOSE_LIST:
        return i + 1, count
    while True:
        first = i
        whole = 0
        while ZERO <= buf[i] <= NINE and i - first < 8:
            whole = whole * 10 + (int(np.int64(buf[i])) - ZERO)
            i += 1
        c = buf[i]
        if i > first and c in (COMMA, CLOSE_LIST) and (buf[first] != ZERO or i == first + 1):
            value = float(whole)
        else:
            i, value = scan_float(buf, first, start, stroke, axis, fault)
            if i < 0:
                return -1, 0
            i = skip_space(buf, i)
            c = buf[i]
        if count < len(out):
            out[count] = value
        count += 1
        if c == CLOSE_LIST:
            return i + 1, count
        if c != COMMA:
            return fail_at(buf, i, start, COMMA, fault), 0
        i += 1
        if buf[i] <= 32:
            i = skip_space(buf, i)


@inner_kernel
def scan_number_lists(
    buf: UInt8Array, i: int, start: int, x: Float64Array, y: Float64Array, number: int, lists: int, fault: Int64Array
) -> tuple[int, int]:
    """Read stroke `number`, two or three `lists` that begin at `i`; returns the position and its number of points.

    `x` and `y` receive the first two; points for which they have no room are counted all the same.
    """
    if buf[i] != OPEN_LIST:
        return fail(fault, TRUNCATED if buf[i] == NEWLINE else NOT_STROKE, number, 2), 0
    i = skip_space(buf, i + 1)
    points, values = 0, 0
    for axis in range(lists):
        if buf[i] == CLOSE_LIST:
            return fail(fault, RAW_LISTS if lists == 3 else LIST_COUNT, number, axis), 0
        if axis > 0:
            if buf[i] != COMMA:
                return fail_at(buf, i, start, COMMA, fault), 0
            i = skip_space(buf, i + 1)
        out = x if axis == X else y if axis == Y else y[:0]
        i, values = scan_floats(buf, i, start, out, number, axis, fault)
        if i < 0:
            return -1, 0
        if axis == X:
            points = values
        elif values != points:
            return fail(fault, LENGTHS if axis == Y else TIMES, number, points, values), 0
        i = skip_space(buf, i)
    if buf[i] == COMMA:
        return fail(fault, RAW_LISTS if lists == 3 else RAW_STROKE, number, 4), 0
    if buf[i] != CLOSE_LIST:
        return fail_at(buf, i, start, CLOSE_LIST, fault), 0
    if points == 0:
        return fail(fault, NO_POINTS, number), 0
    return i + 1, points
