"""Measures pmap, which `compile_steps` uses, against jit over a mesh: a train step on 1 to 8 devices.

    python benchmarks/devices.py [--counts 1 2 4 8] [--batch 64] [--rounds 5] [--seconds 0.5]

A child process measures, in which XLA presents the CPU as 8 devices; if there are several GPUs, these are measured. The
step is that of a small residual network without dropout, on random images of 32 pixels, with SGD; half of the time is
spent compiling it. On one device `compile_steps` uses plain jit.

The two ways alternate within a round, and the ratio is the median over the rounds, so that another process slows both
equally. Devices that are one CPU share its cores, so the rows compare the two ways on the same number of devices, not
different numbers. The difference is the largest of any parameter or batch statistic after 6 steps from the same state
on the same batches.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import jax
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from machine import machine
from training import positive

from model.compute.devices import describe
from model.compute.steps import TrainState, compile_steps, create_train_state, train_step, train_steps
from model.networks import SketchNet

CPU_DEVICES = 8
CLASSES, IMAGE_SIZE = 10, 32
CHECKED_STEPS = 6
SETTINGS: dict[str, Any] = {"tx": optax.sgd(0.05, momentum=0.9), "label_smoothing": 0.1, "seed": 0}

Step = Callable[..., tuple[TrainState, dict[str, jax.Array]]]
Put = Callable[[Any], Any]
Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description="pmap against jit over a mesh, the same train step.")
    parser.add_argument("--counts", type=positive, nargs="+", default=[1, 2, 4, 8], help="devices (%(default)s)")
    parser.add_argument("--batch", type=positive, default=64, help="drawings in a step, on all devices (%(default)s)")
    parser.add_argument("--rounds", type=positive, default=5, help="rounds; the ratio is their median (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="seconds of each measurement (%(default)s)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    uneven = [count for count in arguments.counts if arguments.batch % count]
    if uneven:
        parser.error(f"--counts {uneven[0]}: expected a divisor of --batch, {arguments.batch}")
    if arguments.child:
        print_table(arguments)
        return
    # JAX reads it when it looks for devices; it has no effect on GPUs.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={CPU_DEVICES}"
    command = [sys.executable, __file__, *sys.argv[1:], "--child"]
    sys.exit(subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags.strip()}, check=False).returncode)


def print_table(arguments: argparse.Namespace) -> None:
    """Measure and print the table; this runs in the child."""
    devices = jax.devices()
    if len(devices) == 1:  # one GPU: nothing to share
        devices = jax.devices("cpu")
    print(f"{machine(['jax', 'jaxlib', 'flax', 'optax'])}; {describe(devices)}.")
    print(f"Batches of {arguments.batch}, {arguments.rounds} rounds.\n")
    print("| devices | pmap, steps/s | jit over a mesh, steps/s | mesh against pmap | largest difference |")
    print("|---|---|---|---|---|", flush=True)
    for count in arguments.counts:
        if count > len(devices):
            print(f"| {count} | there are {len(devices)} |", flush=True)
            continue
        print(row(devices[:count], arguments), flush=True)


def row(devices: Sequence[jax.Device], arguments: argparse.Namespace) -> str:
    """Measure both ways on these devices; returns a row of the table."""
    dice = np.random.default_rng(0)
    shape = (arguments.batch, IMAGE_SIZE, IMAGE_SIZE, 3)
    batches = [
        (dice.integers(0, 256, shape, np.uint8), dice.integers(0, CLASSES, arguments.batch).astype(np.int32))
        for _ in range(CHECKED_STEPS)
    ]
    ways = [by_pmap(devices, arguments.batch), by_mesh(devices)]
    difference = largest_difference(*(way.after(batches) for way in ways))
    rates: list[list[float]] = [[], []]
    for _ in range(arguments.rounds):
        for way, found in zip(ways, rates, strict=True):
            found.append(way.rate(arguments.seconds))
    ratio = statistics.median(mesh / pmap for pmap, mesh in zip(*rates, strict=True))
    best = " | ".join(f"{max(found):.1f}" for found in rates)
    name = "1 (jit, no pmap)" if len(devices) == 1 else str(len(devices))
    return f"| {name} | {best} | {ratio:.3f} | {difference:.2g} |"


class Way:
    """One way to train on some devices.

    Args:
        steps: has the signature of `CompiledSteps.train_steps`.
        put_state: copies a state to the devices.
        put_batch: copies images and labels to the devices, in equal shares.
        get_state: copies a state back from the devices.
    """

    def __init__(self, steps: Step, put_state: Put, put_batch: Callable[..., Any], get_state: Put) -> None:
        self._steps, self._put_batch, self._get_state = steps, put_batch, get_state
        self._state = put_state(first_state())

    def after(self, batches: Sequence[Arrays]) -> TrainState:
        """The state after a step on each of `batches`, on the host; the last batch stays on the devices."""
        for images, labels in batches:
            self._batch = [(array,) for array in self._put_batch(images, labels)]
            self._state, _ = self._steps(self._state, *self._batch)
        found: TrainState = jax.tree.map(np.copy, self._get_state(self._state))
        return found

    def rate(self, seconds: float) -> float:
        """Steps per second; each step is started while the one before runs."""
        count, start, before = 0, time.perf_counter(), None
        while time.perf_counter() - start < seconds:
            self._state, metrics = self._steps(self._state, *self._batch)
            jax.block_until_ready(before)
            before = metrics
            count += 1
        jax.block_until_ready(self._state)
        return count / (time.perf_counter() - start)


def by_pmap(devices: Sequence[jax.Device], batch: int) -> Way:
    """The way of `sketchpipe train`: pmap."""
    steps = compile_steps(network, devices=devices, batch=batch, fused=1, **SETTINGS)
    return Way(steps.train_steps, steps.put_state, steps.put_batch, steps.get_state)


def by_mesh(devices: Sequence[jax.Device]) -> Way:
    """The way of jit over a mesh: the whole state on every device, the batch divided; XLA decides what to sum."""
    mesh = Mesh(np.asarray(devices), ("data",))  # jax.make_mesh has explicit axes, which refuse this step
    whole, shared = (NamedSharding(mesh, spec) for spec in (PartitionSpec(), PartitionSpec("data")))
    step = partial(train_step, network=network(None), **SETTINGS)
    # The placement of results is given, because otherwise a second step might be compiled for another placement.
    steps = jax.jit(partial(train_steps, step=step), donate_argnums=0, out_shardings=whole)
    return Way(
        steps,
        lambda state: jax.device_put(state, whole),
        lambda *arrays: [jax.device_put(array, shared) for array in arrays],
        jax.device_get,
    )


@cache
def first_state() -> TrainState:
    """The state that both ways start from, on the host."""
    state: TrainState = create_train_state(network(None), SETTINGS["tx"], seed=0, image_size=IMAGE_SIZE)
    return jax.device_get(state)


def network(axis_name: str | None) -> SketchNet:
    """A small network with batch norm, whose averages are over all devices."""
    return SketchNet(classes=CLASSES, axis_name=axis_name, stem_width=8, widths=(16, 32), blocks=(1, 1))


def largest_difference(one: TrainState, other: TrainState) -> float:
    """The largest difference of any parameter or batch statistic of two states."""
    moved = jax.tree.map(
        lambda a, b: float(np.abs(a - b).max()), (one.params, one.batch_stats), (other.params, other.batch_stats)
    )
    return max(jax.tree.leaves(moved))


if __name__ == "__main__":
    main()
