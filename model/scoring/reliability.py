"""Calibration with NumPy alone: reliability of probabilities, and the temperature that improves it.

A network that says 0.8 should be right in 8 of 10 such cases. The expected calibration error measures that, and
dividing logits by a temperature before the softmax improves it without changing which label is best: Guo et al., On
Calibration of Modern Neural Networks, 2017 (arXiv:1706.04599).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.runs.calibration import COLDEST, HOTTEST
from model.scoring.metrics import cross_entropy
from pipeline.arrays import Float64Array

BINS = 15  # of equal width, as Guo et al. have them
_CHUNK = 4096  # drawings whose logits are converted to float64 at a time, fewer if they have more than 1,024 classes


@dataclass(frozen=True)
class Reliability:
    """Counts of drawings by confidence, the probability of the predicted class; bin k begins above k / BINS.

    Attributes:
        drawings: (BINS,) int64.
        confidence: (BINS,) float64, the sum of their confidence.
        right: (BINS,) int64, the drawings that are predicted correctly.
    """

    drawings: NDArray[np.int64]
    confidence: Float64Array
    right: NDArray[np.int64]

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(
            self.drawings + other.drawings, self.confidence + other.confidence, self.right + other.right
        )  # fmt: skip

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean over drawings of |accuracy - confidence| of their bin."""
        return float(np.abs(self.right - self.confidence).sum()) / max(1, int(self.drawings.sum()))

    @property
    def mean_confidence(self) -> float:
        """The mean confidence of all drawings."""
        return float(self.confidence.sum()) / max(1, int(self.drawings.sum()))


def reliability(confidence: ArrayLike, right: ArrayLike) -> Reliability:
    """The counts of N drawings.

    Args:
        confidence: (N,) the probability of each drawing's predicted class.
        right: (N,) bool, whether the prediction is correct.
    """
    sure, hit = np.asarray(confidence, np.float64), np.asarray(right, bool)
    place = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return Reliability(
        np.bincount(place, minlength=BINS),
        np.bincount(place, weights=sure, minlength=BINS).astype(np.float64),
        np.bincount(place[hit], minlength=BINS),
    )


def negative_log_likelihood(logits: NDArray[np.float32], labels: NDArray[np.int32], temperature: float = 1.0) -> float:
    """The mean over N drawings of -log of the true label's probability, of (N, K) logits at a temperature."""
    return sum(cross_entropy(z, own, temperature) for z, own in _chunks(logits, labels)) / max(1, len(labels))


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """The temperature, from `COLDEST` to `HOTTEST`, with the least negative log likelihood.

    The likelihood is convex in 1 / temperature, so its slope has at most one root, which Brent's method finds.

    Args:
        logits: (N, K) float32, one or more drawings.
        labels: (N,) int32.
    """
    from scipy.optimize import brentq  # slow to import, and only calibration needs it

    def slope(temperature: float) -> float:
        return _slope(logits, labels, 1 / temperature)

    if slope(HOTTEST) >= 0:
        return HOTTEST
    if slope(COLDEST) <= 0:
        return COLDEST
    return float(brentq(slope, COLDEST, HOTTEST, xtol=1e-10))


def reliability_at(logits: NDArray[np.float32], labels: NDArray[np.int32], temperature: float) -> Reliability:
    """The counts of drawings by their (N, K) logits at a temperature."""
    total = reliability([], [])
    for z, own in _chunks(logits, labels):
        confidence = 1 / np.exp(z / temperature).sum(axis=1)  # the best logit is 0
        total += reliability(confidence, z.argmax(axis=1) == own)
    return total


def _slope(logits: NDArray[np.float32], labels: NDArray[np.int32], sharpness: float) -> float:
    """The derivative of the sum of negative log likelihoods by 1 / temperature."""
    slope = 0.0
    for z, own in _chunks(logits, labels):
        p = np.exp(z * sharpness)
        slope += float(((p * z).sum(axis=1) / p.sum(axis=1) - z[np.arange(len(own)), own]).sum())
    return slope


def _chunks(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> Iterator[tuple[Float64Array, NDArray[np.int32]]]:
    """Logits in float64 minus the largest of each drawing, so that no exponential overflows, and labels, in chunks."""
    chunk = min(_CHUNK, max(1, _CHUNK * 1024 // logits.shape[1]))
    for start in range(0, len(labels), chunk):
        z = logits[start : start + chunk].astype(np.float64)
        yield z - z.max(axis=1, keepdims=True), labels[start : start + chunk]
