"""The rates that benchmarks/gpu.py sets side by side: matrix products, feeding, steps alone, steps end to end.

A step is "alone" on a batch that stays on the device. Whatever runs ahead of the device is bounded as in `train`.
"""

import contextlib
import hashlib
import itertools
import math
import shutil
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from machine import say
from replicate import replicate

from model.compute.feed import AHEAD, Feed
from model.compute.optimizer import make_tx
from model.compute.steps import FUSED_DRAWINGS, compile_steps, create_train_state
from model.config import TrainConfig
from model.networks import make_network
from model.training.meter import Meter
from pipeline.loading.loader import Batch, Loader
from pipeline.shards.folder import build_folder
from pipeline.shards.options import BuildOptions
from pipeline.threads import core_count

PRODUCTS = 10  # of matrices in a call, so that its start does not count
WARM_CALLS = 4  # before a clock starts
SPARE = 1.005  # a drawing's line is as long as the mean only on average; more is asked for until there are enough


def least_drawings(device: jax.Device, batch: int) -> int:
    """How many drawings a rate takes: those of the calls before its clock starts, and of one behind."""
    fused = 1 if device.platform == "cpu" else max(1, FUSED_DRAWINGS // batch)  # as compile_steps has it
    return (WARM_CALLS + 1) * fused * batch


def build_shards(sketches: Path, work: Path, drawings: int, classes: int) -> Path:
    """Shards with a training split only, of at least so many drawings; taken as they are where they are there.

    The lines are those of the first `classes` files of `sketches`, replicated; the folder's name tells them by a digest
    of the files' names and sizes.

    Raises:
        InputError: `sketches` holds no ndjson.
    """
    files, real = _files(sketches, classes), real_drawings(sketches, classes)
    sizes = {path.name: path.stat().st_size for path in files}
    digest = hashlib.sha256(repr(sizes).encode()).hexdigest()[:12]
    to = work / f"{drawings}-drawings-{classes}-classes-{digest}"
    if to.exists():
        return to
    chosen, lines = to.with_suffix(".chosen"), to.with_suffix(".lines")
    shutil.rmtree(chosen, ignore_errors=True)
    chosen.mkdir(parents=True)
    for path in files:
        (chosen / path.name).symlink_to(path.resolve())
    start = time.perf_counter()
    asked = sum(sizes.values()) * (drawings + len(files)) / max(1, real)  # each file ends where no whole line fits
    made = replicate(chosen, lines, math.ceil(asked := asked * SPARE))
    while made.total_lines < drawings:
        made = replicate(chosen, lines, math.ceil(asked := asked * SPARE))
    written = time.perf_counter()
    build_folder([str(lines)], to, BuildOptions(splits="1,0,0"), workers=core_count())
    built = time.perf_counter()
    say(
        f"{made.total_lines:,} lines, {made.size / 1e9:.2f} GB: written in {written - start:.1f} s, "
        f"built in {built - written:.1f} s"
    )
    shutil.rmtree(lines)
    shutil.rmtree(chosen)
    return to


def real_drawings(sketches: Path, classes: int) -> int:
    """How many drawings are replicated: the lines of the first `classes` files."""
    return sum(path.read_bytes().count(b"\n") for path in _files(sketches, classes))


def _files(sketches: Path, classes: int) -> list[Path]:
    return sorted(sketches.glob("*.ndjson"))[:classes]


def matrix_rate(device: jax.Device, size: int, dtype: str, precision: str | None, rounds: int = 5) -> float:
    """Operations a second of the product of two (size, size) matrices of random numbers, the best of some rounds.

    Args:
        device: multiplies.
        size: of a side.
        dtype: of the matrices and the product.
        precision: as `jnp.matmul` has it; None is JAX's default.
        rounds: how often `PRODUCTS` of them are timed.
    """
    key = jax.random.key(0)
    # Random, because a chip multiplies zeros faster. Scaled, so that a chain of products stays finite.
    a, b = (
        jax.device_put(jax.random.normal(one, (size, size), dtype) / math.sqrt(size), device)
        for one in jax.random.split(key)
    )
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=precision))
    jax.block_until_ready(product(a, b))
    best = math.inf
    for _ in range(rounds):
        start, c = time.perf_counter(), a
        for _ in range(PRODUCTS):
            c = product(c, b)
        jax.block_until_ready(c)
        best = min(best, time.perf_counter() - start)
    return PRODUCTS * 2 * size**3 / best


def loader_rate(loader: Loader, epoch: int, seconds: float) -> float:
    """Drawings a second of a loader whose batches nobody uses."""
    count, start = -WARM_CALLS, math.inf
    with contextlib.closing(loader.epoch(epoch)) as batches:
        for batch in batches:
            loader.give_back(batch)
            count += 1
            if count == 0:
                start = time.perf_counter()
            if time.perf_counter() - start >= seconds:
                break
        return count * loader.config.batch / (time.perf_counter() - start)


