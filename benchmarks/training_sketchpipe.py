"""sketchpipe's side of benchmarks/training.py: loader, feed and compiled steps as in `sketchpipe train`.

    python benchmarks/training_sketchpipe.py NETWORK BATCH SHARDS REFERENCE

It writes REFERENCE, with which the peer proves that it is the same network, then trains on request. Validation and
checkpoints are left out; losses are read once a second as in `train`.
"""

import contextlib
import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from model.compute.heap import keep_heap

keep_heap("cpu")  # as `sketchpipe train` does, before the imports below start threads

import flax.linen as nn
import jax
import numpy as np
import optax
from training import Rounds, serve

from model.compute.devices import choose_devices
from model.compute.feed import Feed
from model.compute.kernels import compile_step, kernels_for, prepare, training_devices, training_network
from model.compute.steps import compile_steps, create_train_state
from model.config import TrainConfig
from model.kernels.choice import LAX
from model.networks import make_config, make_network
from model.runs.checkpoint import Position
from model.training.meter import Meter
from model.training.optimizer import make_tx
from pipeline.loading.loader import Batch, Loader, LoaderConfig
from pipeline.rendering.augment import OFF, Augmentation
from pipeline.shards.read import open_split

NOT_SHAPE = {"parent", "name", "axis_name", "dtype", "pool"}  # fields of a network that do not change what it computes
FREE = ("bias", "mean")  # leaves that may have any sign; scales and variances are positive


def main() -> None:
    name, batch, shards, reference = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    devices = choose_devices("cpu", divided=True)
    split = open_split(shards, "train")
    config = make_config(name, split.manifest.classes, drawings=len(split), batch=batch, augment=OFF)
    loaders = {
        "loop": Loader(split, LoaderConfig(batch, render=config.render_config())),
        "augmented": Loader(split, LoaderConfig(batch, render=config.render_config(), augmentation=Augmentation())),
    }
    first = next(loaders["loop"].epoch(0))
    write_reference(reference, config, first, len(loaders["loop"]))
    training = Training(config, len(loaders["loop"]), devices)
    resident = training.put(first)
    start = time.perf_counter()
    training.compile(resident)
    training.step(resident)
    training.wait()
    compiled = time.perf_counter() - start
    steps = {name: training.steps_of(loader) for name, loader in loaders.items()}
    rounds: Rounds = {name: lambda steps=steps: next(steps) for name, steps in steps.items()}
    rounds["step"] = lambda: training.step(resident)
    serve({"first_step": compiled}, rounds, training.wait, batch)


class Training:
    """A network being trained on the CPU, with the kernels and the devices that `sketchpipe train` chooses."""

    def __init__(self, config: TrainConfig, steps_per_epoch: int, devices: Sequence[jax.Device]) -> None:
        self.config = config
        tx = make_tx(config, steps_per_epoch)
        render = config.render_config()
        kernels = self.kernels = kernels_for(config, devices)
        prepare(kernels, config.network)
        self.compiled = compile_steps(
            training_network(config, kernels),
            tx,
            training_devices(kernels, config.batch, devices),
            batch=config.batch,
            label_smoothing=config.label_smoothing,
            seed=config.seed,
            fused=1,
            evaluated=make_network(config.network, len(config.classes)),
        )
        network = make_network(config.network, len(config.classes))
        state = create_train_state(network, tx, seed=config.seed, image_size=render.size, channels=render.channels)
        self.state = self.compiled.put_state(jax.device_get(state))
        self.before: Any = None

    def put(self, batch: Batch) -> list[jax.Array]:
        """Copy a batch's images and labels to the device."""
        return self.compiled.put_batch(batch.images, batch.labels)

    def compile(self, arrays: list[jax.Array]) -> None:
        """Compile the train step, as `sketchpipe train` does."""
        if self.kernels != LAX:
            compile_step(self.compiled.train_steps, self.state, *((array,) for array in arrays))

    def step(self, arrays: list[jax.Array]) -> None:
        """Start one step while the step before runs, as in the loop."""
        images, labels = arrays
        self.state, metrics = self.compiled.train_steps(self.state, (images,), (labels,))  # tuples, as Feed gives
        jax.block_until_ready(self.before)
        self.before = metrics

    def steps_of(self, loader: Loader) -> Iterator[None]:
        """The training loop of `sketchpipe train`, a step at a time, epoch after epoch."""
        for epoch in itertools.count():
            feed = Feed(loader, self.compiled.put_batch, self.compiled.fused)
            meter = Meter(self.config.batch, loader.times, Position(0, 0, 0.0))
            with contextlib.closing(loader.epoch(epoch)) as batches:
                for group, arrays in feed.batches(batches):
                    self.state, metrics = self.compiled.train_steps(self.state, *arrays)
                    feed.used(group, metrics)
                    meter.add(metrics)
                    if meter.due() and not np.isfinite(meter.read().losses).all():
                        sys.exit("WRONG: the loss is not finite")
                    yield

    def wait(self) -> None:
        """Wait until all steps begun are done."""
        jax.block_until_ready(self.state)


