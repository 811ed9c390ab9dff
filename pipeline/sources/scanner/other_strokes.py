"""Kernels that read a drawing in any shape but Google's simplified form.

As in `json_values.py`, a kernel takes `buf` and a position in it and returns the position after what it read, or -1 on
an error. A drawing is read as float64. Raw drawings, which have times, are always simplified; the others only if a
coordinate is not a whole number from 0 to 255.
"""

import numpy as np

from pipeline.arrays import Float64Array, Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel
from pipeline.sources.limits import MAX_POINTS, MAX_RAW_POINTS
from pipeline.sources.scanner.faults import (
    CANVAS,
    DRAWING,
    FIELD,
    LENGTHS,
    LIST_OBJECTS,
    LISTS,
    LONG_PATH,
    NO_POINTS,
    NO_STROKE,
    NO_STROKE_TRIPLES,
    NO_STROKES,
    NOT_INTEGER,
    NOT_STROKE,
    OTHER_SHAPE,
    OUT_OF_RANGE,
    PAIRS,
    POINT_OBJECTS,
    POINTS,
    RAW,
    THREE_EACH,
    THREES,
    TOO_MANY,
    TRIPLES,
    TRUNCATED,
    TWO_EACH,
    WRONG_TYPE,
)
from pipeline.sources.scanner.json_values import (
    CLOSE_LIST,
    CLOSE_OBJECT,
    COMMA,
    NEWLINE,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    ends_early,
    fail,
    fail_at,
    scan_key,
    skip_space,
    skip_value,
)
from pipeline.sources.scanner.raw_strokes import Scratch, scan_float, scan_floats, scan_number_lists
from pipeline.sources.scanner.shapes import has_times, shape_of
from pipeline.sources.scanner.simplify import MAX_SAMPLES, TOO_LONG_PATH, simplify_strokes


@inner_kernel
def scan_object(
    buf: UInt8Array, i: int, start: int, x: Float64Array, y: Float64Array, number: int, is_point: bool,
    fault: Int64Array,
) -> tuple[int, int]:  # fmt: skip
    """Read the object at `i`, a point of stroke `number` or the stroke itself, into `x` and `y`.

    Other fields than x and y are ignored. Returns the position and the number of points.
    """
    if buf[i] != OPEN_OBJECT:
        return fail(fault, TRUNCATED if buf[i] == NEWLINE else NOT_STROKE, number, 2), 0
    i = skip_space(buf, i + 1)
    counts = (-1, -1)
    if buf[i] == CLOSE_OBJECT:
        return fail(fault, FIELD, number, 0), 0
    while True:
        quote = i
        i = scan_key(buf, i, start, fault)
        if i < 0:
            return -1, 0
        axis = int(np.int64(buf[quote + 1])) - 120  # x, y
        if axis in (0, 1) and buf[quote + 2] == QUOTE:
            if counts[axis] >= 0:
                return fail(fault, FIELD, number, axis, 1), 0
            out = x if axis == 0 else y
            if is_point:
                i, value = scan_float(buf, i, start, number, axis, fault)
                count = 1
                if len(out):
                    out[0] = value
            else:
                i, count = scan_floats(buf, i, start, out, number, axis, fault)
            counts = (count, counts[1]) if axis == 0 else (counts[0], count)
        else:
            i = skip_value(buf, i, start, fault)
        if i < 0:
            return -1, 0
        i = skip_space(buf, i)
        if buf[i] == CLOSE_OBJECT:
            break
        if buf[i] != COMMA:
            return fail_at(buf, i, start, COMMA, fault), 0
        i = skip_space(buf, i + 1)
    for axis in range(2):
        if counts[axis] < 0:
            return fail(fault, FIELD, number, axis), 0
    if counts[0] != counts[1]:
        return fail(fault, LENGTHS, number, counts[0], counts[1]), 0
    if counts[0] == 0:
        return fail(fault, NO_POINTS, number), 0
    return i + 1, counts[0]


@inner_kernel
def scan_points(
    buf: UInt8Array, i: int, start: int, x: Float64Array, y: Float64Array, number: int, shape: int, fault: Int64Array
) -> tuple[int, int]:
    """Read stroke `number`, a list of points that begins at `i`; returns the position and the number of points."""
    if buf[i] != OPEN_LIST:
        return fail(fault, TRUNCATED if buf[i] == NEWLINE else NOT_STROKE, number, 2), 0
    i = skip_space(buf, i + 1)
    count = 0
    if buf[i] == CLOSE_LIST:
        return fail(fault, NO_POINTS, number), 0
    while True:
        if shape == POINT_OBJECTS:
            i, _ = scan_object(buf, i, start, x[count:], y[count:], number, True, fault)
            if i < 0:
                return -1, 0
        else:
            if buf[i] != OPEN_LIST:
                return fail_at(buf, i, start, OPEN_LIST, fault), 0
            for axis in range(2):
                i, value = scan_float(buf, skip_space(buf, i + 1), start, number, axis, fault)
                if i < 0:
                    return -1, 0
                out = x if axis == 0 else y
                if count < len(out):
                    out[count] = value
                i = skip_space(buf, i)
                wanted = COMMA if axis == 0 else CLOSE_LIST
                if buf[i] != wanted:
                    return fail_at(buf, i, start, wanted, fault), 0
            i += 1
        count += 1
        i = skip_space(buf, i)
        if buf[i] == CLOSE_LIST:
            return i + 1, count
        if buf[i] != COMMA:
            return fail_at(buf, i, start, COMMA, fault), 0
        i = skip_space(buf, i + 1)


