"""Simplifies raw strokes, given as arrays or lists of numbers of any range, to Google's 0-255."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pipeline.arrays import Float64Array, UInt8Array
from pipeline.errors import UsageError
from pipeline.sources.limits import MAX_POINTS
from pipeline.sources.scanner.simplify import MAX_SAMPLES, TOO_LONG_PATH, simplify_strokes


def simplify(strokes: Sequence[tuple[ArrayLike, ArrayLike]]) -> list[tuple[UInt8Array, UInt8Array]]:
    """Simplify one drawing as Google did: align, scale to 255, resample at 1 pixel, Ramer-Douglas-Peucker, round.

    The recipe is that of https://github.com/googlecreativelab/quickdraw-dataset, and the points are those of Google's
    files. Not every drawing reaches 0 and 255, because corners that protrude by less than 2 pixels are cut off.

    >>> [(x.tolist(), y.tolist()) for x, y in simplify([([100, 110, 120], [-50, -50, -50]), ([110], [-45])])]
    [([0, 255], [0, 0]), ([128, 128], [64, 64])]

    Args:
        strokes: one or more strokes, each its x and y: (P,) finite numbers of any range and unit, P >= 1.

    Returns:
        The same number of strokes, each its x and y: (Q,) uint8, 0-255, Q >= 2; a dot is two equal points.

    Raises:
        UsageError: there are no strokes, a stroke has no points or is not two equally long lists of finite numbers, or
            the drawing's strokes are longer than `MAX_SAMPLES` pixels once it is scaled, or it has more than 65,535
            points once it is simplified.
    """
    pairs = [_coordinates(number, stroke) for number, stroke in enumerate(strokes, 1)]
    if not pairs:
        raise UsageError("the drawing has no strokes: give one or more")
    raw_x, raw_y = (np.concatenate([pair[axis] for pair in pairs]) for axis in (0, 1))
    stroke_end = np.cumsum([len(x) for x, _ in pairs], dtype=np.int64)
    x, y = np.empty(2 * len(raw_x), np.uint8), np.empty(2 * len(raw_x), np.uint8)
    sample_x, sample_y, ends = np.empty(MAX_SAMPLES), np.empty(MAX_SAMPLES), np.empty(MAX_SAMPLES, np.int64)
    points = simplify_strokes(
        raw_x, raw_y, sample_x, sample_y, ends, stroke_end, len(pairs), x, y, 0, MAX_POINTS
    )  # fmt: skip
    if points == TOO_LONG_PATH:
        raise UsageError(
            f"the drawing's strokes are longer than {MAX_SAMPLES} pixels once it is scaled to 255: draw less"
        )
    if points < 0:
        raise UsageError(f"the simplified drawing has more than {MAX_POINTS} points: draw less")
    cuts = stroke_end[:-1]
    return list(zip(np.split(x[:points], cuts), np.split(y[:points], cuts), strict=True))


def _coordinates(number: int, stroke: tuple[ArrayLike, ArrayLike]) -> tuple[Float64Array, Float64Array]:
    """The x and y of stroke `number`, counted from 1, as float64."""
    try:
        x, y = (np.asarray(values, np.float64) for values in stroke)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"stroke {number} is not two lists of numbers, its x and its y ({error})") from error
    if x.ndim != 1 or x.shape != y.shape:
        raise UsageError(f"stroke {number} has x of shape {x.shape} and y of shape {y.shape}: expected two equal lists")
    if len(x) == 0:
        raise UsageError(f"stroke {number} has no points: leave it out")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UsageError(f"stroke {number} has a coordinate that is not a finite number: leave it out")
    return x, y
