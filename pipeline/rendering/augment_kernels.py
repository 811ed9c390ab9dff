"""Kernels of the augmentation: they choose which points of a drawing are kept and move them.

Axes: N drawings, S strokes, P points. Lengths are canvas pixels, 256 of which are an image's side. The kept points of a
drawing are stored as ranges, `runs`, (2R,) int64: the start and the end (exclusive) of each range in `x` and `y`. So
each point is copied only once, to its new place. A drawing's random numbers are hashes of its key and a stream number.
"""

# In compiled code numpy's int64 and Python's int are the same type.
# mypy: disable-error-code="arg-type, assignment"

import math
from typing import NamedTuple

import numpy as np
from numpy import int32, int64, uint32, uint64

from pipeline.arrays import Float32Array, Int64Array, UInt8Array
from pipeline.hashing import mixed
from pipeline.jit import inlined_kernel, inner_kernel, kernel

CANVAS = 256.0
ENLARGE = 8.0  # the largest factor: beyond it the rounding of the stored whole numbers is wider than a 5-pixel line
F32 = np.float32

TURN, SHEAR, STRETCH, RIGHT, DOWN, SCALE, MIRROR, CUT, SHARE, WIDTH, NOISE, STROKE = (
    uint64(stream) for stream in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16)
)
"""The stream number of each random choice; that of stroke s is STROKE + s."""


class Amounts(NamedTuple):
    """`Augmentation` for kernels: angles in radians; sizes and widths as the least logarithm and the range above it."""

    rotation: float
    shear: float
    smallest: float
    sizes: float
    stretch: float
    shift: float
    mirror: float
    prefix: float
    shortest: float
    dropout: float
    jitter: float
    thinnest: float
    widths: float


class Frame(NamedTuple):
    """How a drawing is placed: the middle of its box, the point to which it moves, and the factor of enlargement."""

    middle_x: float
    middle_y: float
    to_x: float
    to_y: float
    factor: float


@inlined_kernel
def uniform(key: np.uint64, stream: np.uint64) -> float:
    """A random number in [0, 1), a function of key and stream."""
    return float(int64(mixed(key + stream) >> uint64(11))) * 2.0**-53


@inlined_kernel
def even(key: np.uint64, stream: np.uint64) -> float:
    """A random number in [-1, 1), a function of key and stream."""
    return 2.0 * uniform(key, stream) - 1.0


@inlined_kernel
def scrambled(value: np.uint32) -> np.uint32:
    """32 mixed bits of a counter: `lowbias32` of https://github.com/skeeto/hash-prospector, which compiles to SIMD."""
    value = uint32((value ^ (value >> uint32(16))) * uint32(0x7FEB352D))
    value = uint32((value ^ (value >> uint32(15))) * uint32(0x846CA68B))
    return uint32(value ^ (value >> uint32(16)))


@inlined_kernel
def span_of(values: UInt8Array, start: int, stop: int) -> tuple[np.uint8, np.uint8]:
    """The least and the greatest of values[start:stop]; 255 and 0 if there are none."""
    low, high = np.uint8(255), np.uint8(0)
    for p in range(start, stop):
        value = values[uint64(p)]
        low, high = min(low, value), max(high, value)
    return low, high


@inner_kernel
def span_of_runs(values: UInt8Array, runs: Int64Array, count: int) -> tuple[float, float]:
    """The least and the greatest value in the first `count` ranges."""
    low, high = np.uint8(255), np.uint8(0)
    for r in range(count):
        run_low, run_high = span_of(values, runs[2 * r], runs[2 * r + 1])
        low, high = min(low, run_low), max(high, run_high)
    return float(low), float(high)


@inner_kernel
def frame_in_middle(x: UInt8Array, y: UInt8Array, runs: Int64Array, count: int, room: float) -> Frame:
    """The frame that centres the box of the ranges on the canvas, with a larger side of `room`."""
    x0, x1 = span_of_runs(x, runs, count)
    y0, y1 = span_of_runs(y, runs, count)
    factor = min(room / max(x1 - x0, y1 - y0, 1.0), ENLARGE)
    return Frame(0.5 * (x0 + x1), 0.5 * (y0 + y1), 0.5 * CANVAS, 0.5 * CANVAS, factor)


