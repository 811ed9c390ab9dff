"""Guesses the order and the direction of traced strokes: nothing in a picture shows them."""

import numpy as np

from pipeline.arrays import Float64Array


def in_order(strokes: list[Float64Array]) -> list[Float64Array]:
    """The strokes, each (K, 2) float64, as somebody may have drawn them.

    The longest comes first, and each goes to the right and down.
    """
    return sorted(map(_directed, strokes), key=lambda stroke: -length_of(stroke))


def length_of(stroke: Float64Array) -> float:
    """The length of a stroke, pixels."""
    return float(np.hypot(*np.diff(stroke, axis=0).T).sum()) if len(stroke) > 1 else 0.0


def _directed(stroke: Float64Array) -> Float64Array:
    return stroke[::-1] if (stroke[-1] - stroke[0]).sum() < 0 else stroke
