"""A chosen run made ready to be trained."""

from collections.abc import Sequence

import jax

from model.compute.devices import devices_for
from model.training.choice import Choice
from model.training.train import Trainer, open_validation
from model.training.transfer import Start, check_start
from pipeline.shards.read import open_split


def prepare_training(
    choice: Choice, devices: Sequence[jax.Device], *, start: Start | None = None, skip_corrupt: bool = False
) -> Trainer:
    """The trainer of a run, whose folder is not made yet if the run is new.

    Args:
        choice: the run and its shards.
        devices: to compute on; of a CPU's as many are taken as its batch is worth.
        start: the run whose weights a new one begins with.
        skip_corrupt: whether to do without row groups that cannot be read.

    Raises:
        MismatchError: the run cannot start from those weights, or the shards hold other classes.
        SketchpipeError: the shards are missing or damaged.
    """
    if start is not None:
        check_start(start, choice.run.config)
    split = open_split(choice.shards, "train")
    devices = devices_for(choice.run.config.batch, devices)
    return Trainer(choice.run, split, open_validation(split), devices, skip_corrupt, start)