@inner_kernel
def frame_in_corner(
    x: UInt8Array, y: UInt8Array, runs: Int64Array, count: int, begin: int, end: int, whole: bool
) -> Frame:
    """The frame that aligns what is left of the points begin..end as Google would have aligned it.

    The rest gets the top left corner and the larger side of the whole drawing.
    """
    x0, x1 = span_of_runs(x, runs, count)
    y0, y1 = span_of_runs(y, runs, count)
    middle_x, middle_y = 0.5 * (x0 + x1), 0.5 * (y0 + y1)
    if whole:
        return Frame(middle_x, middle_y, middle_x, middle_y, 1.0)
    side = max(x1 - x0, y1 - y0, 1.0)
    left, right = span_of(x, begin, end)
    top, bottom = span_of(y, begin, end)
    factor = min(max(float(right - left), float(bottom - top)) / side, ENLARGE)
    half_x, half_y = factor * 0.5 * (x1 - x0), factor * 0.5 * (y1 - y0)
    return Frame(middle_x, middle_y, float(left) + half_x, float(top) + half_y, factor)


@inner_kernel
def thin_strokes(
    stroke_end: Int64Array, first: int, last: int, begin: int, end: int, key: np.uint64, amounts: Amounts,
    runs: Int64Array, points: int, strokes: int, out_stroke_end: Int64Array,
) -> tuple[int, int, int]:  # fmt: skip
    """Cut a drawing after a share of its points and drop some of its strokes, but never all.

    The ends of the kept strokes are written to `out_stroke_end` from `strokes` on, counted from `points`.

    Returns:
        The number of ranges, of points in them, and of strokes.
    """
    cut = end
    if uniform(key, CUT) < amounts.prefix:
        share = amounts.shortest + (1.0 - amounts.shortest) * uniform(key, SHARE)
        cut = min(begin + max(math.ceil(share * (end - begin)), 1), end)
    runs_left, points_left, strokes_left = 0, 0, 0
    luckiest, kept_start, kept_stop = -1.0, begin, begin
    start = begin
    for s in range(first, last):
        if start >= cut:
            break
        stop = min(stroke_end[s], cut)
        luck = uniform(key, STROKE + uint64(s - first)) if amounts.dropout > 0.0 else 1.0
        if luck > luckiest and stop > start:
            luckiest, kept_start, kept_stop = luck, start, stop
        if luck >= amounts.dropout:
            if runs_left > 0 and runs[2 * runs_left - 1] == start:
                runs[2 * runs_left - 1] = stop
            else:
                runs[2 * runs_left], runs[2 * runs_left + 1] = start, stop
                runs_left += 1
            points_left += stop - start
            out_stroke_end[strokes + strokes_left] = points + points_left
            strokes_left += 1
        start = stop
    if points_left == 0 and kept_stop > kept_start:  # all were dropped: keep the stroke with the highest number
        runs[0], runs[1] = kept_start, kept_stop
        runs_left, points_left = 1, kept_stop - kept_start
        out_stroke_end[strokes + strokes_left] = points + points_left
        strokes_left += 1
    return runs_left, points_left, strokes_left


@inner_kernel
def move_points(
    x: UInt8Array, y: UInt8Array, runs: Int64Array, count: int, frame: Frame, xx: F32, xy: F32, yx: F32, yy: F32,
    to_x: F32, to_y: F32, points: int, out_x: Float32Array, out_y: Float32Array,
) -> None:  # fmt: skip
    """Write the points of the ranges from `points` on, mapped by the matrix xx, xy, yx, yy about the frame's middle.

    The middle moves to (to_x, to_y).
    """
    middle_x, middle_y = F32(frame.middle_x), F32(frame.middle_y)
    for r in range(count):
        start, stop = runs[2 * r], runs[2 * r + 1]
        shift = points - start
        for p in range(start, stop):
            right, down = F32(x[uint64(p)]) - middle_x, F32(y[uint64(p)]) - middle_y
            out_x[uint64(p + shift)] = xx * right + xy * down + to_x
            out_y[uint64(p + shift)] = yx * right + yy * down + to_y
        points += stop - start


