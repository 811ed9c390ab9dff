"""Metrics of probabilities: loss, top-1, top-3, MAP@3, accuracy of each class, confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.arrays import Float64Array

Z95 = 1.959963984540054  # standard deviations: 95 % of a normal distribution lie within


@dataclass(frozen=True)
class Scores:
    """Counts of N scored drawings.

    Attributes:
        classes: the words in label order.
        cells: parts of the confusion matrix, so that adding a batch needs no array of K^2. Each is (2, M) int64: places
            in the matrix, read row by row, which rise, and how many drawings are there.
        in_top3: drawings whose true label is among the three most probable.
        reciprocal3: the sum of 1, 1/2 or 1/3 for a true label in first, second or third place.
        cross_entropy: the sum of -ln p of the true labels.
    """

    classes: tuple[str, ...]
    cells: tuple[NDArray[np.int64], ...]
    in_top3: int
    reciprocal3: float
    cross_entropy: float

    @classmethod
    def of_none(cls, classes: tuple[str, ...]) -> Self:
        """The scores of no drawings, to which others are added."""
        return cls(classes, (), 0, 0.0, 0.0)

    def __add__(self, other: "Scores") -> "Scores":
        return Scores(
            self.classes,
            _joined(*self.cells, *other.cells),
            self.in_top3 + other.in_top3,
            self.reciprocal3 + other.reciprocal3,
            self.cross_entropy + other.cross_entropy,
        )

    @property
    def drawings(self) -> NDArray[np.int64]:
        """(K,) int64, drawings of each class."""
        return self._by_label(only_right=False)

    @property
    def right(self) -> NDArray[np.int64]:
        """(K,) int64, drawings of each class that are predicted correctly."""
        return self._by_label(only_right=True)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) int64, drawings by their true and their predicted label: 8 K^2 bytes, so for few classes only."""
        count = len(self.classes)
        matrix = np.zeros(count * count, np.int64)
        for place, drawings in self.cells:
            matrix[place] += drawings
        return matrix.reshape(count, count)

    def _by_label(self, *, only_right: bool) -> NDArray[np.int64]:
        count = len(self.classes)
        drawings = np.zeros(count, np.int64)
        for place, number in self.cells:
            true, predicted = np.divmod(place, max(1, count))
            np.add.at(drawings, true, number * (predicted == true) if only_right else number)
        return drawings

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of top-1; (0, 1) if nothing was scored."""
        low, high = wilson(self.right.sum(), self.drawings.sum())
        return (float(low), float(high)) if self.drawings.sum() else (0.0, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """`loss`, `top1`, `top3`, `map3`, `balanced_top1`, `drawings`, and for each class its drawings and top-1.

        The loss is the mean cross entropy in nats, without label smoothing; the others lie in 0 to 1. The balanced
        top-1 is the mean over classes. A class without drawings has a `top1` of None and is left out of that mean.
        """
        total = max(1, int(self.drawings.sum()))
        by_class = {
            word: {"drawings": int(count), "top1": int(right) / int(count) if count else None}
            for word, count, right in zip(self.classes, self.drawings, self.right, strict=True)
        }
        known = [one["top1"] for one in by_class.values() if one["top1"] is not None]
        return {
            "loss": self.cross_entropy / total,
            "top1": int(self.right.sum()) / total,
            "top3": self.in_top3 / total,
            "map3": self.reciprocal3 / total,
            "balanced_top1": sum(known) / max(1, len(known)),
            "drawings": int(self.drawings.sum()),
            "classes": by_class,
        }


def score(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.int32], classes: tuple[str, ...], temperature: float = 1.0
) -> Scores:
    """Score (N, K) logits against (N,) int32 labels; of equal logits the lower label counts as better.

    The temperature, by which logits are divided before the softmax, changes only the loss.
    """
    rank = ranks(logits, labels)
    place = labels.astype(np.int64) * len(classes) + logits.argmax(axis=1)
    cells = np.stack(np.unique(place, return_counts=True))
    reciprocal = float((1 / (rank[rank < 3] + 1)).sum())
    return Scores(classes, (cells,), int((rank < 3).sum()), reciprocal, cross_entropy(logits, labels, temperature))


def _joined(*parts: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """The same cells in few parts: each is more than twice as long as the next, so that adding a batch costs little."""
    joined: list[NDArray[np.int64]] = []
    for part in parts:
        joined.append(part)
        while len(joined) > 1 and joined[-2].shape[1] <= 2 * joined[-1].shape[1]:
            both = np.concatenate([joined.pop(), joined.pop()], axis=1)
            place, at = np.unique(both[0], return_inverse=True)
            # Exact: float64 holds every whole number below 2**53.
            joined.append(np.stack([place, np.bincount(at, both[1]).astype(np.int64)]))
    return tuple(joined)


def wilson(right: ArrayLike, count: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """The ends of the 95 % interval of a share that was `right` of `count` times; NaN where `count` is 0.

    Wilson's score interval (1927), which stays within 0 to 1 and is right for small counts too.

    >>> [round(float(end), 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    hits, total = np.asarray(right, np.float64), np.asarray(count, np.float64)
    n = np.where(total > 0, total, np.nan)
    share = hits / n
    middle = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    # For 0 and for all, the end is exactly 0 or 1, which rounding would miss.
    return np.where(hits == 0, 0.0 * middle, middle - half), np.where(hits == total, 1.0 + 0.0 * middle, middle + half)


def ranks(logits: NDArray[np.floating[Any]], labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """(N,) int64, the number of labels that (N, K) logits rank above the true one; of equal logits the lower label."""
    true = logits[np.arange(len(labels)), labels][:, None]
    before = np.arange(logits.shape[1])[None, :] < labels[:, None]
    return ((logits > true) | ((logits == true) & before)).sum(axis=1)


def cross_entropy(logits: NDArray[np.floating[Any]], labels: NDArray[np.int32], temperature: float) -> float:
    """The sum of -ln p, in float64, over (N, K) logits and (N,) labels."""
    with np.errstate(invalid="ignore"):  # from weights that diverged, which the trainer will report
        over_true = (logits - logits[np.arange(len(labels)), labels][:, None].astype(np.float64)) / temperature
        best = over_true.max(axis=1, initial=0.0)  # subtracted, so that the exponential cannot overflow
        return float((np.log(np.exp(over_true - best[:, None]).sum(axis=1)) + best).sum())


def mean_log_probabilities(logits: Sequence[NDArray[np.floating[Any]]], temperature: float = 1.0) -> Float64Array:
    """(N, K) float64, the logarithm of the mean of the probabilities of several (N, K) logits for the same drawings.

    It is computed by log-sum-exp, so that classes whose probabilities are 0 in float32 keep their order.
    """
    logs = []
    for one in logits:
        z = one.astype(np.float64) / temperature
        z -= z.max(axis=1, keepdims=True)
        logs.append(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))
    mean: Float64Array = np.logaddexp.reduce(logs, axis=0) - np.log(len(logs))
    return mean
