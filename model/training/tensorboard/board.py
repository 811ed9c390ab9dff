"""What a training is shown to; this one keeps nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.scoring.metrics import Scores
from model.training.meter import Reading
from pipeline.loading.loader import Batch


class Board:
    """Is shown a training; this one keeps nothing."""

    def add_training_batch(self, labels: NDArray[np.int32], batch: Batch) -> None:
        """A batch that is trained on, while its images last, and the run's labels of the shards'."""

    def add_reading(self, step: int, reading: Reading) -> None:
        """What the steps before `step` of the whole run told."""

    def add_validation_batch(
        self, epoch: int, labels: NDArray[np.int32], batch: Batch, logits: NDArray[np.float32]
    ) -> None:
        """A batch of the validation after an epoch and its logits, likewise."""

    def add_epoch(self, metrics: dict[str, Any], scores: Scores | None) -> None:
        """An epoch's metrics, as they stand in `metrics.jsonl`, and what they were made of."""