@inner_kernel
def transform_points(
    x: UInt8Array, y: UInt8Array, runs: Int64Array, count: int, frame: Frame, key: np.uint64, amounts: Amounts,
    points: int, out_x: Float32Array, out_y: Float32Array,
) -> None:  # fmt: skip
    """Write the points of the ranges from `points` on: placed by `frame`, by rotation x shear x scale, then shifted."""
    angle = amounts.rotation * even(key, TURN)
    lean = amounts.shear * even(key, SHEAR)
    stretch = math.exp(amounts.stretch * even(key, STRETCH))
    scale = frame.factor * math.exp(amounts.smallest + amounts.sizes * uniform(key, SCALE))
    scale_x, scale_y = scale * stretch, scale / stretch
    if uniform(key, MIRROR) < amounts.mirror:
        scale_x = -scale_x
    cos, sin = math.cos(angle), math.sin(angle)
    move_points(
        x, y, runs, count, frame,
        F32(cos * scale_x), F32((cos * lean - sin) * scale_y), F32(sin * scale_x), F32((sin * lean + cos) * scale_y),
        F32(frame.to_x + amounts.shift * even(key, RIGHT)), F32(frame.to_y + amounts.shift * even(key, DOWN)),
        points, out_x, out_y,
    )  # fmt: skip


@inner_kernel
def jitter_points(
    key: np.uint64, jitter: float, start: int, stop: int, out_x: Float32Array, out_y: Float32Array
) -> None:
    """Move the points start..stop by up to `jitter` on each axis, in one of 65,536 equal steps, at its middle."""
    noise = uint32(mixed(key + NOISE) >> uint64(32))
    step = F32(jitter / 65536)
    for p in range(start, stop):
        bits = scrambled(uint32(noise + uint32(p - start)))
        out_x[uint64(p)] += step * F32(int32(2 * int32(bits >> uint32(16)) - 65535))
        out_y[uint64(p)] += step * F32(int32(2 * int32(bits & uint32(0xFFFF)) - 65535))


@kernel
def augment_drawings(
    x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, rows: Int64Array, salt: np.uint64,
    amounts: Amounts, centred: bool, room: float, runs: Int64Array, out_x: Float32Array, out_y: Float32Array,
    out_stroke_end: Int64Array, out_drawing_end: Int64Array, line_width: Float32Array,
) -> None:  # fmt: skip
    """Fill the five last arrays; the ends only if the amounts allow that points or strokes are removed."""
    thins = amounts.prefix > 0.0 or amounts.dropout > 0.0
    first, begin, strokes, points = 0, 0, 0, 0
    for n in range(len(drawing_end)):
        last = drawing_end[n]
        end = stroke_end[last - 1] if last > 0 else 0
        key = mixed(uint64(rows[n]) ^ salt)
        line_width[n] = math.exp(amounts.thinnest + amounts.widths * uniform(key, WIDTH))
        runs[0], runs[1] = begin, end
        count, left = 1, end - begin
        if thins:
            count, left, kept = thin_strokes(
                stroke_end, first, last, begin, end, key, amounts, runs, points, strokes, out_stroke_end
            )
            strokes += kept
            out_drawing_end[n] = strokes
        if left > 0:
            if centred:
                frame = frame_in_middle(x, y, runs, count, room)
            else:
                frame = frame_in_corner(x, y, runs, count, begin, end, left == end - begin)
            transform_points(x, y, runs, count, frame, key, amounts, points, out_x, out_y)
            if amounts.jitter > 0.0:
                jitter_points(key, amounts.jitter, points, points + left, out_x, out_y)
        points += left
        first, begin = last, end


@kernel
def centre_drawings(
    x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, room: float, runs: Int64Array,
    out_x: Float32Array, out_y: Float32Array,
) -> None:  # fmt: skip
    """Fill `out_x` and `out_y` with each drawing centred on the canvas, with a larger side of `room`."""
    begin = 0
    for n in range(len(drawing_end)):
        end = stroke_end[drawing_end[n] - 1] if drawing_end[n] > 0 else 0
        if end > begin:
            runs[0], runs[1] = begin, end
            frame = frame_in_middle(x, y, runs, 1, room)
            size, none = F32(frame.factor), F32(0)
            to_x, to_y = F32(frame.to_x), F32(frame.to_y)
            move_points(x, y, runs, 1, frame, size, none, none, size, to_x, to_y, begin, out_x, out_y)
        begin = end
