"""Collects the metrics of an epoch's steps, without waiting for each step to end."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from pipeline import first_calls
from pipeline.threads import Times

REPORT_SECONDS = 1.0


@dataclass(frozen=True)
class Reading:
    """The metrics of the steps since the previous reading.

    Attributes:
        losses: the loss of each step.
        accuracy: the mean accuracy on training batches, from 0 to 1; NaN if there was no step.
        images_per_second: the images trained on per second.
        waiting: the share of the time spent waiting for data, from 0 to 1.
        is_steady: whether nothing was compiled or loaded for its first call meanwhile, so that the speed says how long
            later steps take.
    """

    losses: list[float]
    accuracy: float
    images_per_second: float
    waiting: float
    is_steady: bool = True

    @property
    def loss(self) -> float:
        """The mean loss; NaN if there was no step."""
        return float(np.mean(self.losses)) if self.losses else float("nan")


class Meter:
    """Takes readings during one epoch, and computes the means over the epoch.

    Args:
        batch: the number of drawings in a step.
        times: the loader's times, which the loader keeps adding to.
    """

    def __init__(self, batch: int, times: Times) -> None:
        self._batch = batch
        self._metrics: list[dict[str, jax.Array]] = []
        self._losses: list[float] = []
        self._accuracies: list[float] = []
        self._since, self._times, self._waited = time.monotonic(), times, times.waiting
        self._begin_rates(self._since)

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Add the metrics of one or more steps, which the devices may still be computing."""
        self._metrics.append(metrics)

    def due(self) -> bool:
        """Whether the last reading is more than `REPORT_SECONDS` old."""
        return time.monotonic() - self._since > REPORT_SECONDS

    def read(self) -> Reading:
        """Wait for the steps added so far, and return their metrics."""
        metrics: list[dict[str, Any]] = jax.device_get(self._metrics)
        losses, accuracies = (_each_step(one[name] for one in metrics) for name in ("loss", "accuracy"))
        now, waited = time.monotonic(), self._times.waiting
        elapsed = max(now - self._since, 1e-9)
        rate, waiting = len(losses) * self._batch / elapsed, (waited - self._waited) / elapsed
        self._losses += losses
        self._accuracies += accuracies
        is_steady = first_calls.ended() < self._since
        self._metrics, self._since, self._waited = [], now, waited
        if not is_steady:
            self._begin_rates(now)
        return Reading(losses, float(np.mean(accuracies)) if accuracies else float("nan"), rate, waiting, is_steady)

    def means(self) -> dict[str, float]:
        """Means over the steps of the epoch that this process ran, and the seconds that the loader's threads took.

        Rates and seconds are those after the last first call, and are absent if no step came after it.
        """
        if not self._losses:
            return {}
        means = {"train_loss": float(np.mean(self._losses)), "train_accuracy": float(np.mean(self._accuracies))}
        elapsed, steps = self._since - self._began, len(self._losses) - self._before_rates
        if not steps or elapsed <= 0:  # `read` was called after the last step
            return means
        return {
            "images_per_second": steps * self._batch / elapsed,
            "waiting": (self._waited - self._before.waiting) / elapsed,
            "waiting_seconds": self._waited - self._before.waiting,
            "reading_seconds": self._times.reading - self._before.reading,
            "rendering_seconds": self._times.rendering - self._before.rendering,
            **means,
        }

    def _begin_rates(self, now: float) -> None:
        self._began, self._before, self._before_rates = now, replace(self._times), len(self._losses)


def _each_step(calls: Iterable[NDArray[np.float32]]) -> list[float]:
    """One number for each step. A call returned (S,) numbers, or (D, S) that are the same on every device."""
    return [float(one) for call in calls for one in np.atleast_2d(call)[0]]
