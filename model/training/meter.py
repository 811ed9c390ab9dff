"""Collects the metrics of an epoch's steps, without waiting for each step to end."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from model.runs.checkpoint import Position
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
        before: the position at which this process begins the epoch, with the sums of the epoch's earlier steps; without
            the sums, the means are over the steps of this process.

    Attributes:
        loss_sum: the sum of the losses of the epoch's steps that were read.
        accuracy_sum: the same of their accuracies.
    """

    def __init__(self, batch: int, times: Times, before: Position) -> None:
        self._batch = batch
        self._metrics: list[dict[str, jax.Array]] = []
        self._steps = 0  # that this process ran and read
        self._steps_before = 0 if before.loss_sum is None else before.step
        self.loss_sum, self.accuracy_sum = before.loss_sum or 0.0, before.accuracy_sum or 0.0
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
        self._steps += len(losses)
        # One after the other: neither np.sum nor Python 3.12's sum gives the same bits after an interruption.
        for loss, accuracy in zip(losses, accuracies, strict=True):
            self.loss_sum += loss
            self.accuracy_sum += accuracy
        is_steady = first_calls.ended() < self._since
        self._metrics, self._since, self._waited = [], now, waited
        if not is_steady:
            self._begin_rates(now)
        return Reading(losses, float(np.mean(accuracies)) if accuracies else float("nan"), rate, waiting, is_steady)

    def means(self) -> dict[str, float]:
        """Means over the epoch's steps, and the rates and the seconds of the loader's threads in this process.

        Rates and seconds are those after the last first call, and are absent if no step came after it.
        """
        steps = self._steps_before + self._steps
        means = {"train_loss": self.loss_sum / steps, "train_accuracy": self.accuracy_sum / steps} if steps else {}
        elapsed, timed = self._since - self._began, self._steps - self._before_rates
        if not timed or elapsed <= 0:  # `read` was called after the last step
            return means
        return {
            "images_per_second": timed * self._batch / elapsed,
            "waiting": (self._waited - self._before.waiting) / elapsed,
            "waiting_seconds": self._waited - self._before.waiting,
            "reading_seconds": self._times.reading - self._before.reading,
            "rendering_seconds": self._times.rendering - self._before.rendering,
            **means,
        }

    def _begin_rates(self, now: float) -> None:
        self._began, self._before, self._before_rates = now, replace(self._times), self._steps


def _each_step(calls: Iterable[NDArray[np.float32]]) -> list[float]:
    """One number for each step. A call returned (S,) numbers, or (D, S) that are the same on every device."""
    return [float(one) for call in calls for one in np.atleast_2d(call)[0]]
