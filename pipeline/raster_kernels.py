"""The kernels behind `pipeline.raster.render_batch`, and how a pixel's coverage is found.

Coverage is not sampled. Each pixel row of a segment is a few lanes of clamped linear functions of x:

- the strip between its edges: the mean of two trapezoids of the distance to its middle line, that is, the box filter
  over a pixel with one of the two integrals replaced by Gauss's two points;
- a cut at each end: a ramp a pixel wide at a cap, a step along the bisector at a joint. A pixel near a joint belongs to
  one of the two segments, never to both, and the strips on either side of the bisector are the miter.

Segments of a stroke multiply the transparency of its pixels; the stroke is then blended into planar R, G and B.

Axes: N drawings, S strokes, P points. Lengths in kernels are in pixels, x to the right, y downwards, and pixel i spans
[i, i + 1). Indices are cast to unsigned in the inner loops: numba's handling of negative ones prevents SIMD code.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.jit import kernel

UInt8Array = NDArray[np.uint8]
UInt16Array = NDArray[np.uint16]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]

I32, U8, U16, U64 = np.int32, np.uint8, np.uint16, np.uint64
F32 = np.float32
ZERO, HALF, ONE, TWO = F32(0), F32(0.5), F32(1), F32(2)  # a Python float would widen to float64

MERGE = F32(1 / 64)  # pixels; points nearer than this to the one before are dropped
SHARP = F32(0.04)  # |u + v|^2 of unit vectors u, v at a joint where the miter is 10 line widths long
BACKWARD = F32(0.003)  # the same where a line runs back over itself, within 3 degrees
# Measured against Cairo's images, 42.8 dB as it is:
STEP = F32(64)  # slope of a joint's cut, 1 / pixels; 40.1 dB at 4, 42.2 at 16
NUDGE = F32(0.8)  # of 1 / STEP, by which cuts move off pixel centres, where joints on a grid have them; 41.4 dB at 0
INNER = F32(0.15)  # of the shorter leg; an inner corner that reaches further is filled whole; 42.1 dB without
GAUSS = F32(0.5 / np.sqrt(3))  # Gauss's two points on [-1/2, 1/2]
TINY = F32(1e-4)  # keeps divisors from 0
CLEAR = 256  # transparency of an untouched pixel
FULL = F32(CLEAR / 2)  # a cut's full weight; two trapezoids of it make CLEAR
NEVER = F32(-1e9)  # a cut's offset that no point reaches

LANES = 8  # pixels of a row computed at once; also the padding of a row, so that the last lanes need no mask
BLOCK = 16  # segments whose fields lie side by side: one base pointer, or LLVM gives up on proving them apart
# Fields of a segment, as offsets in its block. A linear function has three: its value at (0, 0) and its slopes.
FIELDS = 25
TOP, BOTTOM, LEFT, RIGHT, STRIP, PLATEAU, PEAK, SPREAD, MIDDLE, APART, START, STOP, BACK = (
    field * BLOCK for field in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 18, 24)
)
SLOPE_X, SLOPE_Y, CORNER = BLOCK, 2 * BLOCK, 3 * BLOCK


@kernel
def render_drawings(
    x: UInt8Array | Float32Array,
    y: UInt8Array | Float32Array,
    stroke_end: Int64Array,
    drawing_end: Int64Array,
    palette: UInt8Array,
    line_width: F32,
    scale: F32,
    points: Float32Array,
    ends: Int64Array,
    segments: Float32Array,
    transparency: UInt16Array,
    planes: UInt8Array,
    size: int,
    images: UInt8Array,
) -> None:
    """Fill `images`, (N * size * size * 3,) uint8; the five arrays before it are scratch."""
    stride = size + LANES
    transparency[:] = CLEAR
    for n in range(len(drawing_end)):
        first = drawing_end[n - 1] if n > 0 else 0
        strokes = drawing_end[n] - first
        count = place_points(x, y, stroke_end, first, strokes, scale, HALF * line_width, points, ends)
        join_points(points, count, HALF * line_width)
        outline_segments(points, count, HALF * line_width, F32(size), segments)
        planes[:] = 0
        begin = 0
        for s in range(strokes):
            if ends[s] > begin:
                low, high = draw_segments(segments, begin, ends[s] - 1, stride, transparency)
                blend_stroke(transparency, planes, palette[s % len(palette)], low, high)
            begin = ends[s]
        interleave_planes(planes, size, stride, images, n * size * size * 3)


@kernel
def place_points(
    x: UInt8Array | Float32Array,
    y: UInt8Array | Float32Array,
    stroke_end: Int64Array,
    first: int,
    strokes: int,
    scale: F32,
    half_width: F32,
    points: Float32Array,
    ends: Int64Array,
) -> int:
    """Scale a drawing's points into rows 0 and 1 of `points`, mark strokes' beginnings in row 2; return their number.

    Of points closer than MERGE the first stays, so that every segment has a direction; where it is the only one left,
    it becomes a line as long as it is wide.
    """
    px, py, begins = points[0], points[1], points[2]
    count = 0
    p = stroke_end[first - 1] if first > 0 else 0
    for s in range(strokes):
        begin = count
        while p < stroke_end[first + s]:
            u, v = F32(x[p]) * scale, F32(y[p]) * scale
            if count == begin or max(abs(u - px[count - 1]), abs(v - py[count - 1])) > MERGE:
                px[count], py[count], begins[count] = u, v, ZERO
                count += 1
            p += 1
        if count == begin + 1:
            px[count], py[count], begins[count] = px[begin] + half_width, py[begin], ZERO
            px[begin] -= half_width
            count += 1
        begins[begin] = ONE
        ends[s] = count
    begins[count] = ONE
    return count


@kernel
def join_points(points: Float32Array, count: int, half_width: F32) -> None:
    """Fill rows 3 and 4 of `points` with the unit direction to the next point, 5-8 with the joint at each point.

    Row 5 is 1 where the inner corner reaches far along the shorter leg. Rows 6 and 7 are the sum of the directions
    before and after, normal to the bisector; 0 where two caps take the joint's place: at a stroke's ends, and past the
    miter limit, where Cairo's bevel is all but that. Row 8 is 1 where the line runs back over itself.
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


