"""Decides whether a training computes with our own kernels (`model.kernels`) or with XLA's.

They are imported only on a CPU that uses them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from model.compute.devices import devices_for
from model.config import TrainConfig
from model.kernels.choice import LAX, kernels_here
from model.networks import make_network

RECORD = "kernels"  # in a run's record, under `versions`: the kernels that trained it, the last ones last
_AND = "; "


def kernels_for(config: TrainConfig, devices: Sequence[jax.Device]) -> str:
    """The kernels for a training: on a CPU those that suit it, for a network that has our own; elsewhere `LAX`."""
    here = kernels_here() if devices[0].platform == "cpu" and config.precision == "float32" else LAX
    if here == LAX:
        return LAX
    from model.compute.own_networks import OWN_NETWORKS

    return here if config.network in OWN_NETWORKS else LAX


def kernels_to_resume(recorded: str | None, available: str) -> str:
    """The kernels to resume a run with: the last ones of its record if they are used here, else others.

    A run whose record names none was trained with XLA's, which exist everywhere.
    """
    return LAX if last_kernels(recorded) == LAX else available


def last_kernels(recorded: str | None) -> str:
    """The kernels that trained a run last, by its record."""
    return LAX if recorded is None else recorded.rpartition(_AND)[2]


def record_of(recorded: str | None, kernels: str) -> str | None:
    """The record of a run that is resumed with `kernels`; each kernels are named once."""
    if last_kernels(recorded) == kernels:
        return recorded
    before = [one for one in (recorded or LAX).split(_AND) if one != kernels]
    return _AND.join([*before, kernels])


def prepare(kernels: str, network: str) -> None:
    """Begin to compile our own kernels of a network, in other processes, if they are not in the cache on disk."""
    if kernels != LAX:
        from model.compute.native.compiled import begin_compiling
        from model.compute.own_networks import KERNELS_OF

        begin_compiling(KERNELS_OF[network])


def compile_step(steps: Any, *arguments: Any) -> None:
    """Compile a train step with XLA while the processes that `prepare` began compile our own kernels, which it calls.

    Args:
        steps: what `jax.jit` returned; calling it with such arguments compiles nothing afterwards.
        arguments: the arguments of the step, which are not used up.
    """
    from model.compute.native.calls import only_compiling

    with only_compiling():
        steps.lower(*arguments).compile()


def training_network(config: TrainConfig, kernels: str) -> Callable[[str | None], nn.Module]:
    """What makes the network of a configuration for the name of a pmap axis, computing with the given kernels."""
    classes = len(config.classes)
    if kernels == LAX:
        dtype = jnp.dtype(config.precision)
        return lambda axis: make_network(config.network, classes, axis_name=axis, dtype=dtype)
    from model.compute.own_networks import OWN_NETWORKS

    return lambda axis: OWN_NETWORKS[config.network](classes=classes, axis_name=axis)


def training_devices(kernels: str, batch: int, devices: Sequence[jax.Device]) -> Sequence[jax.Device]:
    """The devices to train a batch on: with our own kernels one, because all of the CPU's threads share their work."""
    return devices_for(batch, devices) if kernels == LAX else devices[:1]
