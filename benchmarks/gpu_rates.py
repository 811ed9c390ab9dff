"""Measures the rates that benchmarks/gpu.py prints: matrix products, feeding, steps alone and end to end.

A step is "alone" on a batch that stays on the device. As in `train`, the host runs only a limited number of calls ahead
of the device.
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

from model.compute.feed import AHEAD, Feed
from model.compute.steps import FUSED_DRAWINGS, compile_steps, create_train_state
from model.config import TrainConfig
from model.networks import make_network
from model.runs.checkpoint import Position
from model.training.meter import Meter
from model.training.optimizer import make_tx
from pipeline.bench.replicas import replicate
from pipeline.loading.loader import Batch, Loader
from pipeline.shards.folder import build_folder
from pipeline.shards.options import BuildOptions
from pipeline.threads import core_count

PRODUCTS = 10  # matrix products in a call, so that the time to launch it does not count
WARM_CALLS = 4  # calls before a clock starts
SPARE = 1.005  # lines differ in length, so slightly more bytes are requested until there are enough drawings


def least_drawings(device: jax.Device, batch: int) -> int:
    """How many drawings a rate needs: those of the calls before its clock starts, and of one call after."""
    fused = 1 if device.platform == "cpu" else max(1, FUSED_DRAWINGS // batch)  # as in compile_steps
    return (WARM_CALLS + 1) * fused * batch


def build_shards(sketches: Path, work: Path, drawings: int, classes: int) -> Path:
    """Build shards with a training split only and at least `drawings` drawings, unless they exist already.

    The lines are those of the first `classes` files of `sketches`, replicated; the folder's name contains a digest of
    the files' names and sizes.

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
    asked = sum(sizes.values()) * (drawings + len(files)) / max(1, real)  # each file may be up to a line shorter
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
    """How many real drawings are replicated: the lines of the first `classes` files."""
    return sum(path.read_bytes().count(b"\n") for path in _files(sketches, classes))


def _files(sketches: Path, classes: int) -> list[Path]:
    return sorted(sketches.glob("*.ndjson"))[:classes]


def matrix_rate(device: jax.Device, size: int, dtype: str, precision: str | None, rounds: int = 5) -> float:
    """Operations per second of the product of two (size, size) matrices of random numbers, in the best round.

    Args:
        device: the device that multiplies.
        size: rows and columns of a matrix.
        dtype: of the matrices and the product.
        precision: as in `jnp.matmul`; None is JAX's default.
        rounds: how often `PRODUCTS` products are timed.
    """
    key = jax.random.key(0)
    # Random, because chips multiply zeros faster. Scaled, so that a chain of products stays finite.
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
    """Drawings per second of a loader whose batches are not used."""
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
    """Drawings per second when one batch is copied to the device repeatedly, as many copies in flight as in `train`."""
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
    """The result of training end to end.

    Attributes:
        drawings: the number of drawings trained on.
        seconds: the time that this took.
        waiting: the share of the time spent waiting for the loader.
    """

    drawings: int
    seconds: float
    waiting: float

    @property
    def rate(self) -> float:
        """Drawings per second."""
        return self.drawings / self.seconds


class Training:
    """A network being trained on one device, and the measurements for its rows of the table.

    Args:
        config: the settings of the training.
        steps_per_epoch: steps per epoch of the schedule.
        device: the device that trains.
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int, device: jax.Device) -> None:
        self.config = config
        tx = make_tx(config, steps_per_epoch)
        render, classes = config.render_config(), len(config.classes)
        self.compiled = compile_steps(
            lambda axis: make_network(config.network, classes, axis_name=axis, dtype=jnp.dtype(config.precision)),
            tx,
            [device],
            batch=config.batch,
            label_smoothing=config.label_smoothing,
            seed=config.seed,
        )
        network = make_network(config.network, classes)
        state = create_train_state(network, tx, seed=config.seed, image_size=render.size, channels=render.channels)
        self.state = self.compiled.put_state(jax.device_get(state))

    def first_call(self, batch: Batch) -> float:
        """Copy `batch` to the device for good; returns the seconds of the first call on it, compiling included."""
        images, labels = self.compiled.put_batch(batch.images.copy(), batch.labels)
        self._resident = (images,) * self.compiled.fused, (labels,) * self.compiled.fused
        start = time.perf_counter()
        self._call()
        jax.block_until_ready(self.state)
        return time.perf_counter() - start

    def step_rate(self, seconds: float) -> float:
        """Drawings per second of steps on the batch that is on the device."""
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
        """Operations of a step for one drawing, as XLA counts them before it optimizes; NaN if XLA gives no count."""
        one = self.state, *(arrays[:1] for arrays in self._resident)
        abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), one)
        # Counted on the CPU, where a step has the same count in any precision: CUDA's plug-in gives no count before
        # optimizing, and after it convolutions are library calls, which it does not count.
        with jax.default_device(jax.devices("cpu")[0]):
            lowered = self.compiled.train_steps.lower(*abstract)
        try:
            return float(lowered.cost_analysis()["flops"]) / self.config.batch
        except NotImplementedError:
            return math.nan

    def end_to_end(self, loader: Loader, epoch: int, seconds: float | None) -> EndToEnd:
        """The loop of `model/training/train.py` over a loader's epoch.

        Args:
            loader: gives the batches; it adds to its `times`.
            epoch: the epoch to train.
            seconds: how long to train after the loader has begun; None trains the whole epoch, and the loader's start
                is timed too.
        """
        feed, fused = Feed(loader, self.compiled.put_batch, self.compiled.fused), self.compiled.fused
        meter, losses = Meter(self.config.batch, loader.times, Position(0, 0, 0.0)), [math.nan]
        waited, start, count = loader.times.waiting, time.perf_counter(), 0
        with contextlib.closing(loader.epoch(epoch)) as batches:
            # The rest of the epoch is not a whole group, and another length would have to be compiled.
            whole = itertools.islice(batches, len(loader) // fused * fused)
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
