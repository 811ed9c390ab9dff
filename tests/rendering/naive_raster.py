"""The renderer, slow and obvious: every stroke's outline sampled on a fine grid, then blended in floating point.

The outline is what Cairo's documentation calls a stroke: the rectangle of each segment (butt caps), the miter of each
joint while it is at most MITER_LIMIT times the line's width, and the bevel's triangle past that.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MITER_LIMIT = 10.0

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def render_drawing(
    strokes: Sequence[Sequence[Sequence[float]]],
    colours: NDArray[np.uint8],
    size: int,
    line_width: float,
    samples: int = 8,
) -> Floats:
    """One drawing, strokes as Google writes them, as (size, size, 3) float64, 0-255; `samples` a pixel and axis."""
    image = np.zeros((size, size, 3))
    for index, stroke in enumerate(strokes):
        points = np.array(stroke, np.float64).T.reshape(-1, 2) * size / 256
        inside = sample_stroke(points, size, line_width / 2, samples)
        coverage = inside.reshape(size, samples, size, samples).mean((1, 3))[:, :, None]
        image += coverage * (colours[index % len(colours)] - image)
    return image


def sample_stroke(points: Floats, size: int, half_width: float, samples: int) -> Bools:
    """Which samples of the image lie in a stroke, (size * samples, size * samples) bool."""
    centres = (np.arange(size * samples) + 0.5) / samples
    grid = np.stack(np.meshgrid(centres, centres), -1)
    inside = np.zeros(grid.shape[:2], np.bool_)
    if len(points) == 0:
        return inside
    points = points[np.r_[True, np.any(np.diff(points, axis=0) != 0, axis=1)]]
    if len(points) == 1:  # a dot is a square of the line's width
        return np.asarray(np.all(np.abs(grid - points[0]) <= half_width, axis=-1))
    steps = np.diff(points, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    directions = steps / lengths[:, None]
    for start, direction, length in zip(points, directions, lengths, strict=False):
        along, across = project(grid - start, direction)
        inside |= (along >= 0) & (along <= length) & (np.abs(across) <= half_width)
    for vertex, before, after in zip(points[1:], directions, directions[1:], strict=False):
        inside |= sample_joint(grid - vertex, before, after, half_width)
    return inside


def sample_joint(offset: Floats, before: Floats, after: Floats, half_width: float) -> Bools:
    """Which samples, given as offsets from the vertex, lie in the joint between two directions."""
    along_before, across_before = project(offset, before)
    along_after, across_after = project(offset, after)
    joint = (along_before >= 0) & (along_after <= 0)
    joint &= (np.abs(across_before) <= half_width) & (np.abs(across_after) <= half_width)
    sine = np.hypot(*(before + after)) / 2  # of half the angle between the two lines
    if sine * MITER_LIMIT < 1:
        outward = (before - after) / np.hypot(*(before - after))
        joint &= offset @ outward <= half_width * sine
    return np.asarray(joint)


def project(offset: Floats, direction: Floats) -> tuple[Floats, Floats]:
    """Coordinates along and across a direction."""
    return offset @ direction, offset @ np.array([-direction[1], direction[0]])