def write_reference(path: Path, config: TrainConfig, batch: Batch, steps_per_epoch: int) -> None:
    """Write weights, real drawings, and the network's logits and loss for them.

    The arrays of `start/` are the weights with which training starts. Those of `check/` are the same with random
    scales, biases and statistics, because a new network has zeros there, which would hide an error. Each array is named
    by its Flax path.
    """
    network = make_network(config.network, len(config.classes))
    start = network.init(jax.random.key(config.seed), batch.images, train=False)
    check = stirred(start)
    arrays = {f"{kind}/{name}": leaf for kind, one in (("start", start), ("check", check)) for name, leaf in flat(one)}
    arrays |= {"images": batch.images, "labels": batch.labels}
    logits = {"eval": network.apply(check, batch.images, train=False)}
    # Two libraries do not draw the same dropout masks.
    if not any("Dropout" in layer for layer in layers_of(network, batch)):
        logits["train"], _ = network.apply(check, batch.images, train=True, mutable=["batch_stats"])
    for mode, found in logits.items():
        targets = optax.smooth_labels(jax.nn.one_hot(batch.labels, found.shape[-1]), config.label_smoothing)
        arrays[f"{mode}/logits"] = found
        arrays[f"{mode}/loss"] = optax.softmax_cross_entropy(found, targets).mean()
    fields = {one.name: getattr(network, one.name) for one in dataclasses.fields(network) if one.name not in NOT_SHAPE}
    settings = {
        "network": type(network).__name__,
        "fields": fields,
        "recipe": dataclasses.asdict(config),
        "steps": config.epochs * steps_per_epoch,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(start["params"])),
    }
    np.savez(path, settings=json.dumps(settings), **jax.device_get(arrays))


def layers_of(network: nn.Module, batch: Batch) -> set[str]:
    """The names of the layers' classes."""
    seen: set[str] = set()

    def note(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        seen.add(type(context.module).__name__)
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda: network.init(jax.random.key(0), batch.images, train=False))
    return seen


def stirred(variables: Any) -> Any:
    """Variables with random scales, biases, means and variances; kernels are unchanged."""
    generator = np.random.default_rng(0)

    def stir(path: Any, leaf: jax.Array) -> Any:
        kind = path[-1].key
        if kind == "kernel":
            return leaf
        low, high = (-0.2, 0.2) if kind in FREE else (0.5, 1.5)
        return generator.uniform(low, high, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(stir, variables)


def flat(variables: Any) -> Iterator[tuple[str, jax.Array]]:
    """Each leaf with its path, as in "params/stage1/conv1/kernel"."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        yield "/".join(key.key for key in path), leaf


if __name__ == "__main__":
    main()