@inner_kernel
def is_simplified(x: Float64Array, y: Float64Array) -> bool:
    """Whether all coordinates are whole numbers from 0 to 255."""
    for k in range(len(x)):
        if not (0 <= x[k] <= 255 and 0 <= y[k] <= 255 and x[k] == np.floor(x[k]) and y[k] == np.floor(y[k])):
            return False
    return True


@kernel
def scan_shape(
    buf: UInt8Array, i: int, start: int, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, size: Int64Array,
    fault: Int64Array, scratch: Scratch, shape: int, notes: Int64Array,
) -> int:  # fmt: skip
    """Read the strokes at `i`, RAW to POINT_OBJECTS, and append them to `x`, `y` and `stroke_end`.

    As in `scan_drawing`, `size` counts the strokes and points of all drawings. A point has 4 bytes or more and becomes
    at most 2 points, so room for `len(buf) // 2 + 1` points is enough. `notes`, (1,), receives what is noted.
    """
    raw_x, raw_y, sample_x, sample_y, ends = scratch
    if buf[i] != OPEN_LIST:
        return fail(fault, TRUNCATED) if ends_early(buf, i) else fail(fault, WRONG_TYPE, DRAWING)
    i = skip_space(buf, i + 1)
    if buf[i] == CLOSE_LIST:
        return fail(fault, NO_STROKES)
    ends_of_strokes = stroke_end[size[0] :]
    strokes, points, count = 0, 0, 0
    least, most = MAX_RAW_POINTS, 0  # points of a stroke
    while True:
        to_x, to_y = raw_x[points:], raw_y[points:]
        if shape in (RAW, LISTS):
            i, count = scan_number_lists(buf, i, start, to_x, to_y, strokes + 1, 3 if shape == RAW else 2, fault)
        elif shape == LIST_OBJECTS:
            i, count = scan_object(buf, i, start, to_x, to_y, strokes + 1, False, fault)
        else:
            i, count = scan_points(buf, i, start, to_x, to_y, strokes + 1, shape, fault)
        if i < 0:
            return -1
        points += count
        least, most = min(least, count), max(most, count)
        if points > len(raw_x):
            return fail(fault, TOO_MANY, MAX_RAW_POINTS)
        ends_of_strokes[strokes] = points
        strokes += 1
        i = skip_space(buf, i)
        if buf[i] == CLOSE_LIST:
            break
        if buf[i] != COMMA:
            return fail_at(buf, i, start, COMMA, fault)
        i = skip_space(buf, i + 1)
    point, raw_x, raw_y = size[1], raw_x[:points], raw_y[:points]
    if shape != RAW and is_simplified(raw_x, raw_y):
        if points > MAX_POINTS:
            return fail(fault, TOO_MANY, MAX_POINTS)
        for k in range(points):
            x[point + k], y[point + k] = int(raw_x[k]), int(raw_y[k])
        for k in range(strokes):
            ends_of_strokes[k] += point
        end = point + points
    else:
        end = simplify_strokes(
            raw_x, raw_y, sample_x, sample_y, ends, ends_of_strokes, strokes, x, y, point, MAX_POINTS
        )  # fmt: skip
        notes[0] |= CANVAS if shape != RAW else 0
    if end == TOO_LONG_PATH:
        return fail(fault, LONG_PATH, MAX_SAMPLES)
    if end < 0:
        return fail(fault, TOO_MANY, MAX_POINTS)
    if shape == PAIRS:
        notes[0] |= POINTS
    elif shape in (RAW, LISTS) and least == most and 2 <= least <= 3:
        notes[0] |= TWO_EACH if least == 2 else THREE_EACH
    size[0] += strokes
    size[1] = end
    return i + 1


@inner_kernel
def scan_other_drawing(
    buf: UInt8Array, i: int, start: int, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, size: Int64Array,
    fault: Int64Array, scratch: Scratch, notes: Int64Array,
) -> int:  # fmt: skip
    """Read the drawing at `i`, which `scan_drawing` refused with `fault`, if it has another shape."""
    if has_times(buf, i):
        end = scan_shape(buf, i, start, x, y, stroke_end, size, fault, scratch, RAW, notes)
        if end >= 0:
            fault[0] = 0
            return end
    shape = shape_of(buf, i)
    if shape == TRIPLES:
        return fail(fault, THREES)
    if shape in (NO_STROKE, NO_STROKE_TRIPLES):
        return fail(fault, OTHER_SHAPE, shape)
    if shape == LISTS and fault[0] not in (NOT_INTEGER, OUT_OF_RANGE):
        return -1
    fault[0] = 0
    return scan_shape(buf, i, start, x, y, stroke_end, size, fault, scratch, shape, notes)
