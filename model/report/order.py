"""The order in which classes that are taken for each other stand side by side."""

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array
from pipeline.pictures.matrix import row_shares


def similar_order(confusion: Int64Array) -> list[int]:
    """The classes of a (K, K) confusion, those that are taken for each other side by side.

    Agglomerative clustering by average linkage: the two groups whose classes are most often taken for each other, as
    shares of their drawings, are joined again and again, ends that are more alike touching. Equal inputs give equal
    orders. K^2 memory, K^3 time at worst: 345 classes take some 50 ms.
    """
    alike = likeness(confusion)
    groups: list[list[int]] = [[k] for k in range(len(alike))]
    sums = alike.copy()  # of likenesses between the classes of two groups
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
    """(K, K) float64, symmetric, 0 on the diagonal: the mean share of either's drawings taken for the other."""
    shares = row_shares(confusion)
    np.fill_diagonal(shares, 0)
    both: NDArray[np.float64] = (shares + shares.T) / 2
    return both


def _joined(first: list[int], second: list[int], alike: NDArray[np.float64]) -> list[int]:
    """Both groups, each turned so that the ends that touch are the most alike; as they are where all are equal."""
    ways = [(a, b) for a in (first, first[::-1]) for b in (second, second[::-1])]
    left, right = max(ways, key=lambda way: alike[way[0][-1], way[1][0]])
    return left + right
