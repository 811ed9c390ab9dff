"""Kernels that turn strokes into segments: the pixels each may touch and the functions that bound it.

- The strip between a segment's edges: its coverage is the mean of two trapezoids of the distance to the middle line,
  that is, the box filter over a pixel with one of its two integrals replaced by Gauss's two points.
- A cut at each end: a ramp one pixel wide at a cap, a step along the bisector at a joint. A pixel near a joint belongs
  to one of the two segments, never to both, and the strips on both sides of the bisector form the miter.

Lengths are in pixels, x to the right, y downwards, and pixel i spans [i, i + 1).
"""

import numpy as np

from pipeline.arrays import Float32Array
from pipeline.jit import inlined_kernel, inner_kernel

F32 = np.float32
ZERO, HALF, ONE, TWO = F32(0), F32(0.5), F32(1), F32(2)  # a Python float would widen to float64

SHARP = F32(0.04)  # |u + v|^2 of unit vectors u, v at a joint where the miter is 10 line widths long
BACKWARD = F32(0.003)  # the same where a line turns back over itself, within 3 degrees
# Chosen by likeness to Cairo's images, which is 42.8 dB with these values:
STEP = F32(64)  # slope of a joint's cut, 1 / pixels; 40.1 dB at 4, 42.2 at 16
NUDGE = F32(0.8)  # of 1 / STEP: moves cuts off the pixel centres, on which joints of a grid lie; 41.4 dB at 0
INNER = F32(0.15)  # of the shorter segment; an inner corner that reaches further is filled; 42.1 dB without
GAUSS = F32(0.5 / np.sqrt(3))  # Gauss's two points on [-1/2, 1/2]
TINY = F32(1e-4)  # keeps divisors from 0
FLAT = F32(1e-9)  # keeps a strip's slope from 0; at 1e-4 horizontal lines of thousands of pixels ended early
FULL = F32(128)  # the greatest value of a cut; two trapezoids of that height make a coverage of 256
NEVER = F32(-1e9)  # the offset of a cut that is never the greater one

BLOCK = 16  # segments whose fields are interleaved: with several base pointers LLVM could not prove them disjoint
# Fields of a segment, as offsets in its block: its box, and linear functions of three fields each, which are the value
# at the centre of the box's first pixel and the two slopes.
FIELDS = 24
TOP, BOTTOM, LEFT, RIGHT, STRIP, PLATEAU, PEAK, SPREAD, APART, START, STOP, BACK = (
    field * BLOCK for field in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 17, 23)
)
SLOPE_X, SLOPE_Y, CORNER = BLOCK, 2 * BLOCK, 3 * BLOCK
POINT_ROWS = 9  # rows of `points`: x, y, whether a stroke begins, and six that `join_points` fills


@inlined_kernel
def reach_of(u: F32, v: F32, jx: F32, jy: F32, half: F32) -> tuple[F32, F32]:
    """How far the end of a segment of direction (u, v), its miter included, reaches horizontally and vertically."""
    cap = jx * jx + jy * jy == ZERO
    a = TWO * u if cap else jx
    b = TWO * v if cap else jy
    tip = TWO * half * np.reciprocal(max(a * a + b * b, TINY))
    return max(abs(b) * tip, half * abs(v)), max(abs(a) * tip, half * abs(u))


@inlined_kernel
def place_cut(
    segments: Float32Array, o: int, x: F32, y: F32, u: F32, v: F32, jx: F32, jy: F32, inner: F32, offset: F32, less: F32
) -> None:
    """Write the cut at an end of a segment: (u, v) points from that end into it, (x, y) from there to the first pixel.

    The cut is the greater of two linear functions: that of the cap or of the joint's bisector and, at an inner corner,
    that of the segment's own end, so that short segments of thick lines leave no holes. Both are lowered by `less`.
    """
    cap = jx * jx + jy * jy == ZERO
    a = TWO * u if cap else jx
    b = TWO * v if cap else jy
    r = (FULL if cap else FULL * STEP) * np.reciprocal(max(max(abs(a), abs(b)), TINY))
    segments[o] = FULL * (HALF if cap else offset) - less + (x * a + y * b) * r
    segments[o + SLOPE_X] = a * r
    segments[o + SLOPE_Y] = b * r
    r = FULL * STEP * inner
    segments[o + CORNER] = FULL * offset - less + (x * u + y * v) * r if inner > ZERO else NEVER
    segments[o + CORNER + SLOPE_X] = u * r
    segments[o + CORNER + SLOPE_Y] = v * r


