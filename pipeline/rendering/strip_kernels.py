"""Kernels that draw segments: they compute the coverage of eight pixels at once and blend it.

Where two segments of one colour overlap, blending one after the other gives the union of two coverages as if they were
independent. Only where a line turns back over itself is the previous segment's coverage taken out of the next one's.

Planes are one uint8 array of three equal parts, one for each channel; their rows are `stride` apart, with `LANES`
pixels of padding, so that the last vector of a row needs no mask.
"""

import numba
import numpy as np

from pipeline.arrays import Float32Array, UInt8Array
from pipeline.jit import inlined_kernel, inner_kernel
from pipeline.rendering import simd
from pipeline.rendering.outline_kernels import (
    APART,
    BACK,
    BLOCK,
    BOTTOM,
    CORNER,
    F32,
    FIELDS,
    FLAT,
    FULL,
    HALF,
    LEFT,
    NEVER,
    ONE,
    PEAK,
    PLATEAU,
    RIGHT,
    SLOPE_X,
    SLOPE_Y,
    SPREAD,
    START,
    STOP,
    STRIP,
    TOP,
    ZERO,
)
from pipeline.rendering.simd import LANES, Vector

U16, U64 = np.uint16, np.uint64  # indices are unsigned: numba's check for negative ones takes as long as a row
WHOLE = F32(256)  # coverage of a pixel that a stroke covers
CHECKED = bool(vars(numba.config).get("BOUNDSCHECK"))


@inlined_kernel
def along(segments: Float32Array, o: np.uint64, column: F32, row: F32) -> Vector:
    """The values at eight pixels of the linear function whose fields begin at `o`."""
    slope = segments[o + SLOPE_X]
    return (
        simd.floats(segments[o] + slope * column + segments[o + SLOPE_Y] * row) + simd.floats(slope) * simd.count_up()
    )


@inlined_kernel
def cover_of(strip: Vector, start: Vector, stop: Vector, plateau: Vector, peak: Vector, apart: Vector) -> Vector:
    """The coverage, 0 to 256, of pixels by the strip and the cuts at its ends; `stop` is already lowered by FULL."""
    zero = simd.floats(ZERO)
    near = simd.least(simd.greatest(plateau - simd.magnitude(strip - apart), zero), peak)
    far = simd.least(simd.greatest(plateau - simd.magnitude(strip + apart), zero), peak)
    between = simd.greatest(simd.least(start, simd.floats(FULL)) + simd.least(stop, zero), zero)
    return (near + far) * between


@inlined_kernel
def cover_at(segments: Float32Array, o: np.uint64, column: F32, row: F32) -> Vector:
    """A segment's coverage of eight pixels, the first of them at (column, row) of the segment's box."""
    start = simd.greatest(along(segments, o + START, column, row), along(segments, o + START + CORNER, column, row))
    stop = simd.greatest(along(segments, o + STOP, column, row), along(segments, o + STOP + CORNER, column, row))
    strip = along(segments, o + STRIP, column, row)
    plateau, peak, apart = segments[o + PLATEAU], segments[o + PEAK], segments[o + APART]
    return cover_of(strip, start, stop, simd.floats(plateau), simd.floats(peak), simd.floats(apart))


@inlined_kernel
def blend_plane(planes: UInt8Array, i: np.uint64, opaque: Vector, clear: Vector, ink: Vector) -> None:
    """Blend eight pixels of one channel."""
    if CHECKED:  # vector loads and stores have no bounds check, so an indexed read makes numba do its own
        planes[i + U64(LANES - 1)] = planes[i + U64(LANES - 1)]
    mixed = simd.load(planes, i) * clear + ink * opaque + simd.shorts(U16(128))
    simd.store(planes, i, mixed >> simd.shorts(U16(8)))


@inlined_kernel
def blend(
    planes: UInt8Array, i: np.uint64, cover: Vector, red: Vector, green: Vector, blue: Vector, channels: int
) -> None:
    """Blend a colour into eight pixels from `i` on; `cover` is 0 to 256."""
    opaque = simd.truncated(cover + simd.floats(HALF))
    clear = simd.shorts(U16(WHOLE)) - opaque
    blend_plane(planes, i, opaque, clear, red)
    if channels > 1:
        pixels = U64(len(planes)) // U64(3)
        blend_plane(planes, i + pixels, opaque, clear, green)
        blend_plane(planes, i + U64(2) * pixels, opaque, clear, blue)


@inlined_kernel
def block_of(p: int) -> np.uint64:
    """The index in `segments` where the fields of segment `p` begin."""
    return U64(p) // U64(BLOCK) * U64(BLOCK * FIELDS) + U64(p) % U64(BLOCK)


