"""How good a network's probabilities are: top-1, top-3, MAP@3, class by class and over classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054  # standard deviations: 95 % of a normal distribution lie within

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Counts of N scored drawings.

    Attributes:
        classes: the words in label order.
        drawings: (K,) int64, drawings of each class.
        right: (K,) int64, those whose best label is the true one.
        in_top3: drawings whose true label is among the best three.
        reciprocal3: the sum of 1, 1/2 or 1/3 for a true label in first, second or third place.
    """

    classes: tuple[str, ...]
    drawings: NDArray[np.int64]
    right: NDArray[np.int64]
    in_top3: int
    reciprocal3: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of top-1; (0, 1) where nothing was scored."""
        low, high = wilson(self.right.sum(), self.drawings.sum())
        return (float(low), float(high)) if self.drawings.sum() else (0.0, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """`top1`, `top3`, `map3`, `balanced_top1` from 0 to 1, `drawings`, and for each class its drawings and top-1.

        A class without drawings has a `top1` of None, as nothing is known of it, and no part in the balanced top-1,
        which is the mean over classes.
        """
        total = max(1, int(self.drawings.sum()))
        by_class = {
            word: {"drawings": int(count), "top1": int(right) / int(count) if count else None}
            for word, count, right in zip(self.classes, self.drawings, self.right, strict=True)
        }
        known = [one["top1"] for one in by_class.values() if one["top1"] is not None]
        return {
            "top1": int(self.right.sum()) / total,
            "top3": self.in_top3 / total,
            "map3": self.reciprocal3 / total,
            "balanced_top1": sum(known) / max(1, len(known)),
            "drawings": int(self.drawings.sum()),
            "classes": by_class,
        }


def score(logits: NDArray[np.float32], labels: NDArray[np.int32], classes: tuple[str, ...]) -> Scores:
    """Score (N, K) float32 logits against (N,) int32 labels; of equal logits the lower label counts as better."""
    count = len(classes)
    rank = ranks(logits, labels)
    drawings = np.bincount(labels, minlength=count)
    right = np.bincount(labels[rank == 0], minlength=count)
    reciprocal = float((1 / (rank[rank < 3] + 1)).sum())
    return Scores(classes, drawings, right, int((rank < 3).sum()), reciprocal)


def wilson(right: ArrayLike, count: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """The ends of the 95 % interval of a share that was `right` of `count` times; NaN where `count` is 0.

    Wilson's score interval (1927), which keeps within 0 to 1 and holds for small counts too.

    >>> [round(float(end), 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    hits, total = np.asarray(right, np.float64), np.asarray(count, np.float64)
    n = np.where(total > 0, total, np.nan)
    share = hits / n
    middle = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    # At 0 and at all of them the ends are 0 and 1, which rounding would miss.
    return np.where(hits == 0, 0.0 * middle, middle - half), np.where(hits == total, 1.0 + 0.0 * middle, middle + half)


def ranks(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """(N,) int64, how many labels (N, K) logits put before the true one of (N,) int32; of equals the lower."""
    true = logits[np.arange(len(labels)), labels][:, None]
    before = np.arange(logits.shape[1])[None, :] < labels[:, None]
    return ((logits > true) | ((logits == true) & before)).sum(axis=1)


def add(first: Scores, second: Scores) -> Scores:
    """The scores of both together."""
    return Scores(
        first.classes,
        first.drawings + second.drawings,
        first.right + second.right,
        first.in_top3 + second.in_top3,
        first.reciprocal3 + second.reciprocal3,
    )
