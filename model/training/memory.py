"""Turns a device's "out of memory" into an error that says which batch would fit.

XLA knows how much memory a compiled step needs before the step runs. It is asked only after a step ran out of memory,
because asking costs a compilation for each batch size that is tried.
"""

import contextlib
import functools
import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from model.compute.devices import describe
from model.compute.feed import AHEAD
from model.compute.heap import give_heap_back
from model.compute.kernels import training_network
from model.compute.steps import compile_steps, eval_step, train_state_shapes
from model.config import TrainConfig
from model.kernels.choice import LAX
from model.networks import make_network
from model.scoring.evaluate import EVAL_BATCH
from model.training.optimizer import make_tx
from pipeline.errors import UsageError

USABLE = 0.95  # the share of a device's memory that can be used; fragmentation takes the rest


@contextlib.contextmanager
def explained_out_of_memory(config: TrainConfig, devices: Sequence[jax.Device], kernels: str = LAX) -> Iterator[None]:
    """Turn a device's "out of memory" into an error that says which batch would fit.

    Raises:
        UsageError: a device, or the host, ran out of memory.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory(config, devices, memory_of(devices), kernels) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device or the host ran out of memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "Out of memory" in str(error)


def out_of_memory(config: TrainConfig, devices: Sequence[jax.Device], limit: int, kernels: str = LAX) -> UsageError:
    """The error for a batch that did not fit into devices of `limit` bytes each."""
    needed = _bytes_needed(config, devices, kernels)
    takes = "" if needed is None else f", which takes {_gigabytes(needed)}"
    batch = f"batch {config.batch}: not enough memory for a step{takes}"
    where = f"{batch}, on {describe(devices)} with {_gigabytes(limit)} usable"
    if needed is not None and needed <= limit:
        return UsageError(f"{where}; another program probably holds the memory: end it, or train another run with "
                          f"--batch {max(1, config.batch // 2)} or less")  # fmt: skip
    fits = fitting_batch(config, devices, limit, kernels)
    if fits is None:
        return UsageError(f"{where}; no smaller batch fits either: use a smaller network, or --device cpu")
    return UsageError(f"{where}; train another run with --batch {fits}, which would fit")


def fitting_batch(config: TrainConfig, devices: Sequence[jax.Device], limit: int, kernels: str = LAX) -> int | None:
    """The largest of half the batch, a quarter, and so on that fits into `devices` of `limit` bytes each.

    Returns:
        The batch, rounded down to a multiple of the number of devices; None if not even the smallest fits.
    """
    count, half = _memories(devices), config.batch // 2
    while batch := half // count * count:
        needed = _bytes_needed(replace(config, batch=batch), devices, kernels)
        if needed is not None and needed <= limit:
            return batch
        half //= 2
    return None


@functools.cache
def bytes_needed(config: TrainConfig, share: int, device: jax.Device, kernels: str = LAX) -> int:
    """The most bytes that training takes on a device that gets `share` drawings of each batch."""
    tx, render, state = make_tx(config, 1), config.render_config(), _state(config)
    network, smoothing = training_network(config, kernels), config.label_smoothing
    steps = compile_steps(
        network, tx, [device], batch=share, label_smoothing=smoothing, seed=0, evaluated=_network(config)
    )
    images = [jax.ShapeDtypeStruct((share, render.size, render.size, render.channels), jnp.uint8)] * steps.fused
    labels = [jax.ShapeDtypeStruct((share,), jnp.int32)] * steps.fused
    waiting = (2 * AHEAD + 1) * sum(one.size for one in images)  # batches of the feed that lie on the device meanwhile
    training = waiting + _bytes_of(steps.train_steps, state, images, labels)
    optimizer = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.opt_state))
    return max(training, optimizer + _bytes_of_scoring(replace(config, batch=1)))


def memory_of(devices: Sequence[jax.Device]) -> int:
    """The bytes that each device can use: the limit that a GPU reports, or the memory of the host."""
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    reported = [int(limit) for limit in limits if limit]
    return int(USABLE * (min(reported) if reported else _memory_of_host()))


def _bytes_needed(config: TrainConfig, devices: Sequence[jax.Device], kernels: str) -> int | None:
    """`bytes_needed` for an equal share of the batch; None if memory runs out while XLA compiles the step."""
    try:
        return bytes_needed(config, config.batch // _memories(devices), devices[0], kernels)
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def _memories(devices: Sequence[jax.Device]) -> int:
    """The number of separate memories: each GPU has its own, all CPU devices share one."""
    return 1 if devices[0].platform == "cpu" else len(devices)


@functools.cache
def _bytes_of_scoring(config: TrainConfig) -> int:
    """The bytes that validation takes, which do not depend on the batch in training."""
    state, render = _state(config), config.render_config()
    network = _network(config).clone(dtype=jnp.float32)
    images = jax.ShapeDtypeStruct((EVAL_BATCH, render.size, render.size, render.channels), jnp.uint8)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    return _bytes_of(jax.jit(partial(eval_step, network=network)), variables, images)


def _network(config: TrainConfig) -> Any:
    return make_network(config.network, len(config.classes), dtype=jnp.dtype(config.precision))


def _state(config: TrainConfig) -> Any:
    """The shapes and types of a run's state."""
    network, tx, render = _network(config), make_tx(config, 1), config.render_config()
    return train_state_shapes(network, tx, image_size=render.size, channels=render.channels)


def _bytes_of(compiled: Any, *arguments: Any) -> int:
    """The bytes that a compiled function takes while it runs: arguments, results, temporary buffers and code."""
    sizes = compiled.lower(*arguments).compile().memory_analysis()
    kept = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return int(kept + sizes.temp_size_in_bytes + sizes.generated_code_size_in_bytes)


def _memory_of_host() -> int:
    """The machine's memory, or what this process's limit on address space leaves of it."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return memory
    give_heap_back()  # free memory that the process keeps counts as mapped
    statm = Path("/proc/self/statm")  # only on Linux
    mapped = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0
    return max(0, min(memory, most - mapped))


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
