"""Trains a setting on shards for `recipes.py` and `settings.py`, by the step of `sketchpipe train` and variants of it.

Loader, feed, optimizer and the division over devices are the product's. The step differs: it can weight classes, mix
drawings, learn from a teacher's logits, and it keeps a running average of the weights.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from numpy.typing import NDArray
from sequences import CHANNELS, CarryingLoader
from settings_networks import Variant
from settings_table import Setting

from model.compute.feed import Feed
from model.compute.kernels import kernels_for, training_devices
from model.compute.steps import AXIS, CompiledSteps
from model.config import TrainConfig
from model.kernels.choice import LAX
from model.training.optimizer import make_tx
from pipeline.loading.loader import Batch, Loader, LoaderConfig
from pipeline.shards.read import ShardSplit, open_split

LAST_STEPS = 200  # whose accuracy is told
Arrays = dict[str, Any]  # by name: images, labels, sequences, teacher, as a setting needs them; the first axis is B


@dataclass(frozen=True)
class Teacher:
    """What a network learns from.

    Attributes:
        logits: (N, K) float16, for each row of the training split; None if the networks predict in each step.
        networks: networks whose mean probabilities are the teacher's in each step.
        variables: the variables of each.
    """

    logits: NDArray[np.float16] | None = None
    networks: tuple[Variant, ...] = ()
    variables: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        network: the network, for one device.
        variables: its variables after the last step.
        average: the running average of its variables.
        train_accuracy: of the last `LAST_STEPS` steps, on augmented drawings.
        cpu_seconds: of all threads, without the first step, which compiles.
        seconds: the same by the clock.
        images_per_second: by the clock.
    """

    network: Variant
    variables: Any
    average: Any
    train_accuracy: float
    cpu_seconds: float
    seconds: float
    images_per_second: float


class RecipeState(struct.PyTreeNode):
    """What a step takes and returns; `average` holds params and batch_stats, `teachers` never changes."""

    step: jax.Array
    variables: Any
    opt_state: Any
    average: Any
    teachers: Any


def config_of(setting: Setting, split: ShardSplit, seed: int) -> TrainConfig:
    """The configuration of a run with a setting."""
    return TrainConfig(
        network="sketchnet", classes=tuple(split.manifest.classes), seed=seed, epochs=setting.epochs,
        line_width=setting.line_width, image_size=setting.size, **setting.recipe,
    )  # fmt: skip


def train(
    setting: Setting, shards: Path, seed: int, devices: tuple[jax.Device, ...], teacher: Teacher | None = None
) -> Trained:
    """Train a setting on the training split of shards, to its last epoch."""
    split = open_split(shards, "train")
    config = config_of(setting, split, seed)
    teacher = teacher or Teacher()
    network = Variant(classes=len(config.classes), **setting.network)
    kernels = kernels_for(config, devices) if network.has_kernels and not setting.mixup else LAX
    network = network.clone(own=kernels != LAX)
    length = max(one.points if one.sequence else 0 for one in (network, *teacher.networks))
    how = LoaderConfig(config.batch, render=config.render_config(), augmentation=config.augmentation(), seed=seed)
    loader = CarryingLoader(split, how, length)
    tx = make_tx(config, len(loader))
    steps = compiled(setting, network, config, split, tx, training_devices(kernels, config.batch, devices), teacher)
    state = steps.put_state(first_state(network, config, tx, teacher))  # type: ignore[arg-type] # it takes any tree

    names = ["images", "labels", *(["sequences"] if length else []), *(["teacher"] if setting.taught else [])]

    def put(images: NDArray[np.uint8], carried: NDArray[Any]) -> list[jax.Array]:
        arrays = {"images": images, "labels": carried["label"], "sequences": carried["sequence"]}
        if setting.taught:
            assert teacher.logits is not None
            arrays["teacher"] = teacher.logits[carried["row"]]
        return steps.put_batch(*(np.ascontiguousarray(arrays[name]) for name in names))

    accuracy: deque[Any] = deque(maxlen=LAST_STEPS)
    began = cpu_began = 0.0
    feed = Feed(loader, put)
    with contextlib.closing(epochs_of(loader, config.epochs)) as batches:
        for group, kinds in feed.batches(batches):
            batch = dict(zip(names, (kind[0] for kind in kinds), strict=True))
            state, right = steps.train_steps(state, batch)
            feed.used(group, right)
            accuracy.append(right)
            if not began:  # the first step compiles
                jax.block_until_ready(right)
                began, cpu_began = time.perf_counter(), time.process_time()
    jax.block_until_ready(state)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    host: Any = steps.get_state(state)
    rate = (config.epochs * len(loader) - 1) * config.batch / max(seconds, 1e-9)
    mean = float(np.mean([np.asarray(one) for one in accuracy]))
    return Trained(network, host.variables, host.average, mean, cpu_seconds, seconds, rate)


def epochs_of(loader: Loader, epochs: int) -> Generator[Batch, None, None]:
    """The batches of all epochs."""
    for epoch in range(epochs):
        yield from loader.epoch(epoch)


