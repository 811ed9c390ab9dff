"""One pure train step and one pure eval step, and the one place that compiles them for the devices there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from pipeline.errors import UsageError

AXIS = "devices"
FUSED_DRAWINGS = 4096  # of a call on a GPU: a call costs the host 0.2 ms, in which small steps would be over


class TrainState(struct.PyTreeNode):
    """What a step changes.

    Attributes:
        step: steps done, () int32.
        params: the network's parameters, float32.
        batch_stats: running means and variances; empty for a network without batch norm.
        opt_state: the optimizer's.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any


def create_train_state(
    network: nn.Module, tx: optax.GradientTransformation, *, seed: int, image_size: int, channels: int = 3
) -> TrainState:
    """A state before its first step, the same for the same seed."""
    images = jnp.zeros((1, image_size, image_size, channels), jnp.uint8)
    # Compiled, and so from the cache on disk: op by op it took 5 s of every process.
    variables = jax.jit(partial(network.init, train=False))(jax.random.key(seed), images)
    params = variables["params"]
    return TrainState(jnp.zeros((), jnp.int32), params, variables.get("batch_stats", {}), tx.init(params))


def train_step(
    state: TrainState,
    images: jax.Array,
    labels: jax.Array,
    *,
    network: nn.Module,
    tx: optax.GradientTransformation,
    label_smoothing: float,
    seed: int,
    axis_name: str | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One step on a device's share of a batch.

    Args:
        state: before the step.
        images: (B, H, W, C) uint8.
        labels: (B,) int32.
        network: called with the state's variables.
        tx: the optimizer.
        label_smoothing: the share of a label spread over all classes.
        seed: of the dropout, whose masks are the same on any number of devices.
        axis_name: the pmap axis to average over, None under jit.

    Returns:
        The state after the step, and the batch's mean `loss` and `accuracy`, () float32.
    """
    key = jax.random.fold_in(jax.random.key(seed), state.step)

    def loss_fn(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, changed = network.apply(variables, images, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean(), (logits, changed.get("batch_stats", {}))

    (loss, (logits, batch_stats)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    metrics = {"loss": loss, "accuracy": (logits.argmax(-1) == labels).mean()}
    if axis_name is not None:
        grads, metrics = jax.lax.pmean((grads, metrics), axis_name)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, params, batch_stats, opt_state), metrics


def train_steps(
    state: TrainState, images: Sequence[jax.Array], labels: Sequence[jax.Array], *, step: Callable[..., Any]
) -> tuple[TrainState, dict[str, jax.Array]]:
    """As many steps as there are batches, one after the other in one call.

    Returns:
        The state after them, and the `loss` and `accuracy` of each step, (S,) float32.
    """
    if len(images) == 1:  # XLA's loops are slow on the CPU
        state, metrics = step(state, images[0], labels[0])
        return state, jax.tree.map(lambda one: one[None], metrics)
    return cast(
        tuple[TrainState, dict[str, jax.Array]],
        jax.lax.scan(lambda carry, batch: step(carry, *batch), state, (jnp.stack(images), jnp.stack(labels))),
    )


def eval_step(variables: Any, images: jax.Array, *, network: nn.Module) -> jax.Array:
    """Logits, (B, K) float32, of images, (B, H, W, C) uint8."""
    return cast(jax.Array, network.apply(variables, images, train=False))


@dataclass(frozen=True)
class CompiledSteps:
    """The steps compiled for some devices, and how states and batches get there and back.

    Attributes:
        devices: one runs under `jax.jit`, several under `jax.pmap`.
        fused: steps that one call should make: 1 where the host keeps up.
        train_steps: `(state, images, labels) -> (state, metrics)`, the state as `put_state` leaves it, images and
            labels sequences of what `put_batch` makes of each batch, `fused` of them or one; each length is compiled
            once. The old state's buffers are given away; metrics are (S,), or (D, S) of several devices.
        eval_step: `(variables, images) -> logits` on the first device.
    """

    devices: Sequence[jax.Device]
    fused: int
    train_steps: Callable[..., tuple[TrainState, dict[str, jax.Array]]]
    eval_step: Callable[..., jax.Array]

    def put_state(self, state: TrainState) -> TrainState:
        """The state on the devices."""
        if len(self.devices) > 1:
            count = len(self.devices)
            state = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (count, *np.shape(leaf))), state)
        placed: TrainState = jax.device_put(state, self._sharding())
        return placed

    def get_state(self, state: TrainState) -> TrainState:
        """The state as NumPy arrays."""
        host: TrainState = jax.device_get(state)
        return host if len(self.devices) == 1 else jax.tree.map(lambda leaf: leaf[0], host)

    def variables(self, state: TrainState) -> Any:
        """What `eval_step` takes, of a state on the devices."""
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        if len(self.devices) == 1:
            return variables
        # Not `leaf[0]`, which lies on every device, so that each would compute the whole evaluation.
        return jax.tree.map(lambda leaf: leaf.addressable_shards[0].data[0], variables)

    def put_batch(self, *arrays: np.ndarray[Any, Any]) -> list[jax.Array]:
        """Arrays of B drawings on the devices, in equal shares."""
        count = len(self.devices)
        if count > 1:
            arrays = tuple(array.reshape(count, len(array) // count, *array.shape[1:]) for array in arrays)
        return [jax.device_put(array, self._sharding()) for array in arrays]

    def _sharding(self) -> jax.Device | jax.sharding.Sharding:
        """Where arrays lie: as pmap leaves its results, or a second step would be compiled for those."""
        if len(self.devices) == 1:
            return self.devices[0]
        mesh = jax.sharding.Mesh(np.asarray(self.devices), (AXIS,))
        return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))


def compile_steps(
    network: Callable[[str | None], nn.Module],
    tx: optax.GradientTransformation,
    devices: Sequence[jax.Device],
    *,
    batch: int,
    label_smoothing: float,
    seed: int,
    fused: int | None = None,
) -> CompiledSteps:
    """Compile the steps for `devices`.

    Args:
        network: gives the network for an axis name: batch norm averages over it.
        tx: the optimizer.
        devices: one or more of a kind.
        batch: drawings of a global batch.
        label_smoothing: of the loss.
        seed: of the dropout.
        fused: steps a call; by default as many as keep a GPU busy with a call of `FUSED_DRAWINGS`, 1 on the CPU.

    Raises:
        UsageError: the devices do not divide the batch, which pmap would not say.
    """
    check_batch(batch, devices)
    # In float32, as `evaluate` and `predict` do.
    evaluate = jax.jit(partial(eval_step, network=network(None).clone(dtype=jnp.float32)))
    settings = {"tx": tx, "label_smoothing": label_smoothing, "seed": seed}
    if fused is None:
        fused = 1 if devices[0].platform == "cpu" else max(1, FUSED_DRAWINGS // batch)
    steps: Callable[..., Any]
    if len(devices) == 1:
        step = partial(train_step, network=network(None), **settings)
        steps = jax.jit(partial(train_steps, step=step), donate_argnums=0)
    else:
        step = partial(train_step, network=network(AXIS), axis_name=AXIS, **settings)
        steps = jax.pmap(partial(train_steps, step=step), axis_name=AXIS, devices=devices, donate_argnums=0)
    return CompiledSteps(devices, fused, steps, evaluate)


def check_batch(batch: int, devices: Sequence[jax.Device]) -> None:
    """Refuse a batch that the devices do not divide.

    Raises:
        UsageError: they do not.
    """
    if batch % len(devices):
        raise UsageError(f"batch {batch}: expected a multiple of the {len(devices)} devices")
