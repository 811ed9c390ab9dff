"""Kernels that simplify a raw drawing to the points that Google's simplification gives.

The recipe is described at https://github.com/googlecreativelab/quickdraw-dataset ("Simplified Drawing files"): align to
the top left, scale uniformly to 255, resample at 1 pixel, Ramer-Douglas-Peucker with epsilon 2. Many samples of a
straight line are equally far from a chord, and then the last bit of a float decides which of them is kept. So the order
of the floating-point operations is part of the result: this order, found by experiment, gives Google's own points in
all of the 6,441 drawings that could be compared (benchmarks/simplify.py). No operations may be fused except in
`chord_length`.

Coordinates are float64 in pixels, 0 to 255 once they are scaled. No kernel calls a kernel of another file.
"""

import math

import numpy as np

from pipeline.arrays import Float64Array, Int64Array, UInt8Array
from pipeline.jit import kernel

EPSILON = 2.0
LARGEST = 255.0
# The greatest total length of a drawing's strokes in pixels, and so of its number of samples: the longest of 8,277 of
# Google's drawings has 23,634. It also bounds the time, which grows with samples times points kept: the worst drawing
# tried, a zigzag 4 pixels high, took 0.1 s.
MAX_SAMPLES = 1 << 17

TOO_LONG_PATH, TOO_MANY_KEPT = -1, -2  # `simplify_strokes` returns one of these for a drawing that it refuses


@kernel
def scale_coordinates(values: Float64Array, low: float, size: float) -> None:
    """Subtract `low` from `values` and scale them, in place, so that a length of `size` becomes 255."""
    for k in range(len(values)):
        values[k] = (values[k] - low) * LARGEST / size


@kernel
def scale_drawing(x: Float64Array, y: Float64Array) -> None:
    """Move finite coordinates, (P,) each, to 0 and scale the larger side of their box to 255, in place."""
    low_x, high_x, low_y, high_y = x[0], x[0], y[0], y[0]
    for k in range(len(x)):
        low_x, high_x = min(low_x, x[k]), max(high_x, x[k])
        low_y, high_y = min(low_y, y[k]), max(high_y, y[k])
    if max(-low_x, high_x, -low_y, high_y) > 1e300:  # 255 times their difference would be infinite
        shrink = 2.0**-16
        for k in range(len(x)):
            x[k] *= shrink
            y[k] *= shrink
        low_x, high_x, low_y, high_y = low_x * shrink, high_x * shrink, low_y * shrink, high_y * shrink
    size = max(high_x - low_x, high_y - low_y)
    if size == 0:
        x[:] = 0
        y[:] = 0
    else:
        scale_coordinates(x, low_x, size)
        scale_coordinates(y, low_y, size)


@kernel
def resample_stroke(
    x: Float64Array, y: Float64Array, first: int, end: int, sample_x: Float64Array, sample_y: Float64Array, room: int
) -> int:
    """Sample the line through the points from `first` to before `end`, at 0, 1, 2, ... pixels and at its last point.

    Returns the number of samples, or -1 if there are more than `room`. A single point gives two samples.
    """
    count = 1
    before = 0.0
    sample_x[0], sample_y[0] = x[first], y[first]
    for k in range(first, end - 1):
        x0, y0, x1, y1 = x[k], y[k], x[k + 1], y[k + 1]
        length = math.sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0))
        behind = before + length
        if behind >= room - 2:
            return -1
        place = float(count)
        # A `length` too small to change `before` never enters this loop, so the quotient is at most 2.
        while place < behind:
            part = (place - before) / length
            sample_x[count] = (1 - part) * x0 + part * x1
            sample_y[count] = (1 - part) * y0 + part * y1
            count += 1
            place += 1.0
        before = behind
    sample_x[count], sample_y[count] = x[end - 1], y[end - 1]
    return count + 1


@kernel
def chord_length(dx: float, dy: float) -> float:
    """The square root of `fma(dx, dx, dy * dy)`, which is what a dot product gives on a CPU with fused multiply-add.

    Product and sum are each split into a float and its rounding error (Dekker 1971, Knuth 1969), for |dx| up to 1e150.
    """
    square = dx * dx
    upper = 134217729.0 * dx
    upper = upper - (upper - dx)
    lower = dx - upper
    square_error = ((upper * upper - square) + 2 * upper * lower) + lower * lower
    other = dy * dy
    total = square + other
    rounded = total - square
    return math.sqrt(total + (((square - (total - rounded)) + (other - rounded)) + square_error))


