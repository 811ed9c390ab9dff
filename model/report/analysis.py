"""What a report counts: pure NumPy over columns of drawings.

Axes: N drawings, K classes. Labels are integers from 0 to K - 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array

STROKE_BINS = (1, 2, 3, 4, 5, 6, 8, 11, 16, 26)  # the fewest strokes of each; the last has no end
SURE, TINY = 0.5, 0.05  # probabilities of another class and of its own that make a label suspect
_NONE = -1


@dataclass(frozen=True)
class ClassTable:
    """What is counted class by class, (K,) each.

    Attributes:
        drawings: of the class.
        right: those taken for it.
        in_top3: those that have it among their best three.
        named: drawings of any class taken for it.
        confused: the class for which most of its drawings are taken instead; -1 where there is none.
        confusions: how many are.
    """

    drawings: Int64Array
    right: Int64Array
    in_top3: Int64Array
    named: Int64Array
    confused: Int64Array
    confusions: Int64Array


def class_table(confusion: Int64Array, labels: NDArray[Any], rank: NDArray[Any]) -> ClassTable:
    """The table of N drawings by their confusion, labels and ranks."""
    wrong = without_diagonal(confusion)
    confused = wrong.argmax(axis=1)
    confusions = wrong.max(axis=1)
    return ClassTable(
        drawings=confusion.sum(axis=1),
        right=confusion.diagonal().copy(),
        in_top3=np.bincount(labels[rank < 3], minlength=len(confusion)),
        named=confusion.sum(axis=0),
        confused=np.where(confusions > 0, confused, _NONE),
        confusions=confusions,
    )


def without_diagonal(confusion: Int64Array) -> Int64Array:
    """The mistakes alone."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    return wrong


def worst_pairs(confusion: Int64Array, count: int) -> list[tuple[int, int]]:
    """Up to `count` pairs of classes, the lower first, that are taken for each other most often, either way."""
    both = np.triu(without_diagonal(confusion) + without_diagonal(confusion).T)
    flat = both.ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    return [divmod(int(place), len(confusion)) for place in order if flat[place] > 0]


def by_strokes(strokes: NDArray[Any], right: NDArray[np.bool_]) -> list[tuple[int, int | None, int, int]]:
    """For each of `STROKE_BINS` that has drawings: its fewest and most strokes, drawings, and those named right."""
    place = np.searchsorted(STROKE_BINS, strokes, side="right") - 1
    drawings = np.bincount(place, minlength=len(STROKE_BINS)).tolist()
    hits = np.bincount(place[right], minlength=len(STROKE_BINS)).tolist()
    most = [*(fewest - 1 for fewest in STROKE_BINS[1:]), None]
    return [row for row in zip(STROKE_BINS, most, drawings, hits, strict=True) if row[2]]


def surest_mistakes(wrong: NDArray[np.bool_], confidence: NDArray[Any], of_true: NDArray[Any]) -> Int64Array:
    """The drawings that are named wrongly, the surest first; of equals the one whose true class has less."""
    order = np.lexsort((of_true, -confidence))
    return order[wrong[order]]


def suspects(
    labels: NDArray[Any], best: NDArray[Any], confidence: NDArray[Any], of_true: NDArray[Any], classes: int
) -> Int64Array:
    """The drawings whose label may be wrong: they look like a typical drawing of another class.

    By the thresholds of confident learning (Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in
    Dataset Labels, 2019, arXiv:1911.00068): the network must be at least as sure of the other class as it is, on
    average, of drawings that are labelled so. Of a class with few drawings that average says little, so it must also
    be `SURE` of it, and give the drawing's own class a `TINY` probability at most. Those that have least of that come
    first.

    Args:
        labels: (N,).
        best: (N,) the class that each is taken for.
        confidence: (N,) the probability of that.
        of_true: (N,) the probability of the class that it is labelled as.
        classes: K.
    """
    count = np.bincount(labels, minlength=classes)
    total = np.bincount(labels, weights=of_true.astype(np.float64), minlength=classes)
    threshold = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    found = (labels != best) & (confidence >= np.maximum(threshold[best], SURE)) & (of_true <= TINY)
    order = np.lexsort((-confidence, of_true))
    return order[found[order]]


def first_right(right: NDArray[np.bool_]) -> Int64Array:
    """(N,) int64, from which of S steps on each of (S, N) drawings is named right to the end; S where it never is."""
    wrong_later = np.cumsum(~right[::-1], axis=0)[::-1] > 0
    return wrong_later.sum(axis=0)
