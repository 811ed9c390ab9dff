"""Random choices and curves for the sample's figures, with the same result on every machine.

A stroke is (2, P) float64, x from left to right and y from top to bottom, in coordinates of about -1 to 1; a figure is
a list of strokes. Only additions, multiplications and a rounded table of cosines are used, because `sin`, fused
multiply-adds and numpy's distributions may differ, in the last bit or altogether, between processors and versions.
"""

import functools
import itertools
import math
import random
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Stroke = NDArray[np.float64]
Figure = list[Stroke]
T = TypeVar("T")

SPACING = 0.07  # between two points of a stroke: nine pixels of 255
TABLE = 4096  # entries for a full turn
COSINE = np.array([round(math.cos(step / TABLE * math.tau), 9) for step in range(TABLE)])


class Dice:
    """Random choices from a seed, all made of `random.Random.random()`, whose values Python promises not to change."""

    def __init__(self, seed: str) -> None:
        self.roll = random.Random(seed).random

    def between(self, low: float, high: float) -> float:
        """A number from `low` to `high`, uniformly distributed."""
        return low + (high - low) * self.roll()

    def around(self, middle: float, spread: float) -> float:
        """A number near `middle`, bell-shaped with standard deviation `spread`, within three of them."""
        return middle + spread * (2 * (self.roll() + self.roll() + self.roll()) - 3)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.roll() < probability

    def count(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int((high - low + 1) * self.roll())

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(len(options) * self.roll())]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in a random order."""
        order = sorted((self.roll(), place) for place in range(len(items)))
        return [items[place] for _, place in order]


def cosine(turns: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The cosine of angles in turns, to 1/4096 of a turn."""
    cosines: NDArray[np.float64] = COSINE[(turns * TABLE).astype(np.int64) % TABLE]
    return cosines


def direction(turns: float) -> tuple[float, float]:
    """The unit vector at an angle in turns; 0 points right, a quarter turn points down."""
    step = int(turns * TABLE)
    return float(COSINE[step % TABLE]), float(COSINE[(step - TABLE // 4) % TABLE])


def dot(x: float, y: float) -> Stroke:
    """A dot: two equal points."""
    return np.array([[x, x], [y, y]])


def line(*corners: tuple[float, float]) -> Stroke:
    """A straight line from corner to corner."""
    pieces = []
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        steps = 1 + int(max(abs(x1 - x0), abs(y1 - y0)) / SPACING)
        part = np.arange(steps) / steps
        pieces.append(np.stack([x0 + (x1 - x0) * part, y0 + (y1 - y0) * part]))
    return np.concatenate([*pieces, np.array([[corners[-1][0]], [corners[-1][1]]])], axis=1)


def arc(x: float, y: float, width: float, height: float, start: float = 0.0, sweep: float = 1.0) -> Stroke:
    """An arc of an ellipse around (x, y) with these half axes; `start` and `sweep` are in turns, clockwise."""
    steps = max(6, int(abs(sweep) * 6 * max(width, height) / SPACING))
    turns = start + sweep / steps * np.arange(steps + 1)
    return np.stack([x + width * cosine(turns), y + height * cosine(turns - 0.25)])


def curve(*corners: tuple[float, float]) -> Stroke:
    """A smooth curve through the corners (Catmull-Rom), closed if the last corner equals the first."""
    inner = np.array(corners).T
    closed = corners[0] == corners[-1]
    before, after = (inner[:, -2:-1], inner[:, 1:2]) if closed else (inner[:, :1], inner[:, -1:])
    knots = np.concatenate([before, inner, after], axis=1)
    reach = float(np.abs(inner[:, 1:] - inner[:, :-1]).max())
    steps = 2 + int(reach / SPACING)
    t = np.arange(steps) / steps
    a, b, c, d = (knots[:, k : k + len(corners) - 1, None] for k in range(4))
    points = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([points.reshape(2, -1), inner[:, -1:]], axis=1)


def ring(dice: Dice, x: float, y: float, width: float, height: float) -> Stroke:
    """A round, slightly egg-shaped outline as drawn by hand: any start, either direction, with a gap or an overlap."""
    sweep = dice.around(1.0, 0.035) * dice.pick((-1, 1))
    stroke = arc(x, y, width, height, dice.around(0.75, 0.15), sweep)
    egg, drift = dice.around(0, 0.06), dice.around(0, 0.04)
    stroke[0] += (stroke[0] - x) * egg * (stroke[1] - y) / height
    part = np.arange(stroke.shape[1]) / stroke.shape[1]
    stroke += (stroke - np.array([[x], [y]])) * (drift * part)
    return stroke


def cloud(dice: Dice, x: float, y: float, width: float, height: float, bumps: int) -> Stroke:
    """A round outline of bumps, like a crown of leaves, or petals drawn in one stroke."""
    depth = dice.between(0.15, 0.4)
    start = dice.roll()
    corners = []
    for bump in range(bumps):
        middle = start + bump / bumps
        for place, radius in ((0.0, 1 - depth), (0.25, 1.0), (0.6, dice.around(1.05, 0.07))):
            across, down = direction(middle + (place + dice.around(0, 0.04)) / bumps)
            corners.append((x + width * radius * across, y + height * radius * down))
    return curve(*corners, corners[0])


def zigzag(dice: Dice, x: float, y: float, width: float, height: float, turns: int) -> Stroke:
    """A zigzag between left and right from top to bottom, as people shade an area."""
    corners = []
    for turn in range(turns):
        side = width if turn % 2 else -width
        corners.append((x + side * dice.between(0.5, 1), y + height * (2 * turn / turns - 1) + dice.around(0, 0.03)))
    return line(*corners)


def tremble(dice: Dice, stroke: Stroke, length: int, amplitude: float | NDArray[np.float64]) -> Stroke:
    """The stroke with smooth noise that changes about every `length` points; one amplitude, or one for each point."""
    points = stroke.shape[1]
    knots = 2 + points // length
    noise = np.array([dice.roll() for _ in range(2 * knots)]).reshape(2, knots) * 2 - 1
    knot, part = knots_between(points, knots)
    moved: Stroke = stroke + amplitude * (noise[:, knot] * (1 - part) + noise[:, knot + 1] * part)
    return moved


@functools.lru_cache(maxsize=4096)
def knots_between(points: int, knots: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For points spread evenly over knots: the knot before each, (P,), and the eased weight, 0-1, of the next, (P,)."""
    place = np.arange(points) * ((knots - 1) / points)
    knot = place.astype(np.int64)
    part = place - knot
    return knot, part * part * (3 - 2 * part)
