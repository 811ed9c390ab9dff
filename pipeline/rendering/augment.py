"""Augments strokes before they are rendered: every drawing is slightly different in every epoch.

Each drawing's changes are a function of (seed, epoch, row) and do not depend on the batch, the threads or the
processes. They are applied in this order: the drawing is cut after a share of its points; strokes are dropped, and
later strokes take the colours and positions that they would have had without the dropped ones; the rest is aligned as
Google aligned the whole drawing, which is how an unfinished drawing would be seen; it is mirrored, scaled, sheared and
rotated about the middle of its own box, and shifted; its points are jittered. The renderer applies the line width.
"""

import difflib
import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from pipeline.arrays import Float32Array, Int64Array, UInt8Array
from pipeline.drawings import Drawings
from pipeline.errors import UsageError
from pipeline.hashing import salted
from pipeline.rendering.augment_kernels import CANVAS, Amounts, augment_drawings, centre_drawings
from pipeline.rendering.raster import as_ends

OFF = "off"  # as a text: no augmentation; "none" means the same
_LIMITS = {
    "rotation": (0, 180),
    "shear": (0, 2),
    "scale": (0.1, 4),
    "stretch": (0, 1),
    "shift": (0, 256),
    "mirror": (0, 1),
    "prefix": (0, 1),
    "shortest": (0, 1),
    "dropout": (0, 1),
    "jitter": (0, 64),
    "line_width": (0.1, 10),
}
"""The least and the greatest value of each amount; within them every point stays within the renderer's limit."""
_RANGES = ("scale", "line_width")


