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
PointArray = NDArray[np.float32] | UInt8Array  # what the renderer takes


@dataclass(frozen=True)
class Augmentation:
    """How far drawings are changed; each amount is drawn evenly between its negative and itself.

    Attributes:
        rotation: degrees about the middle of the canvas.
        scale: share of the size, each axis for itself.
        shear: pixels of x a pixel of y.
        shift: canvas pixels of 256, each axis.
        mirror: share of drawings mirrored left to right.
        stroke_dropout: share of strokes left out, the first of each drawing never.
    """

    rotation: float = 15.0
    scale: float = 0.15
    shear: float = 0.15
    shift: float = 14.0
    mirror: float = 0.5
    stroke_dropout: float = 0.0


def augment(
    drawings: Drawings, rows: Int64Array, augmentation: Augmentation, *, seed: int, epoch: int
) -> tuple[PointArray, PointArray, Int64Array, Int64Array]:
    """The strokes of N drawings, transformed.

    Args:
        drawings: N drawings.
        rows: (N,) int64, their rows in the split.
        augmentation: how far.
        seed: of the loader.
        epoch: from 0.

    Returns:
        x, y: (P,) float32, canvas pixels, some beyond 0-255; stroke_end, drawing_end as in `Drawings`.
    """
    keys = mix64(rows.astype(np.uint64) ^ salted("sketchpipe augment", seed, epoch))
    kept_strokes = _kept_strokes(drawings, keys, augmentation.stroke_dropout)
    matrix = _matrices(keys, augmentation)
    points, strokes = _kept_sizes(drawings.stroke_end, kept_strokes)
    x, y = np.empty(points, np.float32), np.empty(points, np.float32)
    stroke_end, drawing_end = np.empty(strokes, np.int64), np.empty(len(drawings), np.int64)
    _transform(
        drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end, kept_strokes, matrix, x, y, stroke_end,
        drawing_end,
    )  # fmt: skip
    return x, y, stroke_end, drawing_end


def _uniform(keys: UInt64Array, stream: int) -> NDArray[np.float64]:
    """(N,) float64 in [0, 1), another for each stream."""
    return np.ldexp((mix64(keys + np.uint64(stream)) >> np.uint64(11)).astype(np.float64), -53)


def _kept_strokes(drawings: Drawings, keys: UInt64Array, dropout: float) -> NDArray[np.bool_]:
    strokes = np.diff(drawings.drawing_end, prepend=0)
    if dropout == 0:
        return np.ones(len(drawings.stroke_end), np.bool_)
    first = np.repeat(drawings.drawing_end - strokes, strokes)
    number = np.arange(len(drawings.stroke_end)) - first
    stroke_keys = np.repeat(mix64(keys + np.uint64(1000)), strokes) + number.astype(np.uint64)
    kept: NDArray[np.bool_] = (number == 0) | (_uniform(stroke_keys, 0) >= dropout)
    return kept


def _matrices(keys: UInt64Array, augmentation: Augmentation) -> Float32Array:
    """(N, 6) float32: x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5."""
    even = [2 * _uniform(keys, stream) - 1 for stream in range(6)]
    angle = np.deg2rad(augmentation.rotation * even[0])
    sx, sy = 1 + augmentation.scale * even[1], 1 + augmentation.scale * even[2]
    shear = augmentation.shear * even[3]
    sx = np.where(_uniform(keys, 6) < augmentation.mirror, -sx, sx)
    cos, sin = np.cos(angle), np.sin(angle)
    m = np.stack([cos * sx, cos * shear - sin * sy, sin * sx, sin * shear + cos * sy], axis=1)
    centre = 127.5
    tx = centre - (m[:, 0] + m[:, 1]) * centre + augmentation.shift * even[4]
    ty = centre - (m[:, 2] + m[:, 3]) * centre + augmentation.shift * even[5]
    return np.stack([m[:, 0], m[:, 1], tx, m[:, 2], m[:, 3], ty], axis=1).astype(np.float32)


@kernel
def _kept_sizes(stroke_end: Int64Array, kept: NDArray[np.bool_]) -> tuple[int, int]:
    points = 0
    strokes = 0
    start = 0
    for stroke in range(len(stroke_end)):
        if kept[stroke]:
            points += stroke_end[stroke] - start
            strokes += 1
        start = stroke_end[stroke]
    return points, strokes


@kernel
def _transform(
    x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, kept: NDArray[np.bool_],
    matrix: Float32Array, out_x: Float32Array, out_y: Float32Array, out_stroke_end: Int64Array,
    out_drawing_end: Int64Array,
) -> None:  # fmt: skip
    """Fill the four outputs with the kept strokes, each drawing through its own row of `matrix`."""
    stroke = 0
    start = 0
    points = 0
    strokes = 0
    for drawing in range(len(drawing_end)):
        m0, m1, m2 = matrix[drawing, 0], matrix[drawing, 1], matrix[drawing, 2]
        m3, m4, m5 = matrix[drawing, 3], matrix[drawing, 4], matrix[drawing, 5]
        while stroke < drawing_end[drawing]:
            if kept[stroke]:
                for p in range(start, stroke_end[stroke]):
                    px, py = np.float32(x[p]), np.float32(y[p])
                    out_x[points] = m0 * px + m1 * py + m2
                    out_y[points] = m3 * px + m4 * py + m5
                    points += 1
                out_stroke_end[strokes] = points
                strokes += 1
            start = stroke_end[stroke]
            stroke += 1
        out_drawing_end[drawing] = strokes
