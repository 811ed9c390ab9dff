"""Traces the lines of a picture to strokes."""

from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Float64Array, UInt8Array
from pipeline.errors import InputError
from pipeline.tracing.ink import find_ink, line_radius
from pipeline.tracing.junctions import join_pieces
from pipeline.tracing.skeleton import cut_pieces
from pipeline.tracing.strokes import in_order, length_of
from pipeline.tracing.thinning import thin

MOST_PIECES = 20_000  # of thinned lines: a photograph of a wood has more, no drawing has
DOT = 0.5  # widths of the line: a stroke that is not longer is a dot


@dataclass(frozen=True)
class Traced:
    """The lines of a picture.

    Attributes:
        strokes: each (K, 2) float64, x and y in pixels of the picture.
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
    thinned = thin(ink)
    radius = line_radius(ink)
    pieces = cut_pieces(thinned)
    if len(pieces) > MOST_PIECES:
        raise InputError(
            f"{name}: {len(pieces):,} pieces of lines were found in the picture; expected a drawing of lines on paper "
            "and nothing else: cut out the drawing"
        )
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    box = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    width = 2 * float(np.median(radius[thinned]))
    strokes = [_dotted(stroke, DOT * width) for stroke in join_pieces(pieces, radius)]
    return Traced(in_order(strokes), width / float(box))


def _dotted(stroke: Float64Array, longest: float) -> Float64Array:
    """The stroke, or one point in its middle if it is no longer than `longest`."""
    return stroke if length_of(stroke) > longest else stroke.mean(axis=0, keepdims=True)
