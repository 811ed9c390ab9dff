"""The optimizer and the learning rate of a run, as its recipe has them."""

from typing import Any

import jax
import optax

from model.config import TrainConfig
from pipeline.errors import UsageError


def make_schedule(config: TrainConfig, steps_per_epoch: int) -> optax.ScalarOrSchedule:
    """The learning rate of a run of `config.epochs` epochs of `steps_per_epoch` steps, by the steps done before."""
    if config.schedule == "constant":
        return config.lr
    steps = config.epochs * steps_per_epoch
    # The rise starts above 0: a run of one step must learn something.
    return optax.warmup_cosine_decay_schedule(config.lr / 25, config.lr, int(config.warmup * steps), steps)


def make_tx(config: TrainConfig, steps_per_epoch: int) -> optax.GradientTransformation:
    """The optimizer of a run of `config.epochs` epochs of `steps_per_epoch` steps; its state counts the steps.

    Raises:
        UsageError: they are more than it can count.
    """
    if config.epochs * steps_per_epoch >= 2**31:
        raise UsageError(f"epochs must make fewer than 2**31 steps, found {config.epochs!r}")
    lr = make_schedule(config, steps_per_epoch)
    if config.optimizer == "adam":
        return optax.adam(lr)
    return optax.adamw(lr, b2=0.99, weight_decay=config.weight_decay, mask=_kernels)


def _kernels(params: optax.Params) -> Any:
    """Which parameters decay: those with two axes or more."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
