"""Renders drawings to antialiased images: `render_batch` checks its arguments and calls the kernels.

Strokes look as Cairo draws them, with butt caps and miter joins up to a limit of 10, with one difference: a stroke that
stays in one place is a visible dot.
"""

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.errors import UsageError
from pipeline.rendering.outline_kernels import BLOCK, FIELDS, POINT_ROWS
from pipeline.rendering.raster_kernels import render_drawings
from pipeline.rendering.simd import LANES

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


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the channels of an image show.

    Attributes:
        description: what the encoding shows, in a line.
        channels: of an image, 1 or 3.
        table: (K, 3) uint8; stroke s of a drawing has the colour s modulo K.
        by_segment: each segment has a colour of its own instead: ink, position in the drawing, direction.
    """

    description: str
    channels: int
    table: UInt8Array
    by_segment: bool = False

    def __post_init__(self) -> None:
        table = np.array(self.table)  # a writeable copy, because numba types depend on it
        if table.dtype != np.uint8 or table.ndim != 2 or table.shape[1] != 3 or len(table) == 0:
            raise UsageError(f"table must be (K, 3) uint8 with K > 0, not {table.dtype} {table.shape}")
        if isinstance(self.channels, bool) or self.channels not in (1, 3):
            raise UsageError(f"channels must be 1 or 3, not {self.channels}")
        object.__setattr__(self, "table", table)


ENCODINGS = {
    "palette": Encoding("each stroke in the next of ten colours", 3, PALETTE),
    "order": Encoding("red is ink, green the place in the drawing, blue the direction of the line", 3, PALETTE, True),
    "gray": Encoding("white strokes, one channel", 1, PALETTE[:1]),
}

LINE_WIDTH = 5 / 256  # of the image's size
SIZE_LIMIT = 4096  # pixels
COORDINATE_LIMIT = 65536.0  # 256 canvases: in a 512-pixel image float32 is still exact to 1/50 of a pixel there


def render_batch(
    x: NDArray[np.uint8] | NDArray[np.floating],
    y: NDArray[np.uint8] | NDArray[np.floating],
    stroke_end: NDArray[np.integer],
    drawing_end: NDArray[np.integer],
    *,
    size: int = 64,
    line_width: float | NDArray[np.floating] | None = None,
    encoding: str | Encoding = "palette",
    out: UInt8Array | None = None,
) -> UInt8Array:
    """Render N drawings, antialiased, later strokes over earlier ones.

    Safe to call from several threads at once: each call allocates its own scratch memory, whose size depends on `size`
    and the largest drawing.

    Args:
        x: (P,) uint8 or float, from left to right; 0 and 256 are the image's borders. Anything outside is clipped.
        y: (P,) of the dtype of `x`, from top to bottom.
        stroke_end: (S,) integer, the end of each stroke in `x` and `y`.
        drawing_end: (N,) integer, the end of each drawing in `stroke_end`.
        size: height and width of the images in pixels, 1-4096.
        line_width: in pixels of the image, one for all drawings or (N,); None means 5/256 of `size`.
        encoding: what the C channels show: a name in `ENCODINGS`, or an `Encoding` of your own.
        out: (N, size, size, C) uint8, C-contiguous, to fill and return; None allocates it.

    Returns:
        (N, size, size, C) uint8 on black.

    Raises:
        UsageError: an array has the wrong shape or dtype, ends decrease or exceed what they index, a coordinate is not
            within +-65536 (NaN and infinity are not), or `size`, `line_width`, `encoding` or `out` is invalid.

    >>> int(render_batch(np.uint8([0, 255]), np.uint8([130, 130]), np.array([2]), np.array([1])).max())
    255
    """
    x, y = _as_coordinates("x", x), _as_coordinates("y", y)
    if x.dtype != y.dtype or x.shape != y.shape:
        raise UsageError(f"x and y must have the same dtype and shape, not {x.dtype} {x.shape} and {y.dtype} {y.shape}")
    stroke_end = as_ends("stroke_end", stroke_end, len(x))
    drawing_end = as_ends("drawing_end", drawing_end, len(stroke_end))
    size = _as_size(size)
    widths = _as_widths(line_width, size, len(drawing_end))
    colours = encoding if isinstance(encoding, Encoding) else encoding_of(encoding)
    shape = (len(drawing_end), size, size, colours.channels)
    if out is None:
        out = np.empty(shape, np.uint8)
    given = np.asarray(out)
    fits = given is out and out.dtype == np.uint8 and out.shape == shape
    if not (fits and out.flags.c_contiguous and out.flags.writeable):
        raise UsageError(f"out must be C-contiguous writeable uint8 {shape}, not {given.dtype} {given.shape}")
    if len(drawing_end) == 0:
        return out

    first_stroke = np.append(0, drawing_end)
    first_point = np.append(0, stroke_end)[first_stroke]
    strokes = int(np.diff(first_stroke).max())
    blocks = -(-(int(np.diff(first_point).max()) + strokes) // BLOCK)  # a dot of one point becomes two points
    points = np.zeros((POINT_ROWS, blocks * BLOCK + 1), np.float32)
    inks, segments = np.empty((3, blocks * BLOCK + 1), np.uint8), np.empty(blocks * BLOCK * FIELDS, np.float32)
    planes = np.empty(3 * (size * (size + LANES) + LANES), np.uint8)
    render_drawings(
        x, y, stroke_end, drawing_end, widths, np.float32(size / 256), colours.table, colours.by_segment,
        points, inks, segments, planes, size, colours.channels, out.reshape(-1),
    )  # fmt: skip
    return out


def encoding_of(name: str) -> Encoding:
    """The entry of `ENCODINGS` called `name`.

    Raises:
        UsageError: there is none; the message names all encodings.
    """
    if not isinstance(name, str) or name not in ENCODINGS:
        raise UsageError(f'encoding "{name}": expected one of {", ".join(ENCODINGS)}')
    return ENCODINGS[name]


def _as_size(size: int) -> int:
    """A checked size as a Python integer: a small NumPy integer would overflow when the scratch size is computed."""
    try:
        number = -1 if isinstance(size, bool | np.bool) else operator.index(size)
    except TypeError:
        number = -1
    if not 1 <= number <= SIZE_LIMIT:
        raise UsageError(f"size must be an integer of 1-{SIZE_LIMIT} pixels, not {size!r}")
    return number


def _as_widths(line_width: float | NDArray[np.floating] | None, size: int, count: int) -> NDArray[np.float32]:
    """Checked line widths in pixels, (count,) float32."""
    widths = np.asarray(size * LINE_WIDTH if line_width is None else line_width)
    if widths.shape not in ((), (count,)) or widths.dtype.kind not in "fiu":
        raise UsageError(f"line_width must be a number or ({count},), not {widths.dtype} {widths.shape}")
    if widths.size and not (widths.min() > 0 and widths.max() <= SIZE_LIMIT):
        raise UsageError(f"line_width must be above 0 and at most {SIZE_LIMIT} pixels, not {line_width}")
    return np.array(np.broadcast_to(widths, count), np.float32)


def _as_coordinates(name: str, values: ArrayLike) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Checked coordinates as the kernels take them: uint8 or float32, contiguous, and writeable as numba types need."""
    array = np.asarray(values)
    if array.ndim != 1 or not (array.dtype == np.uint8 or np.issubdtype(array.dtype, np.floating)):
        raise UsageError(f"{name} must be (P,) uint8 or float, not {array.dtype} {array.shape}")
    if array.dtype == np.uint8:
        return np.require(array, np.uint8, ["C", "W"])
    with np.errstate(invalid="ignore"):  # NaN is refused below and needs no warning
        if len(array) and not (float(array.min()) >= -COORDINATE_LIMIT and float(array.max()) <= COORDINATE_LIMIT):
            raise UsageError(f"{name} must be finite and within +-{COORDINATE_LIMIT:.0f}")
    return np.require(array, np.float32, ["C", "W"])


def as_ends(name: str, values: ArrayLike, limit: int) -> Int64Array:
    """Checked ends as the kernels take them: int64, contiguous, and writeable as numba types need."""
    array = np.asarray(values)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(f"{name} must be one axis of integers, not {array.dtype} {array.shape}")
    ends = np.require(array, np.int64, ["C", "W"])
    if len(ends) and (ends[0] < 0 or np.any(ends[1:] < ends[:-1]) or ends[-1] > limit):
        raise UsageError(f"{name} must rise from 0 to at most {limit}, not from {ends[0]} to {ends[-1]}")
    return ends
