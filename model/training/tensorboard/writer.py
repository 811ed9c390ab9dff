"""The methods that a training calls to write for TensorBoard; the base class writes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.runs.folder import Run
from model.scoring.metrics import Scores
from model.training.meter import Reading
from pipeline.loading.loader import Batch


@dataclass(frozen=True)
class Session:
    """A process that begins or resumes the training of a run.

    Attributes:
        run: the run, whose folder gets the files; no other process may train it.
        steps_per_epoch: the steps of one epoch.
        step: the steps that were done before this process.
        seconds: the time that was spent training before this process.
        learning_rate: returns the learning rate of a step, counted from 0 over the whole run.
        warn: gets one line, once, if the files cannot be written.
    """

    run: Run
    steps_per_epoch: int
    step: int
    seconds: float
    learning_rate: Callable[[int], float]
    warn: Callable[[str], None]


class Writer:
    """The interface of what writes a training for TensorBoard; this class writes nothing."""

    def add_training_batch(self, labels: NDArray[np.int32], batch: Batch) -> None:
        """Add a training batch, whose images are still valid; `labels` has the run's label of each shard label."""

    def add_reading(self, step: int, reading: Reading) -> None:
        """Add the metrics of the steps before `step`, which is counted over the whole run."""

    def add_validation_batch(
        self, epoch: int, labels: NDArray[np.int32], batch: Batch, logits: NDArray[np.float32]
    ) -> None:
        """Add a batch of the validation after an epoch, and its logits; the rest is as in `add_training_batch`."""

    def add_epoch(self, metrics: dict[str, Any], scores: Scores | None) -> None:
        """Add an epoch's line of `metrics.jsonl`, and the validation scores that it was made from."""
