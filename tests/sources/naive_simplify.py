"""The slow and obvious way from a raw drawing's JSON to Google's simplified points: the oracle of the raw kernels.

A `Recipe` holds the choices that Google's description leaves open; its defaults are what gives Google's points.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Strokes = Sequence[tuple[ArrayLike, ArrayLike]]


def scale(values: Floats, low: float, size: float) -> Floats:
    return (values - low) * 255.0 / size


def between(start: float, end: float, part: float) -> float:
    return (1 - part) * start + part * end


def fused_length(dx: float, dy: float) -> float:
    """dx * dx is not rounded before dy * dy is added to it."""
    return math.sqrt(Fraction(dx) ** 2 + Fraction(dy * dy))


@dataclass(frozen=True)
class Recipe:
    scale: Callable[[Floats, float, float], Floats] = scale
    between: Callable[[float, float, float], float] = between
    length: Callable[[float, float], float] = fused_length
    round: Callable[[float], float] = round  # half to even
    to_segment: bool = False


GOOGLES = Recipe()


def simplify(strokes: Strokes, recipe: Recipe = GOOGLES) -> list[list[list[int]]]:
    raw = [np.array(stroke, np.float64) for stroke in strokes]
    low, high = (np.array([values.min(1) if k == 0 else values.max(1) for values in raw]) for k in (0, 1))
    low, high = low.min(0), high.max(0)
    size = float((high - low).max())
    simplified = []
    for points in raw:
        x, y = (recipe.scale(points[axis], low[axis], size) if size else points[axis] * 0 for axis in (0, 1))
        samples = resample(x.tolist(), y.tolist(), recipe)
        kept = keep(np.array(samples), 0, len(samples) - 1, recipe)
        simplified.append([[int(recipe.round(samples[k][axis])) for k in kept] for axis in (0, 1)])
    return simplified


def resample(x: list[float], y: list[float], recipe: Recipe = GOOGLES) -> list[tuple[float, float]]:
    """A point at each whole pixel of the line's length, and the last."""
    reached = 0.0
    samples = [(x[0], y[0])]
    for k in range(len(x) - 1):
        length = math.sqrt((x[k + 1] - x[k]) * (x[k + 1] - x[k]) + (y[k + 1] - y[k]) * (y[k + 1] - y[k]))
        while len(samples) < reached + length:
            part = (len(samples) - reached) / length
            samples.append((recipe.between(x[k], x[k + 1], part), recipe.between(y[k], y[k + 1], part)))
        reached += length
    return [*samples, (x[-1], y[-1])]


def keep(samples: Floats, first: int, last: int, recipe: Recipe = GOOGLES) -> list[int]:
    """Ramer-Douglas-Peucker with epsilon 2: the samples that stay, both ends included."""
    if last - first < 2:
        return [first, last]
    dx, dy = (samples[last] - samples[first]).tolist()
    ex, ey = (samples[first] - samples[first + 1 : last]).T
    length = recipe.length(dx, dy)
    if length == 0:
        distance = np.array([recipe.length(*pair) for pair in zip(ex.tolist(), ey.tolist(), strict=True)])
    else:
        distance = np.abs(dx * ey - dy * ex) / length
    if recipe.to_segment and length > 0:
        along = np.clip(-(ex * dx + ey * dy) / (length * length), 0, 1)
        distance = np.hypot(ex + along * dx, ey + along * dy)
    middle = first + 1 + int(distance.argmax())
    if distance.max() <= 2:
        return [first, last]
    return keep(samples, first, middle, recipe)[:-1] + keep(samples, middle, last, recipe)


def parse(text: bytes) -> list[tuple[list[float], list[float]]]:
    """The strokes of a raw drawing's JSON; ValueError where it is none."""
    drawing = json.loads(text, parse_int=float, parse_float=float, parse_constant=refuse)
    if not isinstance(drawing, list) or not drawing:
        raise ValueError("no list of strokes")
    for stroke in drawing:
        if not isinstance(stroke, list) or len(stroke) != 3:
            raise ValueError("not three lists")
        if not all(isinstance(values, list) and len(values) == len(stroke[0]) > 0 for values in stroke):
            raise ValueError("not three lists of one length")
        for value in (value for values in stroke for value in values):
            if type(value) is not float or not math.isfinite(value):
                raise ValueError("not a finite number")
    return [(x, y) for x, y, _ in drawing]


def is_raw(text: bytes) -> bool:
    try:
        return parse(text) != []
    except ValueError:
        return False


def refuse(name: str) -> Any:
    """NaN and Infinity, which json reads and JSON has not."""
    raise ValueError(name)