def put_rate(batch: Batch, device: jax.Device, seconds: float) -> float:
    """Drawings a second of a batch that goes to the device again and again, as many under way as in `train`."""
    under_way = deque([jax.device_put(batch.images, device)])
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        under_way.append(jax.device_put(batch.images, device))
        count += 1
        if len(under_way) > AHEAD:
            jax.block_until_ready(under_way.popleft())
    jax.block_until_ready(list(under_way))
    return count * len(batch.images) / (time.perf_counter() - start)


@dataclass(frozen=True)
class EndToEnd:
    """How the loop went.

    Attributes:
        drawings: trained on.
        seconds: the time that took.
        waiting: the share of it spent waiting for the loader.
    """

    drawings: int
    seconds: float
    waiting: float

    @property
    def rate(self) -> float:
        """Drawings a second."""
        return self.drawings / self.seconds


class Training:
    """A network being trained on one device, and what its rows of the table say.

    Args:
        config: of the run.
        steps_per_epoch: of the schedule.
        device: trains.
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int, device: jax.Device) -> None:
        self.config = config
        tx = make_tx(config, steps_per_epoch)
        look, classes = config.render_config(), len(config.classes)
        self.compiled = compile_steps(
            lambda axis: make_network(config.network, classes, axis_name=axis, dtype=jnp.dtype(config.precision)),
            tx,
            [device],
            batch=config.batch,
            label_smoothing=config.label_smoothing,
            seed=config.seed,
        )
        network = make_network(config.network, classes)
        state = create_train_state(network, tx, seed=config.seed, image_size=look.size, channels=look.channels)
        self.state = self.compiled.put_state(jax.device_get(state))

    def first_call(self, batch: Batch) -> float:
        """Keep `batch` on the device; returns the seconds of the first call on it, compiling included."""
        images, labels = self.compiled.put_batch(batch.images.copy(), batch.labels)
        self._resident = (images,) * self.compiled.fused, (labels,) * self.compiled.fused
        start = time.perf_counter()
        self._call()
        jax.block_until_ready(self.state)
        return time.perf_counter() - start

    def step_rate(self, seconds: float) -> float:
        """Drawings a second of steps on the batch that is on the device."""
        under_way: deque[Any] = deque()
        count, start = -WARM_CALLS, math.inf
        while time.perf_counter() - start < seconds:
            if count == 0:
                jax.block_until_ready(self.state)
                start = time.perf_counter()
            under_way.append(self._call())
            count += 1
            if len(under_way) > AHEAD:
                jax.block_until_ready(under_way.popleft())
        jax.block_until_ready(self.state)
        return count * self.compiled.fused * self.config.batch / (time.perf_counter() - start)

    def operations(self) -> float:
        """Of a step on one drawing, as XLA counts them before it optimizes; NaN where it does not."""
        one = self.state, *(arrays[:1] for arrays in self._resident)
        abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), one)
        # On the CPU, where a step of any precision counts the same: CUDA's plug-in counts nothing before optimizing,
        # and convolutions that have become calls of a library are nothing to it afterwards.
        with jax.default_device(jax.devices("cpu")[0]):
            lowered = self.compiled.train_steps.lower(*abstract)
        try:
            return float(lowered.cost_analysis()["flops"]) / self.config.batch
        except NotImplementedError:
            return math.nan

    def end_to_end(self, loader: Loader, epoch: int, seconds: float | None) -> EndToEnd:
        """The loop of `model/train.py` over a loader's epoch.

        Args:
            loader: its times go on.
            epoch: to train.
            seconds: to train from when the loader has begun; None for the whole epoch, the loader's start included.
        """
        feed, fused = Feed(loader, self.compiled.put_batch, self.compiled.fused), self.compiled.fused
        meter, losses = Meter(self.config.batch, loader.times), [math.nan]
        waited, start, count = loader.times.waiting, time.perf_counter(), 0
        with contextlib.closing(loader.epoch(epoch)) as batches:
            # What is left over makes no whole group, and another length would have to be compiled.
            whole = itertools.islice(batches, loader.steps_per_epoch // fused * fused)
            for calls, (group, arrays) in enumerate(feed.batches(whole), start=1):
                self.state, metrics = self.compiled.train_steps(self.state, *arrays)
                feed.used(group, metrics)
                meter.add(metrics)
                count += len(group)
                if meter.due():
                    losses = meter.read().losses
                if seconds is not None and calls == WARM_CALLS:
                    jax.block_until_ready(self.state)
                    waited, start, count = loader.times.waiting, time.perf_counter(), 0
                elif seconds is not None and time.perf_counter() - start >= seconds:
                    break
            losses = meter.read().losses or losses  # waits for the last step
            took, waited = time.perf_counter() - start, loader.times.waiting - waited
        if not np.isfinite(losses).all():
            raise FloatingPointError(f"the loss is {losses[-1]}")
        return EndToEnd(count * self.config.batch, took, waited / took)

    def _call(self) -> Any:
        self.state, metrics = self.compiled.train_steps(self.state, *self._resident)
        return metrics