@inlined_kernel
def draw_narrow(
    segments: Float32Array,
    o: np.uint64,
    rows: np.uint64,
    inks: UInt8Array,
    p: int,
    stride: np.uint64,
    channels: int,
    planes: UInt8Array,
) -> None:
    """Blend a segment whose box is no wider than a vector: for each row the linear functions grow by their slope.

    Over 4,096 rows the rounding of these sums changes a pixel by at most 1 of 255.
    """
    lanes = simd.count_up()
    strip = simd.floats(segments[o + STRIP]) + simd.floats(segments[o + STRIP + SLOPE_X]) * lanes
    start = simd.floats(segments[o + START]) + simd.floats(segments[o + START + SLOPE_X]) * lanes
    stop = simd.floats(segments[o + STOP]) + simd.floats(segments[o + STOP + SLOPE_X]) * lanes
    plateau, peak, apart = (
        simd.floats(segments[o + PLATEAU]),
        simd.floats(segments[o + PEAK]),
        simd.floats(segments[o + APART]),
    )
    strip_y, start_y, stop_y = (
        simd.floats(segments[o + STRIP + SLOPE_Y]),
        simd.floats(segments[o + START + SLOPE_Y]),
        simd.floats(segments[o + STOP + SLOPE_Y]),
    )
    red, green, blue = simd.shorts(inks[0, p]), simd.shorts(inks[1, p]), simd.shorts(inks[2, p])
    i = U64(segments[o + TOP]) * stride + U64(segments[o + LEFT])
    if segments[o + START + CORNER] == NEVER and segments[o + STOP + CORNER] == NEVER:
        for _ in range(rows):
            blend(planes, i, cover_of(strip, start, stop, plateau, peak, apart), red, green, blue, channels)
            strip, start, stop = strip + strip_y, start + start_y, stop + stop_y
            i += stride
        return
    corner = simd.floats(segments[o + START + CORNER]) + simd.floats(segments[o + START + CORNER + SLOPE_X]) * lanes
    ending = simd.floats(segments[o + STOP + CORNER]) + simd.floats(segments[o + STOP + CORNER + SLOPE_X]) * lanes
    corner_y = simd.floats(segments[o + START + CORNER + SLOPE_Y])
    ending_y = simd.floats(segments[o + STOP + CORNER + SLOPE_Y])
    for _ in range(rows):
        after, before = simd.greatest(start, corner), simd.greatest(stop, ending)
        blend(planes, i, cover_of(strip, after, before, plateau, peak, apart), red, green, blue, channels)
        strip, start, stop = strip + strip_y, start + start_y, stop + stop_y
        corner, ending = corner + corner_y, ending + ending_y
        i += stride


@inner_kernel
def draw_wide(
    segments: Float32Array, p: int, rows: int, columns: F32, inks: UInt8Array, stride: int, channels: int,
    planes: UInt8Array,
) -> None:  # fmt: skip
    """Blend any segment: in each row the pixels that the strip may reach, a vector at a time."""
    o = block_of(p)
    before = block_of(p - 1) if segments[o + BACK] != ZERO else o
    down, right = segments[o + TOP] - segments[before + TOP], segments[o + LEFT] - segments[before + LEFT]
    red, green, blue = simd.shorts(inks[0, p]), simd.shorts(inks[1, p]), simd.shorts(inks[2, p])
    slope, spread = segments[o + STRIP + SLOPE_X], segments[o + SPREAD]
    across = np.reciprocal(max(abs(slope), FLAT)) * (-ONE if slope > ZERO else ONE)
    for row in range(rows):
        middle = (segments[o + STRIP] + segments[o + STRIP + SLOPE_Y] * F32(row)) * across
        column = np.ceil(min(max(middle - spread, ZERO), columns))
        last = min(middle + spread, columns - ONE)
        i = U64(row + int(segments[o + TOP])) * U64(stride) + U64(segments[o + LEFT] + column)
        while True:
            cover = cover_at(segments, o, column, F32(row))
            if before != o:  # blend only what is missing to the greater coverage: `before` is already drawn
                beneath = cover_at(segments, before, column + right, F32(row) + down)
                rest = simd.greatest(simd.floats(WHOLE) - beneath, simd.floats(ONE))
                cover = simd.quotient(simd.greatest(cover - beneath, simd.floats(ZERO)) * simd.floats(WHOLE), rest)
                cover = simd.least(cover, simd.floats(WHOLE))
            blend(planes, i, cover, red, green, blue, channels)
            column += F32(LANES)
            i += U64(LANES)
            if column > last:
                break


@inner_kernel
def draw_segments(
    segments: Float32Array,
    begins: Float32Array,
    count: int,
    inks: UInt8Array,
    stride: int,
    channels: int,
    planes: UInt8Array,
) -> None:
    """Blend the segments of all strokes into the planes, one after the other."""
    for p in range(count):
        if begins[p + 1] != ZERO:
            continue
        o = block_of(p)
        rows, columns = segments[o + BOTTOM] - segments[o + TOP], segments[o + RIGHT] - segments[o + LEFT]
        if columns <= F32(LANES) and segments[o + BACK] == ZERO:
            draw_narrow(segments, o, U64(rows), inks, p, U64(stride), channels, planes)
        else:
            draw_wide(segments, p, int(rows), columns, inks, stride, channels, planes)
