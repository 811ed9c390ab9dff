"""Drawings to antialiased images: `render_batch` checks its arguments once and guards the kernels that draw.

Strokes look as Cairo draws them, butt caps and miter joins up to a limit of 10, with one difference: a stroke that
stays in one place is a visible dot.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UsageError
from pipeline.raster_kernels import BLOCK, FIELDS, LANES, render_drawings

UInt8Array = NDArray[np.uint8]
Int64Array = NDArray[np.int64]

PALETTE: UInt8Array = np.array(
    [
        (255, 255, 255),  # white
        (255, 0, 0),  # red
        (0, 0, 255),  # blue
        (0, 128, 0),  # green
        (255, 255, 0),  # yellow
        (128, 0, 128),  # purple
        (255, 165, 0),  # orange
        (128, 128, 128),  # gray
        (0, 255, 255),  # cyan
        (255, 192, 203),  # pink
    ],
    np.uint8,
)
"""(10, 3) uint8 RGB, the colour of each stroke by its index modulo 10."""
PALETTE.flags.writeable = False

LINE_WIDTH = 5 / 256  # of the image's size
SIZE_LIMIT = 4096  # pixels
COORDINATE_LIMIT = 65536.0  # 256 canvases: float32 still places such a point within 1/50 of a pixel at 512


def render_batch(
    x: NDArray[np.uint8] | NDArray[np.floating],
    y: NDArray[np.uint8] | NDArray[np.floating],
    stroke_end: NDArray[np.integer],
    drawing_end: NDArray[np.integer],
    *,
    size: int = 64,
    line_width: float | None = None,
    palette: UInt8Array = PALETTE,
    out: UInt8Array | None = None,
) -> UInt8Array:
    """Render N drawings, antialiased, later strokes over earlier ones.

    Safe to call from several threads side by side; scratch memory is a call's own and follows from `size` and the
    largest drawing.

    Args:
        x: (P,) uint8 or float, from left to right; 0 and 256 are the image's borders. What lies outside is clipped.
        y: (P,) of the dtype of `x`, from top to bottom.
        stroke_end: (S,) integer, the end of each stroke in `x` and `y`.
        drawing_end: (N,) integer, the end of each drawing in `stroke_end`.
        size: height and width of the images in pixels, 1-4096.
        line_width: in pixels of the image; 5/256 of `size` where None.
        palette: (K, 3) uint8 RGB; stroke s of a drawing has the colour s modulo K.
        out: (N, size, size, 3) uint8, C-contiguous, to fill and return; allocated where None.

    Returns:
        (N, size, size, 3) uint8, RGB on black.

    Raises:
        UsageError: an array has the wrong shape or dtype, ends fall or pass what they index, a coordinate is not
            within +-65536 (so NaN and infinity), or `size`, `line_width` or `out` does not fit.

    >>> int(render_batch(np.uint8([0, 255]), np.uint8([130, 130]), np.array([2]), np.array([1])).max())
    255
    """
    x, y = as_coordinates("x", x), as_coordinates("y", y)
    if x.dtype != y.dtype or x.shape != y.shape:
        raise UsageError(f"x and y must be alike, not {x.dtype} {x.shape} and {y.dtype} {y.shape}")
    stroke_end = as_ends("stroke_end", stroke_end, len(x))
    drawing_end = as_ends("drawing_end", drawing_end, len(stroke_end))
    if not 1 <= size <= SIZE_LIMIT:
        raise UsageError(f"size must be 1-{SIZE_LIMIT} pixels, not {size}")
    width = size * LINE_WIDTH if line_width is None else float(line_width)
    if not 0 < width <= SIZE_LIMIT:
        raise UsageError(f"line_width must be above 0 and at most {SIZE_LIMIT} pixels, not {line_width}")
    colours = np.array(palette)
    if colours.dtype != np.uint8 or colours.ndim != 2 or colours.shape[1] != 3 or len(colours) == 0:
        raise UsageError(f"palette must be (K, 3) uint8 with K > 0, not {colours.dtype} {colours.shape}")
    shape = (len(drawing_end), size, size, 3)
    if out is None:
        out = np.empty(shape, np.uint8)
    if out.dtype != np.uint8 or out.shape != shape or not (out.flags.c_contiguous and out.flags.writeable):
        raise UsageError(f"out must be C-contiguous writeable uint8 {shape}, not {out.dtype} {out.shape}")
    if len(drawing_end) == 0:
        return out

    first_stroke = np.append(0, drawing_end)
    first_point = np.append(0, stroke_end)[first_stroke]
    strokes = int(np.diff(first_stroke).max())
    blocks = -(-(int(np.diff(first_point).max()) + strokes) // BLOCK)  # a dot has one point and becomes two
    pixels = size * (size + LANES) + LANES
    render_drawings(
        x,
        y,
        stroke_end,
        drawing_end,
        colours,
        np.float32(width),
        np.float32(size / 256),
        np.zeros((9, blocks * BLOCK + 1), np.float32),
        np.empty(strokes, np.int64),
        np.empty(blocks * BLOCK * FIELDS, np.float32),
        np.empty(pixels, np.uint16),
        np.empty((3, pixels), np.uint8),
        size,
        out.reshape(-1),
    )
    return out


def as_coordinates(name: str, values: ArrayLike) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Checked coordinates as the kernels take them: uint8 or float32, contiguous and, for numba's types, writeable."""
    array = np.asarray(values)
    if array.ndim != 1 or not (array.dtype == np.uint8 or np.issubdtype(array.dtype, np.floating)):
        raise UsageError(f"{name} must be (P,) uint8 or float, not {array.dtype} {array.shape}")
    if array.dtype == np.uint8:
        return np.require(array, np.uint8, ["C", "W"])
    with np.errstate(invalid="ignore"):  # NaN is refused here, not warned of
        if len(array) and not (float(array.min()) >= -COORDINATE_LIMIT and float(array.max()) <= COORDINATE_LIMIT):
            raise UsageError(f"{name} must be finite and within +-{COORDINATE_LIMIT:.0f}")
    return np.require(array, np.float32, ["C", "W"])


def as_ends(name: str, values: ArrayLike, limit: int) -> Int64Array:
    """Checked ends as the kernels take them: int64, contiguous and, for numba's types, writeable."""
    array = np.asarray(values)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(f"{name} must be one axis of integers, not {array.dtype} {array.shape}")
    ends = np.require(array, np.int64, ["C", "W"])
    if len(ends) and (ends[0] < 0 or np.any(ends[1:] < ends[:-1]) or ends[-1] > limit):
        raise UsageError(f"{name} must rise from 0 to at most {limit}, not from {ends[0]} to {ends[-1]}")
    return ends
