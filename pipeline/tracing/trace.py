"""Traces the lines of a picture to strokes."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.arrays import Float64Array, UInt8Array
from pipeline.errors import InputError
from pipeline.tracing.ink import find_ink, line_radius
from pipeline.tracing.junctions import join_pieces
from pipeline.tracing.order import length_of
from pipeline.tracing.skeleton import cut_pieces
from pipeline.tracing.thinning import BoolArray, thin

MOST_PIECES = 10_000  # of thinned lines: a photograph of a wood has more, no drawing has
CORE = 1.7  # radii of the line: ink that is farther from paper is no single line; where two cross squarely it is 1.4
LEAST_CORE = 0.5  # of the square of the radius: the area of ink that is hollowed out
LEAST_RADIUS = 3.0  # pixels: the radii of thinner lines are too uneven to tell, and little is hidden by them
DOT = 0.5  # widths of the line: a stroke that is not longer is a dot


@dataclass(frozen=True)
class Traced:
    """The lines of a picture.

    Attributes:
        strokes: each (K, 2) float64, x and y in pixels of the picture; in no order.
        line_width: the width of its typical line, as a share of the longer side of the box around the ink.
    """

    strokes: list[Float64Array]
    line_width: float


def trace(picture: UInt8Array, name: str) -> Traced:
    """Trace a picture, (H, W, C) uint8; `name` is what messages call it.

    Raises:
        InputError: there is no line in it, or there are too many.
    """
    ink = find_ink(picture)
    if not ink.any():
        raise InputError(
            f"{name}: no line was found in the picture; expected dark lines on light paper, or light ones on dark"
        )
    radius, thinned = line_radius(ink), thin(ink)
    typical = float(np.median(radius[thinned]))
    lines = _without_cores(ink, radius, typical)
    if lines is not ink:
        radius, thinned = line_radius(lines), thin(lines)
    pieces = cut_pieces(thinned, MOST_PIECES)
    if len(pieces) > MOST_PIECES:
        raise InputError(
            f"{name}: more than {MOST_PIECES:,} pieces of lines were found in the picture; expected a drawing of lines "
            "on paper and nothing else: cut out the drawing"
        )
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    box = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    strokes = [_dotted(stroke, DOT * 2 * typical) for stroke in join_pieces(pieces, radius)]
    return Traced(strokes, 2 * typical / float(box))


def _without_cores(ink: BoolArray, radius: Float64Array, typical: float) -> BoolArray:
    """The ink without what lies too deep in it for a line of a `typical` radius, (H, W) bool; `ink` if there is none.

    Small loops that the pen filled, sharp angles and lines side by side get the strokes of their outlines so.
    """
    if typical < LEAST_RADIUS:
        return ink
    parts, count = ndimage.label(radius > CORE * typical)
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    is_core = areas >= LEAST_CORE * typical**2
    is_core[0] = False
    return ink & ~is_core[parts] if is_core.any() else ink


def _dotted(stroke: Float64Array, longest: float) -> Float64Array:
    """The stroke, or one point in its middle if it is no longer than `longest`."""
    return stroke if length_of(stroke) > longest else stroke.mean(axis=0, keepdims=True)
