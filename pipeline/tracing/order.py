"""Guesses the order and the directions of traced strokes: nothing in a picture shows them.

A network that was trained on strokes sees both. One guess is plain, the longest stroke first; others are drawn at
random, as people draw: each next stroke is one of those that are left, in one of its two directions, and what is near
the pen, large, or to the left is more probable. That is a conditional logit (McFadden 1974); its weights were fitted to
4,000 of Google's drawings by `python benchmarks/stroke_order.py`. The mean of predictions for several guesses is more
accurate than that for any one: docs/benchmarks.md has the figures.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.arrays import Float64Array

# Of a stroke in one direction: the logarithm of its length; the larger side of its box; the middle, the left and the
# top of the box; whether its ends meet; how far it goes to the right, and the root of how far down. All are measured in
# the larger side of the drawing's box.
STROKE_FEATURES = ("length", "size", "middle x", "middle y", "left", "top", "closed", "rightwards", "downwards")
JUMP_FEATURES = ("distance", "root of distance", "to the right", "down")  # from where the pen is to where it begins
FIRST: Sequence[float] = (0.31, 2.07, -3.79, 0.97, 0.95, -1.77, 1.64, 1.25, 0.54)  # the weights for the first stroke
NEXT: Sequence[float] = (0.0,) * 13  # for each later one, also of its jump
# Utilities are multiplied by this, so that guesses are more probable than people's orders are: on 2,000 drawings of the
# validation split, one guess has a top-1 of 70.7 % with 1, 71.6 % with 2.5, and the mean of eight 74.5 and 74.8 %.
SHARPNESS = 2.5
MOST_STROKES = 1000  # Google's drawings have up to 366; the time grows with the square

Strokes = list[Float64Array]

_SHORTEST = 0.02  # added to lengths, so that a dot has a logarithm
_CLOSED = 0.25  # of the box of a stroke: if its ends are no farther apart it is as good as closed


def guessed_orders(strokes: Strokes, count: int) -> list[Strokes]:
    """Guess `count` times how strokes were drawn; the same strokes give the same guesses.

    Args:
        strokes: one or more, each (K, 2) float64, x and y.
        count: how many guesses, the first of which is `longest_first`; of more than `MOST_STROKES` only that one.
    """
    dice = np.random.default_rng(0)
    others = count - 1 if len(strokes) <= MOST_STROKES else 0
    return [longest_first(strokes)] + [_drawn(strokes, dice) for _ in range(others)]


def longest_first(strokes: Strokes) -> Strokes:
    """The strokes from the longest to the shortest, each in the direction that goes right and down."""
    directed = [stroke[::-1] if (stroke[-1] - stroke[0]).sum() < 0 else stroke for stroke in strokes]
    return sorted(directed, key=lambda stroke: -length_of(stroke))


def length_of(stroke: Float64Array) -> float:
    """The length of a stroke, pixels."""
    return float(np.hypot(*np.diff(stroke, axis=0).T).sum()) if len(stroke) > 1 else 0.0


def stroke_features(strokes: Strokes) -> tuple[Float64Array, Float64Array]:
    """What decides which stroke is drawn next.

    Returns:
        Features, (2 S, 9) float64 in the order of `STROKE_FEATURES`: S strokes as they are, then in the other
        direction; and (2 S, 2, 2) float64, where each begins and ends, as a share of the drawing's box.
    """
    points = np.concatenate(strokes)
    low, side = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1e-9)
    rows, ends = [], []
    for stroke in strokes:
        placed = (stroke - low) / side
        least, most = placed.min(axis=0), placed.max(axis=0)
        size, step = float((most - least).max()), placed[-1] - placed[0]
        is_closed = float(np.hypot(*step)) <= _CLOSED * size
        rows.append([np.log(length_of(placed) + _SHORTEST), size, *(least + most) / 2, *least, is_closed, *step])
        ends.append([placed[0], placed[-1]])
    one, there = np.array(rows, np.float64), np.array(ends)
    other = one.copy()
    other[:, -2:] *= -1
    features = np.concatenate([one, other])
    features[:, -1] = np.sign(features[:, -1]) * np.sqrt(np.abs(features[:, -1]))
    return features, np.concatenate([there, there[:, ::-1]])


def jump_features(pen: Float64Array, begins: Float64Array) -> Float64Array:
    """(M, 4) float64, in the order of `JUMP_FEATURES`, of the jumps from (2,) float64 to (M, 2) float64."""
    jump = begins - pen
    distance = np.hypot(*jump.T)
    return np.column_stack([distance, np.sqrt(distance), jump])


def _drawn(strokes: Strokes, dice: np.random.Generator) -> Strokes:
    """The strokes in an order and in directions that are drawn at random with the probabilities of the weights."""
    count = len(strokes)
    features, ends = stroke_features(strokes)
    utility = features @ np.array(NEXT[: len(STROKE_FEATURES)])
    left = np.ones(2 * count, bool)
    order: list[int] = []
    pen = None
    for _ in range(count):
        if pen is None:
            found = features @ np.array(FIRST)
        else:
            found = utility + jump_features(pen, ends[:, 0]) @ np.array(NEXT[len(STROKE_FEATURES) :])
        found = found * SHARPNESS
        # The largest sum of a utility and a Gumbel variable is drawn with the probability of the logit.
        best = int(np.argmax(np.where(left, found + dice.gumbel(size=2 * count), -np.inf)))
        left[[best % count, best % count + count]] = False
        order.append(best)
        pen = ends[best, 1]
    return [strokes[k] if k < count else strokes[k - count][::-1] for k in order]