@kernel
def outline_segments(points: Float32Array, count: int, half_width: F32, size: F32, segments: Float32Array) -> None:
    """Fill the fields of the segment from each point to the next; those between strokes are never drawn."""
    px, py, ux, uy = points[0], points[1], points[3], points[4]
    inner, jx, jy, back = points[5], points[6], points[7], points[8]
    for block in range((count + BLOCK - 1) // BLOCK):
        for lane in range(BLOCK):
            p = block * BLOCK + lane
            q, o = p + 1, block * (BLOCK * FIELDS) + lane
            x0, y0, u, v = px[p], py[p], ux[p], uy[p]
            x1, y1 = px[q], py[q]
            reach_x0, reach_y0 = place_cut(
                segments, o + START, x0, y0, u, v, jx[p], jy[p], inner[p], HALF - NUDGE, half_width
            )
            reach_x1, reach_y1 = place_cut(
                segments, o + STOP, x1, y1, -u, -v, -jx[q], -jy[q], inner[q], HALF + NUDGE, half_width
            )
            segments[o + LEFT] = min(max(min(x0 - reach_x0, x1 - reach_x1), ZERO), size)
            segments[o + RIGHT] = min(max(max(x0 + reach_x0, x1 + reach_x1), ZERO), size)
            segments[o + TOP] = np.floor(min(max(min(y0 - reach_y0, y1 - reach_y1), ZERO), size))
            segments[o + BOTTOM] = np.ceil(min(max(max(y0 + reach_y0, y1 + reach_y1), ZERO), size))

            segments[o + BACK] = back[p]
            r = np.reciprocal(max(max(abs(u), abs(v)), TINY))
            plateau = half_width * r + HALF
            apart = min(abs(u), abs(v)) * r * GAUSS
            slope_x, slope_y = -v * r, u * r
            across = np.reciprocal(max(abs(slope_x), TINY))
            segments[o + STRIP] = -(slope_x * x0 + slope_y * y0)
            segments[o + STRIP + SLOPE_X] = slope_x
            segments[o + STRIP + SLOPE_Y] = slope_y
            segments[o + PLATEAU] = plateau
            segments[o + PEAK] = min(TWO * half_width * r, ONE)
            segments[o + APART] = apart
            segments[o + SPREAD] = (plateau + apart) * across + HALF
            segments[o + MIDDLE] = -across if slope_x > ZERO else across


@kernel
def place_cut(
    segments: Float32Array, o: int, x: F32, y: F32, u: F32, v: F32, jx: F32, jy: F32, inner: F32, offset: F32, half: F32
) -> tuple[F32, F32]:
    """Place the cut at the end (x, y) of a segment that leaves it in the direction (u, v); return the end's reach.

    The cut is the greater of two linear functions: the cap or the joint's bisector, and, where the joint is an inner
    one, the segment's own end, so that short legs of thick lines leave no holes.
    """
    cap = jx * jx + jy * jy == ZERO
    a = TWO * u if cap else jx
    b = TWO * v if cap else jy
    tip = TWO * half * np.reciprocal(max(a * a + b * b, TINY))
    r = (FULL if cap else FULL * STEP) * np.reciprocal(max(max(abs(a), abs(b)), TINY))
    segments[o] = FULL * (HALF if cap else offset) - (x * a + y * b) * r
    segments[o + SLOPE_X] = a * r
    segments[o + SLOPE_Y] = b * r
    r = FULL * STEP * inner
    segments[o + CORNER] = FULL * offset - (x * u + y * v) * r if inner > ZERO else NEVER
    segments[o + CORNER + SLOPE_X] = u * r
    segments[o + CORNER + SLOPE_Y] = v * r
    return max(abs(b) * tip, half * abs(v)), max(abs(a) * tip, half * abs(u))


@kernel
def draw_segments(
    segments: Float32Array, begin: int, end: int, stride: int, transparency: UInt16Array
) -> tuple[int, int]:
    """Multiply `transparency` by that of the segments begin..end; return the range of pixels that may have changed."""
    low, high = len(transparency), 0
    for p in range(begin, end):
        o = p // BLOCK * (BLOCK * FIELDS) + p % BLOCK
        left, right = segments[o + LEFT], segments[o + RIGHT]
        top, bottom = int(segments[o + TOP]), int(segments[o + BOTTOM])
        low = min(low, top * stride + int(left))
        high = max(high, (bottom - 1) * stride + int(np.ceil(right)) + LANES)  # the last lanes may pass the right
        back = segments[o + BACK] != ZERO
        strip_x = segments[o + STRIP + SLOPE_X]
        start_x, start_corner_x = segments[o + START + SLOPE_X], segments[o + START + CORNER + SLOPE_X]
        stop_x, stop_corner_x = segments[o + STOP + SLOPE_X], segments[o + STOP + CORNER + SLOPE_X]
        plateau, peak, apart = segments[o + PLATEAU], segments[o + PEAK], segments[o + APART]
        for row in range(top, bottom):
            centre = F32(row) + HALF
            strip = value_at(segments, o + STRIP, centre)
            start, start_corner = value_at(segments, o + START, centre), value_at(segments, o + START + CORNER, centre)
            stop, stop_corner = value_at(segments, o + STOP, centre), value_at(segments, o + STOP + CORNER, centre)
            middle, spread = strip * segments[o + MIDDLE], segments[o + SPREAD]
            column = int(min(max(middle - spread, left), right))
            last = int(np.ceil(min(middle + spread, right)))
            while True:
                first = F32(column) + HALF
                for lane in range(LANES):
                    h = first + F32(lane)
                    d = strip + strip_x * h
                    near = min(max(plateau - abs(d - apart), ZERO), peak)
                    far = min(max(plateau - abs(d + apart), ZERO), peak)
                    after = min(max(start + start_x * h, start_corner + start_corner_x * h), FULL)
                    before = min(max(stop + stop_x * h, stop_corner + stop_corner_x * h), FULL)
                    cover = I32((near + far) * max(after + before - FULL, ZERO) + HALF)
                    i = U64(row * stride + column + lane)
                    was = I32(transparency[i])
                    if back:  # the greater coverage, as the line before lies beneath
                        both = I32(max(I32(cover + was - I32(CLEAR)), I32(0)))
                    else:  # the union of two that know nothing of each other
                        both = I32((was * cover + I32(128)) >> I32(8))
                    transparency[i] = U16(was - both)
                column += LANES
                if column >= last:
                    break
    return low, max(low, high)


@kernel
def value_at(segments: Float32Array, o: int, y: F32) -> F32:
    """The value at (0, y) of the linear function whose fields begin at `o`."""
    return F32(segments[o] + segments[o + SLOPE_Y] * y)


@kernel
def blend_stroke(transparency: UInt16Array, planes: UInt8Array, colour: UInt8Array, low: int, high: int) -> None:
    """Blend a colour into the pixels low..high of the three planes, and clear `transparency` there.

    The range is one run over whole rows: longer than the stroke's bounding box, but without a loop a row.
    """
    for c in range(3):
        plane = planes[c]
        ink = I32(colour[c])
        for k in range(low, high):
            i = U64(k)
            shown = I32((I32(plane[i]) - ink) * I32(transparency[i]))
            plane[i] = U8(I32(shown + ink * I32(CLEAR) + I32(128)) >> I32(8))
    for k in range(low, high):
        transparency[U64(k)] = U16(CLEAR)


@kernel
def interleave_planes(planes: UInt8Array, size: int, stride: int, images: UInt8Array, begin: int) -> None:
    """Write one image of interleaved RGB to images[begin:]."""
    red, green, blue = planes[0], planes[1], planes[2]
    for row in range(size):
        for column in range(size):
            i = U64(row * stride + column)
            o = U64(begin + 3 * (row * size + column))
            images[o], images[o + U64(1)], images[o + U64(2)] = red[i], green[i], blue[i]