@kernel
def farthest_sample(x: Float64Array, y: Float64Array, first: int, last: int) -> int:
    """The sample between `first` and `last` that is farthest from the line through these two; the first of equals.

    Returns `first` if no sample is farther than `EPSILON`. The distance is to the line, not to the segment; if both
    ends coincide, it is the distance to that point.
    """
    x0, y0 = x[first], y[first]
    dx, dy = x[last] - x0, y[last] - y0
    length = chord_length(dx, dy)
    found = first
    largest = 0.0
    if length == 0:
        for k in range(first + 1, last):
            distance = chord_length(x0 - x[k], y0 - y[k])
            if distance > largest:
                largest, found = distance, k
    else:
        area = 0.0
        for k in range(first + 1, last):
            next_area = abs(dx * (y0 - y[k]) - dy * (x0 - x[k]))
            # Two different areas can round to the same distance, and then the first sample counts. Areas are compared
            # before the division, which costs as much as the rest.
            if next_area > area:
                area = next_area
                distance = area / length
                if distance > largest:
                    largest, found = distance, k
    return found if largest > EPSILON else first


@kernel
def nearest_uint8(value: float) -> int:
    """The nearest integer, clipped to 0-255; halves are rounded to the even integer."""
    return min(max(int(np.rint(value)), 0), 255)


@kernel
def keep_samples(
    sample_x: Float64Array, sample_y: Float64Array, count: int, ends: Int64Array, x: UInt8Array, y: UInt8Array,
    point: int, limit: int,
) -> int:  # fmt: skip
    """Ramer-Douglas-Peucker without recursion: write the kept samples, rounded, to `x` and `y` from `point` on.

    `ends`, scratch of `count` int64, is the stack of the ends of the pieces still to be split. Returns the index after
    the last point, or `TOO_MANY_KEPT` if that would exceed `limit`.
    """
    if limit - point < 2:
        return TOO_MANY_KEPT
    x[point], y[point] = nearest_uint8(sample_x[0]), nearest_uint8(sample_y[0])
    point += 1
    first, depth = 0, 1
    ends[0] = count - 1
    while depth > 0:
        last = ends[depth - 1]
        middle = farthest_sample(sample_x, sample_y, first, last)
        if middle > first:
            ends[depth] = middle
            depth += 1
            continue
        if point == limit:
            return TOO_MANY_KEPT
        x[point], y[point] = nearest_uint8(sample_x[last]), nearest_uint8(sample_y[last])
        point += 1
        depth -= 1
        first = last
    return point


@kernel
def simplify_strokes(
    raw_x: Float64Array, raw_y: Float64Array, sample_x: Float64Array, sample_y: Float64Array, ends: Int64Array,
    stroke_end: Int64Array, strokes: int, x: UInt8Array, y: UInt8Array, point: int, max_points: int,
) -> int:  # fmt: skip
    """Simplify a drawing whose strokes have one or more points each.

    Args:
        raw_x: (P,) float64, finite, the x of all strokes; scaled in place.
        raw_y: (P,) float64, the same for y.
        sample_x: scratch of `MAX_SAMPLES` float64.
        sample_y: scratch of `MAX_SAMPLES` float64.
        ends: scratch of `MAX_SAMPLES` int64.
        stroke_end: on entry, where each stroke ends in `raw_x`; on return, where it ends in `x` and `y`.
        strokes: the number of strokes.
        x: receives the simplified x, 0-255, from `point` on.
        y: receives the simplified y in the same way.
        point: where the drawing begins in `x` and `y`.
        max_points: the most points that the drawing may have; the room in `x` if that is less. A stroke of n points
            keeps at most 2 n samples: each is beside a corner, or the only one within a straight piece.

    Returns:
        The end of the drawing in `x` and `y`; `TOO_LONG_PATH` if its strokes are longer than `MAX_SAMPLES` pixels,
        `TOO_MANY_KEPT` if it has more than `max_points`.
    """
    scale_drawing(raw_x, raw_y)
    room = len(sample_x)
    limit = min(point + max_points, len(x))
    raw_first = 0
    for stroke in range(strokes):
        raw_end = stroke_end[stroke]
        count = resample_stroke(raw_x, raw_y, raw_first, raw_end, sample_x, sample_y, room)
        if count < 0:
            return TOO_LONG_PATH
        raw_first = raw_end
        room -= count - 2  # the two ends of a stroke do not count, so that many dots are not a long path
        point = keep_samples(sample_x, sample_y, count, ends, x, y, point, limit)
        if point < 0:
            return TOO_MANY_KEPT
        stroke_end[stroke] = point
    return point
