"""Augmentation of strokes before they are drawn: every drawing a little other in every epoch.

Each drawing's transformation is a function of (seed, epoch, row), whatever the batch, the threads or the processes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.drawings import Drawings, Int64Array, UInt8Array
from pipeline.hashing import UInt64Array, mix64, salted
from pipeline.jit import kernel

Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """How far drawings are changed, about the middle of their own box.

    Amounts are drawn evenly between minus and plus, sizes evenly in their logarithm.

    Attributes:
        rotation: degrees.
        shear: pixels of x a pixel of y.
        scale: the smallest and the largest size.
        stretch: logarithm of the factor by which x grows and y shrinks.
        shift: canvas pixels of 256, each axis.
        mirror: share of drawings mirrored left to right.
    """

    rotation: float = 15.0
    shear: float = 0.2
    scale: tuple[float, float] = (0.75, 1.1)
    stretch: float = 0.15
    shift: float = 12.0
    mirror: float = 0.5


def augment(
    drawings: Drawings, rows: Int64Array, augmentation: Augmentation, *, seed: int, epoch: int
) -> tuple[Float32Array, Float32Array]:
    """The points of N drawings, transformed.

    Args:
        drawings: N drawings.
        rows: (N,) int64, their rows in the split.
        augmentation: how far.
        seed: of the loader.
        epoch: from 0.

    Returns:
        x, y: (P,) float32, canvas pixels, some beyond 0-255.
    """
    keys = mix64(rows.astype(np.uint64) ^ salted("sketchpipe augment", seed, epoch))
    matrix, shift = _transformations(keys, augmentation)
    x, y = np.empty(len(drawings.x), np.float32), np.empty(len(drawings.x), np.float32)
    _transform(drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end, matrix, shift, x, y)
    return x, y


def _uniform(keys: UInt64Array, stream: int) -> NDArray[np.float64]:
    """(N,) float64 in [0, 1), another for each stream."""
    return np.ldexp((mix64(keys + np.uint64(stream)) >> np.uint64(11)).astype(np.float64), -53)


def _transformations(keys: UInt64Array, augmentation: Augmentation) -> tuple[Float32Array, Float32Array]:
    """(N, 2, 2) float32 matrices rotation x shear x scale, and (N, 2) float32 shifts."""
    even = [2 * _uniform(keys, stream) - 1 for stream in range(5)]
    angle = np.deg2rad(augmentation.rotation * even[0])
    shear = augmentation.shear * even[1]
    stretch = np.exp(augmentation.stretch * even[2])
    low, high = np.log(augmentation.scale)
    scale = np.exp(low + (high - low) * _uniform(keys, 5))
    sx, sy = scale * stretch, scale / stretch
    sx = np.where(_uniform(keys, 6) < augmentation.mirror, -sx, sx)
    cos, sin = np.cos(angle), np.sin(angle)
    rows = [[cos * sx, (cos * shear - sin) * sy], [sin * sx, (sin * shear + cos) * sy]]
    matrix = np.array(rows).transpose(2, 0, 1).astype(np.float32)
    return np.ascontiguousarray(matrix), (augmentation.shift * np.stack(even[3:5], axis=1)).astype(np.float32)


@kernel
def _transform(
    x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, matrix: Float32Array,
    shift: Float32Array, out_x: Float32Array, out_y: Float32Array,
) -> None:  # fmt: skip
    """Fill `out_x` and `out_y` with each drawing's points, transformed about the middle of their box."""
    start = 0
    for drawing in range(len(drawing_end)):
        stop = stroke_end[drawing_end[drawing] - 1] if drawing_end[drawing] > 0 else 0
        if stop <= start:
            continue
        middle_x = (np.float32(x[start:stop].min()) + np.float32(x[start:stop].max())) / np.float32(2)
        middle_y = (np.float32(y[start:stop].min()) + np.float32(y[start:stop].max())) / np.float32(2)
        m = matrix[drawing]
        to_x, to_y = middle_x + shift[drawing, 0], middle_y + shift[drawing, 1]
        for p in range(start, stop):
            px, py = np.float32(x[p]) - middle_x, np.float32(y[p]) - middle_y
            out_x[p] = m[0, 0] * px + m[0, 1] * py + to_x
            out_y[p] = m[1, 0] * px + m[1, 1] * py + to_y
        start = stop
