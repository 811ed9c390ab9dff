"""The optimizer and the learning rate of a run, as its recipe has them."""

from collections.abc import Sequence
from typing import Any

import jax
import optax

from model.config import TrainConfig
from model.runs.card import Added
from pipeline.errors import UsageError


def make_schedule(config: TrainConfig, steps_per_epoch: int, added: Sequence[Added] = ()) -> optax.ScalarOrSchedule:
    """The learning rate of a run of `config.epochs` epochs and those `added`, by the steps done before."""
    steps = config.epochs * steps_per_epoch
    constant = config.schedule == "constant"
    if constant and not added:
        return config.lr
    schedules = [optax.constant_schedule(config.lr) if constant else _rise_and_fall(config.lr, config.warmup, steps)]
    ends = [steps]
    for one in added:
        end = one.epochs * steps_per_epoch
        schedules.append(_rise_and_fall(one.lr, one.warmup, end - ends[-1]))
        ends.append(end)
    return optax.join_schedules(schedules, ends[:-1]) if added else schedules[0]


def make_tx(config: TrainConfig, steps_per_epoch: int, added: Sequence[Added] = ()) -> optax.GradientTransformation:
    """The optimizer of a run of `config.epochs` epochs and those `added`; its state counts the steps.

    Raises:
        UsageError: they are more than it can count.
    """
    epochs = added[-1].epochs if added else config.epochs
    if epochs * steps_per_epoch >= 2**31:
        raise UsageError(f"epochs must make fewer than 2**31 steps, found {epochs!r}")
    lr = make_schedule(config, steps_per_epoch, added)
    if config.optimizer == "adam":
        return optax.adam(lr)
    return optax.adamw(lr, b2=0.99, weight_decay=config.weight_decay, mask=_kernels)


def _rise_and_fall(lr: float, warmup: float, steps: int) -> optax.Schedule:
    # The rise starts above 0: a run of one step must learn something.
    return optax.warmup_cosine_decay_schedule(lr / 25, lr, int(warmup * steps), steps)


def _kernels(params: optax.Params) -> Any:
    """Which parameters decay: those with two axes or more."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
