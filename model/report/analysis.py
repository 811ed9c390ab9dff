"""Computes the statistics of a report with NumPy, from columns of predictions.

Axes: N drawings, K classes. Labels are integers from 0 to K - 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array

STROKE_BINS = (1, 2, 3, 4, 5, 6, 8, 11, 16, 26)  # the fewest strokes of each bin; the last bin has no upper end
SURE, TINY = 0.5, 0.05  # a label is suspect only if another class has at least SURE and its own at most TINY


def class_table(confusion: Int64Array, labels: NDArray[Any], rank: NDArray[Any]) -> dict[str, Int64Array]:
    """The counts for each class, from the confusion matrix of N drawings, their labels and the ranks of their labels.

    Returns:
        By name, (K,) each: `drawings` of the class; `right`, those predicted correctly; `in_top3`, those for which the
        class is among the three most probable; `named`, the drawings of any class that are predicted as this class;
        `confused`, the wrong class that is predicted most often for its drawings, or -1; `confusions`, the number of
        its drawings that are predicted as `confused`.
    """
    wrong = without_diagonal(confusion)
    confusions = wrong.max(axis=1)
    return {
        "drawings": confusion.sum(axis=1),
        "right": confusion.diagonal(),
        "in_top3": np.bincount(labels[rank < 3], minlength=len(confusion)),
        "named": confusion.sum(axis=0),
        "confused": np.where(confusions > 0, wrong.argmax(axis=1), -1),
        "confusions": confusions,
    }


def without_diagonal(confusion: Int64Array) -> Int64Array:
    """A copy of the confusion matrix with only the mistakes: its diagonal is 0."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    return wrong


def most_confused_pairs(confusion: Int64Array, count: int) -> list[tuple[int, int]]:
    """Up to `count` pairs of classes that are confused most often, in either direction; the lower label comes first."""
    wrong = without_diagonal(confusion)
    both = np.triu(wrong + wrong.T)
    flat = both.ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    return [divmod(int(place), len(confusion)) for place in order if flat[place] > 0]


def by_strokes(strokes: NDArray[Any], right: NDArray[np.bool_]) -> list[tuple[int, int | None, int, int]]:
    """For each of `STROKE_BINS` with drawings: its fewest and most strokes, its drawings, those predicted correctly."""
    place = np.searchsorted(STROKE_BINS, strokes, side="right") - 1
    drawings = np.bincount(place, minlength=len(STROKE_BINS)).tolist()
    hits = np.bincount(place[right], minlength=len(STROKE_BINS)).tolist()
    most = [*(fewest - 1 for fewest in STROKE_BINS[1:]), None]
    return [row for row in zip(STROKE_BINS, most, drawings, hits, strict=True) if row[2]]


def most_confident_mistakes(wrong: NDArray[np.bool_], confidence: NDArray[Any], of_true: NDArray[Any]) -> Int64Array:
    """The wrong predictions, by decreasing confidence, then by increasing probability of the true class."""
    order = np.lexsort((of_true, -confidence))
    return order[wrong[order]]


def suspects(
    labels: NDArray[Any], best: NDArray[Any], confidence: NDArray[Any], of_true: NDArray[Any], classes: int
) -> Int64Array:
    """The drawings whose label may be wrong because they look like a typical drawing of another class.

    The threshold is that of confident learning (Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in
    Dataset Labels, 2019, arXiv:1911.00068): the predicted class must have at least the probability that it has on
    average for the drawings labelled with it. For a class with few drawings that average is unreliable. So the
    predicted class must also have a probability of at least `SURE`, and the labelled class of at most `TINY`. Drawings
    whose labelled class is the least probable come first.

    Args:
        labels: (N,) the labels.
        best: (N,) the predicted classes.
        confidence: (N,) the probabilities of the predicted classes.
        of_true: (N,) the probabilities of the labelled classes.
        classes: K.
    """
    count = np.bincount(labels, minlength=classes)
    total = np.bincount(labels, weights=of_true.astype(np.float64), minlength=classes)
    threshold = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    found = (labels != best) & (confidence >= np.maximum(threshold[best], SURE)) & (of_true <= TINY)
    order = np.lexsort((-confidence, of_true))
    return order[found[order]]


def first_right(right: NDArray[np.bool_]) -> Int64Array:
    """(N,) int64, the first of S steps from which on all predictions of a drawing are correct; S if there is none.

    `right` is (S, N): whether the prediction for each drawing is correct at each step.
    """
    wrong_later = np.cumsum(~right[::-1], axis=0)[::-1] > 0
    return wrong_later.sum(axis=0)