@inner_kernel
def join_points(points: Float32Array, count: int, half_width: F32) -> None:
    """Fill rows 3 and 4 of `points` with the unit direction to the next point, 5-8 with the joint at each point.

    Row 5 is 1 where the inner corner reaches far along the shorter segment. Rows 6 and 7 are the sum of the directions
    before and after, normal to the bisector; they are 0 where two caps replace the joint: at a stroke's ends, and
    beyond the miter limit, where Cairo's bevel is almost the same. Row 8 is 1 where the line turns back over itself.
    """
    px, py, begins, ux, uy, inner = points[0], points[1], points[2], points[3], points[4], points[5]
    jx, jy, back = points[6], points[7], points[8]
    for p in range(count):
        a, b = px[p + 1] - px[p], py[p + 1] - py[p]
        r = np.reciprocal(max(np.sqrt(a * a + b * b), TINY))  # "/" checks for 0 and raises, which prevents SIMD code
        ux[p], uy[p] = a * r, b * r
    previous = ZERO
    for p in range(count):
        length = (px[p + 1] - px[p]) * ux[p] + (py[p + 1] - py[p]) * uy[p]
        a, b, sine = ZERO, ZERO, ZERO
        joint = begins[p] == ZERO and begins[p + 1] == ZERO
        if joint:
            a, b = ux[p - 1] + ux[p], uy[p - 1] + uy[p]
            sine = abs(ux[p - 1] * uy[p] - uy[p - 1] * ux[p])
        square = a * a + b * b
        back[p] = ONE if joint and square < BACKWARD else ZERO
        if square < SHARP:
            a, b, sine = ZERO, ZERO, ZERO
        jx[p], jy[p] = a, b
        inner[p] = ONE if TWO * half_width * sine > INNER * min(previous, length) * square else ZERO
        previous = length
    jx[count], jy[count], inner[count] = ZERO, ZERO, ZERO


@inner_kernel
def outline_segments(points: Float32Array, count: int, half_width: F32, size: F32, segments: Float32Array) -> None:
    """Fill the fields of the segment from each point to the next; segments between two strokes are never drawn."""
    px, py, ux, uy = points[0], points[1], points[3], points[4]
    inner, jx, jy, back = points[5], points[6], points[7], points[8]
    for block in range((count + BLOCK - 1) // BLOCK):
        for lane in range(BLOCK):
            p = block * BLOCK + lane
            q, o = p + 1, block * (BLOCK * FIELDS) + lane
            x0, y0, u, v = px[p], py[p], ux[p], uy[p]
            x1, y1 = px[q], py[q]
            reach_x0, reach_y0 = reach_of(u, v, jx[p], jy[p], half_width)
            reach_x1, reach_y1 = reach_of(u, v, jx[q], jy[q], half_width)
            left = np.floor(min(max(min(x0 - reach_x0, x1 - reach_x1), ZERO), size))
            top = np.floor(min(max(min(y0 - reach_y0, y1 - reach_y1), ZERO), size))
            segments[o + LEFT] = left
            segments[o + RIGHT] = np.ceil(min(max(max(x0 + reach_x0, x1 + reach_x1), ZERO), size))
            segments[o + TOP] = top
            segments[o + BOTTOM] = np.ceil(min(max(max(y0 + reach_y0, y1 + reach_y1), ZERO), size))
            x0, y0, x1, y1 = left + HALF - x0, top + HALF - y0, left + HALF - x1, top + HALF - y1

            place_cut(segments, o + START, x0, y0, u, v, jx[p], jy[p], inner[p], HALF - NUDGE, ZERO)
            place_cut(segments, o + STOP, x1, y1, -u, -v, -jx[q], -jy[q], inner[q], HALF + NUDGE, FULL)
            segments[o + BACK] = back[p]
            r = np.reciprocal(max(max(abs(u), abs(v)), TINY))
            plateau = half_width * r + HALF
            apart = min(abs(u), abs(v)) * r * GAUSS
            slope_x, slope_y = -v * r, u * r
            segments[o + STRIP] = slope_x * x0 + slope_y * y0
            segments[o + STRIP + SLOPE_X] = slope_x
            segments[o + STRIP + SLOPE_Y] = slope_y
            segments[o + PLATEAU] = plateau
            segments[o + PEAK] = min(TWO * half_width * r, ONE)
            segments[o + APART] = apart
            segments[o + SPREAD] = (plateau + apart) * np.reciprocal(max(abs(slope_x), FLAT))
