"""What shows a training to people while it goes: TensorBoard's files where tensorboardX is installed, else nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.training.meter import Reading
from model.scoring.metrics import Scores
from model.runs.folder import Run
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


def open_board(
    run: Run,
    *,
    steps_per_epoch: int,
    step: int,
    seconds: float,
    rate: Callable[[int], float],
    warn: Callable[[str], None],
) -> Board:
    """The board of a run that goes on at `step`: what was shown beyond is taken back, what is missing made up for.

    Args:
        run: its folder gets the files; nobody else may train it.
        steps_per_epoch: of the run.
        step: steps done.
        seconds: spent training so far.
        rate: the learning rate of the step before which so many were done.
        warn: is told, once, what keeps the board from being written. No error of its files is raised.
    """
    try:
        import tensorboardX  # noqa: F401 - whether it can be had
    except Exception as error:  # protobuf raises TypeErrors and its own where its version does not fit
        if not (isinstance(error, ModuleNotFoundError) and error.name == "tensorboardX"):
            warn(f"nothing is written for TensorBoard: tensorboardX cannot be imported ({error})")
        return Board()
    from model.training.tensorboard.summaries import Summaries

    return Summaries(run, steps_per_epoch, step, seconds, rate, warn)
