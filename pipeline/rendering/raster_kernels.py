"""The kernel that renders drawings: points to segments, segments to colour planes, planes to images.

`pipeline.rendering.raster.render_batch` calls it. Coverage is computed, not sampled: `outline_kernels` bounds each
segment by a few linear functions, and `strip_kernels` clamps and multiplies them, a vector of pixels at a time.

Axes: N drawings, S strokes, P points.
"""

import numpy as np

from pipeline.arrays import Float32Array, Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel
from pipeline.rendering.outline_kernels import F32, HALF, ONE, TINY, TWO, ZERO, join_points, outline_segments
from pipeline.rendering.simd import LANES
from pipeline.rendering.strip_kernels import draw_segments

U8, U64 = np.uint8, np.uint64
MERGE = F32(1 / 64)  # pixels; a point nearer than this to the one before it is dropped


@inner_kernel
def place_points(
    x: UInt8Array | Float32Array, y: UInt8Array | Float32Array, stroke_end: Int64Array, first: int, last: int,
    scale: F32, half_width: F32, points: Float32Array, table: UInt8Array, inks: UInt8Array,
) -> int:  # fmt: skip
    """Scale the points of strokes first..last into rows 0 and 1 of `points`, and return their number.

    Row 2 is marked where a stroke begins; the rows of `inks` receive each point's red, green and blue.

    Of points closer than MERGE the first is kept, so that every segment has a direction; if a stroke has only one point
    left, it becomes a line as long as it is wide.
    """
    px, py, begins = points[0], points[1], points[2]
    count = 0
    p = stroke_end[first - 1] if first > 0 else 0
    for s in range(first, last):
        begin = count
        while p < stroke_end[s]:
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
        colour = table[(s - first) % len(table)]
        for c in range(3):
            inks[c, begin:count] = colour[c]
    begins[count] = ONE
    return count


@inner_kernel
def colour_segments(points: Float32Array, count: int, inks: UInt8Array) -> None:
    """Colour each segment for the encoding `order`: red is ink, green its position in the drawing, blue its direction.

    The position is the share of the drawing's length up to the segment's middle, as 0-255. The direction is mapped to
    0-255 without trigonometry, as the position on the square |u| + |v| = 1, from left through up, right and down.
    """
    px, py, begins, ux, uy = points[0], points[1], points[2], points[3], points[4]
    total = ZERO
    for p in range(count):
        if begins[p + 1] == ZERO:
            total += (px[p + 1] - px[p]) * ux[p] + (py[p + 1] - py[p]) * uy[p]
    done = ZERO
    for p in range(count):
        u, v = ux[p], uy[p]
        length = (px[p + 1] - px[p]) * u + (py[p + 1] - py[p]) * v
        length = length if begins[p + 1] == ZERO else ZERO
        turn = v / max(abs(u) + abs(v), TINY)
        turn = turn if u >= ZERO else (TWO - turn if v >= ZERO else -TWO - turn)
        inks[0, p] = U8(255)
        inks[1, p] = U8(F32(255) * (done + HALF * length) / max(total, TINY) + HALF)
        inks[2, p] = U8((turn + TWO) * F32(255 / 4) + HALF)
        done += length


@inner_kernel
def interleave_planes(planes: UInt8Array, size: int, stride: int, images: UInt8Array, begin: int) -> None:
    """Write one image of interleaved RGB to images[begin:]."""
    pixels = len(planes) // 3
    red, green, blue = planes[:pixels], planes[pixels : 2 * pixels], planes[2 * pixels :]
    for row in range(size):
        for column in range(size):
            i = U64(row * stride + column)
            o = U64(begin + 3 * (row * size + column))
            images[o], images[o + U64(1)], images[o + U64(2)] = red[i], green[i], blue[i]


@inner_kernel
def copy_plane(planes: UInt8Array, size: int, stride: int, images: UInt8Array, begin: int) -> None:
    """Write one image of the first plane to images[begin:]."""
    for row in range(size):
        for column in range(size):
            images[U64(begin + row * size + column)] = planes[U64(row * stride + column)]


@kernel
def render_drawings(
    x: UInt8Array | Float32Array, y: UInt8Array | Float32Array, stroke_end: Int64Array, drawing_end: Int64Array,
    line_widths: Float32Array, scale: F32, table: UInt8Array, by_segment: bool, points: Float32Array, inks: UInt8Array,
    segments: Float32Array, planes: UInt8Array, size: int, channels: int, images: UInt8Array,
) -> None:  # fmt: skip
    """Fill `images`, (N * size * size * channels,) uint8.

    `line_widths` has one entry for each drawing. Strokes have the colours of `table`, (K, 3), in turn; if `by_segment`
    is set, each segment has its own colour: ink, position in the drawing, direction. `points`, `inks`, `segments` and
    `planes` are scratch.
    """
    stride = size + LANES
    for n in range(len(drawing_end)):
        first = drawing_end[n - 1] if n > 0 else 0
        half_width = HALF * line_widths[n]
        count = place_points(x, y, stroke_end, first, drawing_end[n], scale, half_width, points, table, inks)
        join_points(points, count, half_width)
        outline_segments(points, count, half_width, F32(size), segments)
        if by_segment:
            colour_segments(points, count, inks)
        planes[:] = 0
        draw_segments(segments, points[2], count, inks, stride, channels, planes)
        if channels == 1:
            copy_plane(planes, size, stride, images, n * size * size)
        else:
            interleave_planes(planes, size, stride, images, n * size * size * 3)
