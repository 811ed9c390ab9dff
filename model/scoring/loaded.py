"""A run's best checkpoint and temperature, read once, so that everything is computed with the same weights."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from model.compute.steps import eval_step
from model.networks import make_network
from model.runs.calibration import Calibration, read_calibration
from model.runs.checkpoint import Position, checkpoint_name, digest_of
from model.runs.folder import Run
from model.runs.state import load_checkpoint
from model.runs.weights import calibration_of, halved, read_weights
from pipeline.errors import CheckpointError


@dataclass(frozen=True)
class LoadedRun:
    """A run's best checkpoint as it was when it was read; the run may still be training.

    Attributes:
        run: the run.
        checkpoint: the name of the checkpoint.
        arrays_sha256: the SHA-256 of the checkpoint's arrays.
        position: the progress of the run at the checkpoint.
        step: the compiled `eval_step`.
        variables: the network's variables, NumPy arrays.
        calibration: the calibration that is stored with the run, maybe for another checkpoint; None if there is none.
    """

    run: Run
    checkpoint: str
    arrays_sha256: str
    position: Position
    step: Callable[..., jax.Array]
    variables: Any
    calibration: Calibration | None = None

    @property
    def fitted(self) -> Calibration | None:
        """The calibration, if it was fitted for this checkpoint."""
        one = self.calibration
        mine = one is not None and (one.checkpoint, one.arrays_sha256) == (self.checkpoint, self.arrays_sha256)
        return one if mine else None

    @property
    def temperature(self) -> float:
        """The number by which logits are divided; 1.0 if none was fitted for this checkpoint."""
        return 1.0 if self.fitted is None else self.fitted.temperature

    def finite(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network computed, if all of it is finite.

        Raises:
            CheckpointError: something is not: weights may be finite, and so large that what is computed is not.
        """
        if not np.isfinite(outputs).all():
            raise CheckpointError(
                f"{self.run.folder}: with the weights of checkpoint {self.checkpoint} the network computes values that "
                "are not finite; train a new run, with a lower learning rate if this one diverged"
            )
        return outputs


def rounded(loaded: LoadedRun) -> LoadedRun:
    """The run with its weights as an export without training has them: rounded to float16, in float32.

    Raises:
        CheckpointError: a weight is not finite in float16.
    """
    return dataclasses.replace(
        loaded, variables=jax.tree.map(lambda one: one.astype(np.float32), halved(loaded.variables))
    )


def load_best(run: Run, *, calibrated: bool = True) -> LoadedRun:
    """Read a run's best checkpoint and, unless `calibrated` is False, its stored temperature.

    Raises:
        CheckpointError: there is no checkpoint, or it or the temperature is damaged, or a weight is not finite.
        MismatchError: one of them is of another configuration or format.
    """
    network = make_network(run.config.network, len(run.config.classes))
    step = jax.jit(lambda variables, images: eval_step(variables, images, network=network))
    if run.about is not None:
        return _with_weights(run, run.about, step, calibrated=calibrated)
    folder, arrays_sha256, variables, position = _best_of(run)
    if (position.epoch, position.step) == (0, 0):
        raise CheckpointError(f"{run.folder}: not trained yet; resume it with `sketchpipe train --resume`")
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        if not np.isfinite(leaf).all():
            name = "/".join(key.key for key in path)
            raise CheckpointError(
                f"{folder}: {name} is not finite, the training diverged; remove it to resume from the checkpoint "
                "before it, if there is one, or train a new run with a lower learning rate"
            )
    stored = read_calibration(run.folder) if calibrated else None
    return LoadedRun(run, folder.name, arrays_sha256, position, step, variables, stored)


def _with_weights(run: Run, about: Mapping[str, Any], step: Callable[..., jax.Array], *, calibrated: bool) -> LoadedRun:
    """Weights without their training, as they were at the end of it."""
    weights, training = read_weights(run.folder, run.config), about["training"]
    top1 = training["validation_top1"]
    position = Position(training["epochs"], 0, 60 * training["minutes"], top1, top1)
    name = checkpoint_name(position)
    calibration = calibration_of(about, name, weights.sha256) if calibrated else None
    return LoadedRun(run, name, weights.sha256, position, step, weights.variables, calibration)


def _best_of(run: Run) -> tuple[Path, str, Any, Position]:
    """The best checkpoint: its folder, the SHA-256 of its arrays, its variables and its position."""
    while True:
        last = run.last_checkpoint()
        try:
            folder = run.checkpoint(best=True)
            if folder is None:
                raise CheckpointError(
                    f"{run.folder}: has no checkpoint yet; resume it with `sketchpipe train --resume`"
                )
            state, position = load_checkpoint(folder)
            arrays_sha256 = digest_of(folder)
        except CheckpointError:
            # A process that trains the run saves a checkpoint and then removes others, maybe the one being read here.
            if run.last_checkpoint() == last:
                raise
        else:
            return folder, arrays_sha256, {"params": state["params"], "batch_stats": state["batch_stats"]}, position