def first_state(
    network: Variant, config: TrainConfig, tx: optax.GradientTransformation, teacher: Teacher
) -> RecipeState:
    """The state before the first step."""
    render = config.render_config()
    batch: Arrays = {"images": jnp.zeros((1, render.size, render.size, render.channels), jnp.uint8)}
    batch["sequences"] = jnp.ones((1, network.points, CHANNELS), jnp.float32)
    variables = jax.jit(partial(network.init, train=False))(jax.random.key(config.seed), *inputs_of(network, batch))
    average = jax.tree.map(jnp.copy, variables)
    return RecipeState(jnp.zeros((), jnp.int32), variables, tx.init(variables["params"]), average, teacher.variables)


def inputs_of(network: Variant, batch: Arrays) -> tuple[Any, ...]:
    """What a network takes of a batch: images, and sequences if it has a branch for them."""
    return (batch["images"], batch["sequences"]) if network.sequence else (batch["images"],)


def compiled(
    setting: Setting,
    network: Variant,
    config: TrainConfig,
    split: ShardSplit,
    tx: optax.GradientTransformation,
    devices: Any,
    teacher: Teacher,
) -> CompiledSteps:
    """The step compiled for the devices, as `model.compute.steps.compile_steps` compiles the product's."""
    counts = np.maximum(np.array(split.manifest.counts["train"], np.float64), 1)
    weights = counts**-setting.balance
    weights *= counts.sum() / (weights * counts).sum()  # the mean over drawings is 1
    axis = AXIS if len(devices) > 1 else None
    step = partial(
        train_step,
        network=network.clone(axis_name=axis),
        tx=tx,
        config=config,
        setting=setting,
        weights=jnp.asarray(weights, jnp.float32),
        prior=jnp.asarray(setting.prior * np.log(counts / counts.sum()), jnp.float32),
        teachers=teacher.networks,
        axis_name=axis,
    )
    made: Callable[..., Any]
    if axis is None:
        made = jax.jit(step, donate_argnums=0)
    else:
        made = jax.pmap(step, axis_name=axis, devices=devices, donate_argnums=0)
    return CompiledSteps(devices, 1, made, lambda *_: jnp.zeros(0))


def train_step(
    state: RecipeState, batch: Arrays, *, network: Variant, tx: optax.GradientTransformation, config: TrainConfig,
    setting: Setting, weights: jax.Array, prior: jax.Array, teachers: tuple[Variant, ...], axis_name: str | None,
) -> tuple[RecipeState, jax.Array]:  # fmt: skip
    """One step on a device's share of a batch; returns the state and the share that is classified correctly."""
    batch = dict(batch)
    dropout, mixing = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), state.step))
    labels = batch["labels"]
    targets = optax.smooth_labels(jax.nn.one_hot(labels, len(config.classes)), config.label_smoothing)
    if setting.mixup:
        share = jax.random.beta(mixing, setting.mixup, setting.mixup)
        mixed = (share * one + (1 - share) * one[::-1] for one in (batch["images"].astype(jnp.float32), targets))
        batch["images"], targets = mixed
    soft = taught(state, batch, setting, teachers) if setting.teaching else None
    inputs = inputs_of(network, batch)

    def loss_fn(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        given = {**state.variables, "params": params}
        logits, changed = network.apply(given, *inputs, train=True, rngs={"dropout": dropout}, mutable=["batch_stats"])
        losses = weights[labels] * optax.softmax_cross_entropy(logits + prior, targets)
        if soft is not None:  # the gradient shrinks by the square of the temperature (Hinton et al., arXiv:1503.02531)
            learned = setting.temperature**2 * optax.softmax_cross_entropy(logits / setting.temperature, soft)
            losses = (1 - setting.teaching) * losses + setting.teaching * learned
        return losses.mean(), (logits, changed["batch_stats"])

    (_, (logits, batch_stats)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.variables["params"])
    right = (logits.argmax(-1) == labels).mean()
    if axis_name is not None:
        grads, right = jax.lax.pmean((grads, right), axis_name)
    updates, opt_state = tx.update(grads, state.opt_state, state.variables["params"])
    params = optax.apply_updates(state.variables["params"], updates)
    variables, average = {"params": params, "batch_stats": batch_stats}, state.average
    if setting.average:
        decay = jnp.minimum(setting.average, (1 + state.step) / (10 + state.step))
        average = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, average, variables)
    return RecipeState(state.step + 1, variables, opt_state, average, state.teachers), right


def taught(state: RecipeState, batch: Arrays, setting: Setting, teachers: tuple[Variant, ...]) -> jax.Array:
    """The teacher's probabilities, (B, K) float32."""
    if not setting.live:
        return jax.nn.softmax(batch["teacher"].astype(jnp.float32) / setting.temperature)
    every: list[Any] = [
        teacher.apply(variables, *inputs_of(teacher, batch), train=False)
        for teacher, variables in zip(teachers, state.teachers, strict=True)
    ]
    mean = jax.nn.logsumexp(jax.nn.log_softmax(jnp.stack(every)), axis=0)  # up to a constant
    return jax.lax.stop_gradient(jax.nn.softmax(mean / setting.temperature))
