"""What the steps of an epoch report, gathered without making them wait."""

import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

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
        waited: seconds that the loader's callers have waited before the epoch.
    """

    def __init__(self, batch: int, waited: float) -> None:
        self._batch = batch
        self._metrics: list[dict[str, jax.Array]] = []
        self._losses: list[float] = []
        self._accuracies: list[float] = []
        self._began = self._since = time.perf_counter()
        self._waited_before = self._waited = waited

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Take in a step's metrics, which may still be on their way."""
        self._metrics.append(metrics)

    def due(self) -> bool:
        """Whether it is time for a reading."""
        return time.perf_counter() - self._since > REPORT_SECONDS

    def read(self, waited: float) -> Reading:
        """Wait for the steps and read them; `waited` as in the constructor, by now."""
        metrics: list[dict[str, Any]] = jax.device_get(self._metrics)
        losses = [float(np.mean(one["loss"])) for one in metrics]
        accuracies = [float(np.mean(one["accuracy"])) for one in metrics]
        now = time.perf_counter()
        elapsed = max(now - self._since, 1e-9)
        rate, waiting = len(losses) * self._batch / elapsed, (waited - self._waited) / elapsed
        self._losses += losses
        self._accuracies += accuracies
        self._metrics, self._since, self._waited = [], now, waited
        return Reading(losses, float(np.mean(accuracies)) if accuracies else float("nan"), rate, waiting)

    def means(self) -> dict[str, float]:
        """Loss, accuracy, speed and share of waiting over the epoch, or over what of it this process trained."""
        elapsed = self._since - self._began  # `read` was called when the last step was done
        if not self._losses or elapsed <= 0:
            return {}
        return {
            "images_per_second": len(self._losses) * self._batch / elapsed,
            "waiting": (self._waited - self._waited_before) / elapsed,
            "train_loss": float(np.mean(self._losses)),
            "train_accuracy": float(np.mean(self._accuracies)),
        }