@dataclass(frozen=True)
class Augmentation:
    """How much drawings are changed.

    A change is uniform between minus and plus its amount; `scale` and `line_width` are uniform in their logarithm.
    `str` gives a text that `parse` reads back.

    Attributes:
        rotation: degrees.
        shear: pixels of x for each pixel of y.
        scale: the smallest and the largest factor of the size.
        stretch: logarithm of the factor by which x grows and y shrinks.
        shift: canvas pixels, of which an image has 256, on each axis.
        mirror: share of drawings that are mirrored left to right.
        prefix: share of drawings that are cut before their end.
        shortest: the smallest share of its points that a cut drawing keeps; it keeps at least one point.
        dropout: share of strokes that are dropped; each drawing keeps at least one stroke with points.
        jitter: canvas pixels, for each point and axis.
        line_width: the smallest and the largest factor of the line width.

    Raises:
        UsageError: an amount is not a number, is out of range, or is not a pair where a smallest and a largest value
            are needed.

    >>> Augmentation.parse("rotation=5,prefix=0.3").rotation
    5.0
    """

    rotation: float = 15.0
    shear: float = 0.2
    scale: tuple[float, float] = (0.75, 1.1)
    stretch: float = 0.15
    shift: float = 12.0
    mirror: float = 0.5
    prefix: float = 0.0
    shortest: float = 0.2
    dropout: float = 0.0
    jitter: float = 0.0
    line_width: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for name in _LIMITS:
            value = getattr(self, name)
            # JSON turns a tuple into a list, and a user may write 1 for 1.0.
            object.__setattr__(self, name, _as_range(name, value) if name in _RANGES else _as_amount(name, value))

    def __str__(self) -> str:
        return ",".join(f"{name}={_text_of(getattr(self, name))}" for name in _LIMITS)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The defaults with the changes in `text`, written "name=value,name=value"; None for "off" or "none".

        A smallest and a largest value are written "0.75..1.1"; a single number is used for both.

        Raises:
            UsageError: a name is unknown or appears twice, or a value does not fit its name.
        """
        if text.strip().casefold() in (OFF, "none"):
            return None
        changes: dict[str, float | tuple[float, float]] = {}
        for part in text.split(","):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not (name and equals and value):
                raise UsageError(f"augmentation must be name=value,name=value or off, not {text!r}")
            if name not in _LIMITS:
                nearest = difflib.get_close_matches(name, _LIMITS, n=1, cutoff=0.0)[0]
                known = ", ".join(_LIMITS)
                raise UsageError(
                    f"no augmentation is called {name!r}: did you mean {nearest!r}? Expected one of {known}"
                )
            if name in changes:
                raise UsageError(f"augmentation names {name} twice: {text!r}")
            changes[name] = _value_of(name, value)
        return cls(**changes)  # type: ignore[arg-type] # the dict's type does not say which name has which kind of value


def canonical(text: str) -> str:
    """The augmentation in `text` with every amount written out, or `OFF`; runs store this form.

    Raises:
        UsageError: as `Augmentation.parse`.
    """
    return str(Augmentation.parse(text) or OFF)


class Augmented(NamedTuple):
    """N drawings after augmentation.

    Attributes:
        x: (P,) float32, canvas pixels, possibly outside 0-255.
        y: (P,) float32, the same.
        stroke_end: (S,) int64, ends of the strokes in `x` and `y`.
        drawing_end: (N,) int64, ends of the drawings in `stroke_end`.
        line_width: (N,) float32, factors of the line width.
    """

    x: Float32Array
    y: Float32Array
    stroke_end: Int64Array
    drawing_end: Int64Array
    line_width: Float32Array


def augment(
    drawings: Drawings,
    rows: Int64Array,
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    margin: float | None = None,
) -> Augmented:
    """Augment N drawings.

    Args:
        drawings: N drawings.
        rows: (N,) integers, their rows in the split.
        augmentation: how much they are changed.
        seed: the loader's seed.
        epoch: counted from 0.
        margin: canvas pixels around each drawing, which is then centred as by `centre`; None keeps the stored place.

    Raises:
        UsageError: `rows` has not one entry for each drawing or a negative one, or the ends or `margin` are invalid.
    """
    stored_x, stored_y, stroke_end, drawing_end = _checked(drawings)
    rows = _as_rows(rows, len(drawing_end))
    room = _room_in(0.0 if margin is None else margin)
    x, y, runs = _outputs(stroke_end)
    line_width = np.empty(len(drawing_end), np.float32)
    left, ends = stroke_end, drawing_end
    if augmentation.prefix > 0 or augmentation.dropout > 0:
        left, ends = np.empty_like(stroke_end), np.empty_like(drawing_end)
    with np.errstate(over="ignore"):  # without JIT numpy would warn of overflows, which these products rely on
        augment_drawings(
            stored_x, stored_y, stroke_end, drawing_end, rows, salted("sketchpipe augment", seed, epoch),
            _amounts_of(augmentation), margin is not None, room, runs, x, y, left, ends, line_width,
        )  # fmt: skip
    left = left[: ends[-1] if len(ends) else 0]
    points = left[-1] if len(left) else 0
    return Augmented(x[:points], y[:points], left, ends, line_width)


def centre(drawings: Drawings, margin: float) -> tuple[Float32Array, Float32Array]:
    """The points of N drawings, each centred on the canvas and scaled so that its larger side reaches the margin.

    Drawings are enlarged at most 8 times: their points are whole numbers, and a drawing of a few pixels that is
    enlarged more would show mostly their rounding. A drawing of a single place is only moved.

    Args:
        drawings: N drawings.
        margin: canvas pixels, of which an image has 256, left free at both ends of the larger side; 0 to below 128.

    Returns:
        x, y: (P,) float32, canvas pixels.

    Raises:
        UsageError: the ends or `margin` are invalid.
    """
    stored_x, stored_y, stroke_end, drawing_end = _checked(drawings)
    room = _room_in(margin)
    x, y, runs = _outputs(stroke_end)
    centre_drawings(stored_x, stored_y, stroke_end, drawing_end, room, runs, x, y)
    return x, y


def _as_amount(name: str, value: object) -> float:
    low, high = _LIMITS[name]
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise UsageError(f"augmentation {name} must be a number from {low} to {high}, not {value!r}")
    return float(value)


def _as_range(name: str, value: object) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise UsageError(f"augmentation {name} must be a smallest and a largest value, not {value!r}")
    smallest, largest = (_as_amount(name, end) for end in value)
    if smallest > largest:
        raise UsageError(f"augmentation {name} must have its smallest value first, not {_text_of((smallest, largest))}")
    return smallest, largest


def _value_of(name: str, text: str) -> float | tuple[float, float]:
    """The value that the user wrote as `text`."""
    smallest, dots, largest = text.partition("..")
    try:
        if name not in _RANGES:
            return float(text)
        return float(smallest), float(largest if dots else smallest)
    except ValueError as error:
        form = "0.75..1.1" if name in _RANGES else "0.5"
        raise UsageError(f"augmentation {name} must be a number like {form}, not {text!r}") from error


def _text_of(value: float | tuple[float, float]) -> str:
    if isinstance(value, tuple):
        return "..".join(map(_text_of, value))
    return repr(value).removesuffix(".0")


def _checked(drawings: Drawings) -> tuple[UInt8Array, UInt8Array, Int64Array, Int64Array]:
    """Points and ends as the kernels take them, writeable because numba types depend on it.

    Strokes that belong to no drawing are left out.
    """
    x, y = np.asarray(drawings.x), np.asarray(drawings.y)
    if x.dtype != np.uint8 or y.dtype != np.uint8 or x.ndim != 1 or x.shape != y.shape:
        raise UsageError(
            f"x and y must be (P,) uint8 of the same length, not {x.dtype} {x.shape} and {y.dtype} {y.shape}"
        )
    stroke_end = as_ends("stroke_end", drawings.stroke_end, len(x))
    drawing_end = as_ends("drawing_end", drawings.drawing_end, len(stroke_end))
    stroke_end = stroke_end[: drawing_end[-1] if len(drawing_end) else 0]
    return np.require(x, np.uint8, ["C", "W"]), np.require(y, np.uint8, ["C", "W"]), stroke_end, drawing_end


def _as_rows(rows: ArrayLike, count: int) -> Int64Array:
    array = np.asarray(rows)
    if array.shape != (count,) or not (np.issubdtype(array.dtype, np.integer) or count == 0):
        raise UsageError(f"rows must be ({count},) integers, one a drawing, not {array.dtype} {array.shape}")
    if count and array.min() < 0:
        raise UsageError(f"rows must be 0 or more, not {array.min()}")
    return np.require(array, np.int64, ["C", "W"])


def _room_in(margin: float) -> float:
    if not 0 <= margin < CANVAS / 2:
        raise UsageError(f"margin must be 0 to below {CANVAS / 2:.0f} canvas pixels, not {margin}")
    return CANVAS - 2 * margin


def _outputs(stroke_end: Int64Array) -> tuple[Float32Array, Float32Array, Int64Array]:
    """Arrays for the points, and scratch for as many ranges as there can be."""
    points = int(stroke_end[-1]) if len(stroke_end) else 0
    return np.empty(points, np.float32), np.empty(points, np.float32), np.empty(2 * len(stroke_end) + 2, np.int64)


def _amounts_of(augmentation: Augmentation) -> Amounts:
    smallest, largest = (math.log(size) for size in augmentation.scale)
    thinnest, widest = (math.log(width) for width in augmentation.line_width)
    return Amounts(
        math.radians(augmentation.rotation), augmentation.shear, smallest, largest - smallest, augmentation.stretch,
        augmentation.shift, augmentation.mirror, augmentation.prefix, augmentation.shortest, augmentation.dropout,
        augmentation.jitter, thinnest, widest - thinnest,
    )  # fmt: skip
