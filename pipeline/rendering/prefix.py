"""Cuts drawings after a given number of points, as augmentation's `prefix` does after a random share."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Float32Array, Int64Array
from pipeline.drawings import Drawings
from pipeline.rendering.augment_kernels import ENLARGE


def points_of(drawings: Drawings) -> Int64Array:
    """(N,) int64, the number of points of each drawing."""
    ends = np.append(0, drawings.stroke_end)[drawings.drawing_end]
    return np.diff(ends, prepend=0)


def leading(drawings: Drawings, points: Int64Array) -> Drawings:
    """The first `points` points of each drawing, (N,), from 1 to all of them; later strokes are removed."""
    of_each = points_of(drawings)
    begin = np.cumsum(of_each) - of_each
    place = np.arange(len(drawings.x)) - np.repeat(begin, of_each)
    stays = place < np.repeat(points, of_each)
    strokes = np.diff(drawings.drawing_end, prepend=0)
    drawing = np.repeat(np.arange(len(drawings)), strokes)
    within = drawings.stroke_end - begin[drawing]
    first = np.insert(within[:-1], 0, 0) if len(within) else within
    first[drawings.drawing_end[:-1]] = 0
    begun = first < points[drawing]
    begins = np.cumsum(points) - points
    return replace(
        drawings,
        x=drawings.x[stays],
        y=drawings.y[stays],
        stroke_end=(np.minimum(within, points[drawing]) + begins[drawing])[begun],
        drawing_end=np.cumsum(np.bincount(drawing[begun], minlength=len(drawings))),
    )


def aligned_as(part: Drawings, whole: Drawings) -> tuple[Float32Array, Float32Array]:
    """The points of cut drawings, moved and scaled to the corner and the size of the whole drawings.

    That is how Google would have aligned the unfinished drawing.

    Args:
        part: N drawings with points.
        whole: the drawings from which they were cut.

    Returns:
        x, y: (P,) float32, canvas pixels.
    """
    points = points_of(part)
    boxes = [_boxes(drawings) for drawings in (part, whole)]
    (low, high), (low_whole, high_whole) = boxes
    side = np.maximum((high - low).max(axis=1), 1)
    factor = np.minimum((high_whole - low_whole).max(axis=1) / side, ENLARGE)
    factor[points == points_of(whole)] = 1
    spread = [np.repeat(values, points, axis=0) for values in (low, low_whole, factor)]
    xy = np.stack([part.x, part.y], axis=1)
    placed = (spread[1] + spread[2][:, None] * (xy - spread[0])).astype(np.float32)
    return placed[:, 0].copy(), placed[:, 1].copy()


def _boxes(drawings: Drawings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest x and y, (N, 2) each, of drawings with points."""
    points = points_of(drawings)
    starts = np.cumsum(points) - points
    xy = np.stack([drawings.x, drawings.y], axis=1)
    low, high = (ends.reduceat(xy, starts, axis=0).astype(np.float64) for ends in (np.minimum, np.maximum))
    return low, high
