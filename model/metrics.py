"""How good a network's probabilities are: top-1, top-3, MAP@3, class by class and over classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    true = logits[np.arange(len(labels)), labels][:, None]
    before = np.arange(count)[None, :] < labels[:, None]
    rank = ((logits > true) | ((logits == true) & before)).sum(axis=1)
    drawings = np.bincount(labels, minlength=count)
    right = np.bincount(labels[rank == 0], minlength=count)
    reciprocal = float((1 / (rank[rank < 3] + 1)).sum())
    return Scores(classes, drawings, right, int((rank < 3).sum()), reciprocal)


def add(first: Scores, second: Scores) -> Scores:
    """The scores of both together."""
    return Scores(
        first.classes,
        first.drawings + second.drawings,
        first.right + second.right,
        first.in_top3 + second.in_top3,
        first.reciprocal3 + second.reciprocal3,
    )
