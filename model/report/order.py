"""Orders the classes of a confusion matrix so that those often confused are neighbours."""

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array
from pipeline.pictures.matrix import row_shares


def similar_order(confusion: Int64Array) -> list[int]:
    """The classes of a (K, K) confusion matrix, in an order in which classes that are often confused are neighbours.

    Agglomerative clustering by average linkage: the two groups of classes that are confused most often, as shares of
    their drawings, are joined until one group is left. Groups are joined at the ends that are confused most often.
    Equal inputs give equal orders. It takes K^2 memory and at most K^3 time: 345 classes take some 50 ms.
    """
    alike = likeness(confusion)
    groups: list[list[int]] = [[k] for k in range(len(alike))]
    sums = alike.copy()  # sums of the likenesses between the classes of two groups
    sizes = np.ones(len(alike))
    means = np.where(np.eye(len(alike), dtype=bool), -1.0, sums)
    for _ in range(len(groups) - 1):
        first, second = sorted(divmod(int(means.argmax()), len(groups)))
        groups[first] = _joined(groups[first], groups[second], alike)
        groups[second] = []
        sums[first] += sums[second]
        sums[:, first] += sums[:, second]
        sizes[first] += sizes[second]
        row = sums[first] / (sizes * sizes[first])
        gone = means[first] < 0
        gone[[first, second]] = True
        means[first] = means[:, first] = np.where(gone, -1.0, row)
        means[second] = means[:, second] = -1.0
    return groups[0] if groups else []


def likeness(confusion: Int64Array) -> NDArray[np.float64]:
    """(K, K) float64, symmetric: the mean of the shares of each class predicted as the other; 0 on the diagonal."""
    shares = row_shares(confusion)
    np.fill_diagonal(shares, 0)
    both: NDArray[np.float64] = (shares + shares.T) / 2
    return both


def _joined(first: list[int], second: list[int], alike: NDArray[np.float64]) -> list[int]:
    """Both groups in one list, each reversed if that joins them at more similar ends; unchanged if all are equal."""
    ways = [(a, b) for a in (first, first[::-1]) for b in (second, second[::-1])]
    left, right = max(ways, key=lambda way: alike[way[0][-1], way[1][0]])
    return left + right
