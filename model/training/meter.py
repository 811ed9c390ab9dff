"""What the steps of an epoch report, gathered without making them wait."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from pipeline.threads import Times

REPORT_SECONDS = 1.0


@dataclass(frozen=True)
class Reading:
    """The steps since the reading before.

    Attributes:
        losses: of each step.
        accuracy: mean, on training batches, from 0 to 1; NaN without steps.
        images_per_second: trained.
        waiting: share of the time spent waiting for data, from 0 to 1.
    """

    losses: list[float]
    accuracy: float
    images_per_second: float
    waiting: float

    @property
    def loss(self) -> float:
        """The mean loss; NaN without steps."""
        return float(np.mean(self.losses)) if self.losses else float("nan")


class Meter:
    """Readings of one epoch, and their means.

    Args:
        batch: drawings a step.
        times: the loader's, which go on.
    """

    def __init__(self, batch: int, times: Times) -> None:
        self._batch = batch
        self._metrics: list[dict[str, jax.Array]] = []
        self._losses: list[float] = []
        self._accuracies: list[float] = []
        self._began = self._since = time.perf_counter()
        self._times, self._before = times, replace(times)
        self._waited = times.waiting

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Take in the metrics of one or more steps, which may still be on their way."""
        self._metrics.append(metrics)

    def due(self) -> bool:
        """Whether it is time for a reading."""
        return time.perf_counter() - self._since > REPORT_SECONDS

    def read(self) -> Reading:
        """Wait for the steps and read them."""
        metrics: list[dict[str, Any]] = jax.device_get(self._metrics)
        losses, accuracies = (_each_step(one[name] for one in metrics) for name in ("loss", "accuracy"))
        now, waited = time.perf_counter(), self._times.waiting
        elapsed = max(now - self._since, 1e-9)
        rate, waiting = len(losses) * self._batch / elapsed, (waited - self._waited) / elapsed
        self._losses += losses
        self._accuracies += accuracies
        self._metrics, self._since, self._waited = [], now, waited
        return Reading(losses, float(np.mean(accuracies)) if accuracies else float("nan"), rate, waiting)

    def means(self) -> dict[str, float]:
        """Means over what of the epoch this process trained, and the seconds of the loader's threads."""
        elapsed = self._since - self._began  # `read` was called when the last step was done
        if not self._losses or elapsed <= 0:
            return {}
        return {
            "images_per_second": len(self._losses) * self._batch / elapsed,
            "waiting": (self._waited - self._before.waiting) / elapsed,
            "waiting_seconds": self._waited - self._before.waiting,
            "reading_seconds": self._times.reading - self._before.reading,
            "rendering_seconds": self._times.rendering - self._before.rendering,
            "train_loss": float(np.mean(self._losses)),
            "train_accuracy": float(np.mean(self._accuracies)),
        }


def _each_step(calls: Iterable[NDArray[np.float32]]) -> list[float]:
    """A number for each step of calls that made (S,) of them, or (D, S), the same on every device."""
    return [float(one) for call in calls for one in np.atleast_2d(call)[0]]
