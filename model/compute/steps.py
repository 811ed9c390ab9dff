"""The pure train and eval steps, and the only place that compiles them for the available devices."""

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
FUSED_DRAWINGS = 4096  # drawings per call on a GPU: a call costs the host 0.2 ms, longer than a small step takes


class TrainState(struct.PyTreeNode):
    """The state that a train step takes and returns.

    Attributes:
        step: the number of steps done, () int32.
        params: the network's parameters, float32.
        batch_stats: running means and variances; empty for a network without batch norm.
        opt_state: the optimizer's state.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any


def create_train_state(
    network: nn.Module, tx: optax.GradientTransformation, *, seed: int, image_size: int, channels: int = 3
) -> TrainState:
    """The state before the first step; the same seed gives the same state."""
    # Compiled as a whole, so that it comes from the cache on disk: one operation at a time took 5 s in every process.
    # It runs once: with fewer of LLVM's passes it is compiled in a third of the time, to the same bits.
    init = jax.jit(partial(network.init, train=False), compiler_options={"xla_backend_optimization_level": "1"})
    images = jnp.zeros((1, image_size, image_size, channels), jnp.uint8)
    return _first_state(init(jax.random.key(seed), images), tx)


def train_state_shapes(
    network: nn.Module, tx: optax.GradientTransformation, *, image_size: int, channels: int = 3
) -> Any:
    """The shapes and types of `create_train_state`'s result, as a `TrainState` of `jax.ShapeDtypeStruct`."""
    images = jax.ShapeDtypeStruct((1, image_size, image_size, channels), jnp.uint8)
    init = partial(network.init, train=False)
    return jax.eval_shape(lambda images: _first_state(init(jax.random.key(0), images), tx), images)


def _first_state(variables: Any, tx: optax.GradientTransformation) -> TrainState:
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
    """Run one training step on a device's share of a batch.

    Args:
        state: the state before the step.
        images: (B, H, W, C) uint8.
        labels: (B,) int32.
        network: the network, which is applied with the state's variables.
        tx: the optimizer.
        label_smoothing: the share of a label that is spread over all classes.
        seed: the seed of dropout, whose masks are the same on any number of devices.
        axis_name: the pmap axis to average over; None under jit.

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
    """Run one step for each of S batches, one after the other, in one call.

    Returns:
        The state after the last step, and the `loss` and `accuracy` of each step, (S,) float32.
    """
    if len(images) == 1:  # without `scan`, because XLA's loops are slow on the CPU
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
    """The steps compiled for some devices, and methods that move states and batches to the devices and back.

    Attributes:
        devices: one device runs under `jax.jit`, several under `jax.pmap`.
        fused: the number of steps that one call should run; 1 on the CPU, where the cost of a call is hidden.
        train_steps: `(state, images, labels) -> (state, metrics)`. The state is one that `put_state` returned; images
            and labels are sequences of arrays that `put_batch` returned, `fused` of them or one. Each length is
            compiled once. The buffers of the old state are donated; metrics are (S,), or (D, S) on several devices.
        eval_step: `(variables, images) -> logits` on the first device.
    """

    devices: Sequence[jax.Device]
    fused: int
    train_steps: Callable[..., tuple[TrainState, dict[str, jax.Array]]]
    eval_step: Callable[..., jax.Array]

    def put_state(self, state: TrainState) -> TrainState:
        """Copy a state to the devices."""
        if len(self.devices) > 1:
            count = len(self.devices)
            state = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (count, *np.shape(leaf))), state)
        placed: TrainState = jax.device_put(state, self._sharding())
        return placed

    def get_state(self, state: TrainState) -> TrainState:
        """Copy a state from the devices, as NumPy arrays."""
        host: TrainState = jax.device_get(state)
        return host if len(self.devices) == 1 else jax.tree.map(lambda leaf: leaf[0], host)

    def variables(self, state: TrainState) -> Any:
        """The variables that `eval_step` takes, from a state on the devices."""
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        if len(self.devices) == 1:
            return variables
        # `leaf[0]` would lie on every device, and then each device would compute the whole evaluation.
        return jax.tree.map(lambda leaf: leaf.addressable_shards[0].data[0], variables)

    def put_batch(self, *arrays: np.ndarray[Any, Any]) -> list[jax.Array]:
        """Copy arrays of B drawings to the devices, an equal share to each."""
        count = len(self.devices)
        if count > 1:
            arrays = tuple(array.reshape(count, len(array) // count, *array.shape[1:]) for array in arrays)
        return [jax.device_put(array, self._sharding()) for array in arrays]

    def _sharding(self) -> jax.Device | jax.sharding.Sharding:
        """The placement of arrays: the one that pmap gives its results, else a second step would be compiled."""
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
    evaluated: nn.Module | None = None,
) -> CompiledSteps:
    """Compile the steps for `devices`.

    Args:
        network: returns the network for the name of a pmap axis, over which batch norm averages.
        tx: the optimizer.
        devices: one or more devices of the same kind.
        batch: the number of drawings in a global batch.
        label_smoothing: the share of a label that is spread over all classes.
        seed: the seed of dropout.
        evaluated: the network for validation, if it is not `network`; both have the same parameters.
        fused: the number of steps per call; by default so many that a call on a GPU has `FUSED_DRAWINGS`, 1 on the CPU.

    Raises:
        UsageError: the batch is not a multiple of the number of devices, which pmap would not report.
    """
    check_batch(batch, devices)
    # Validation computes in float32, as `evaluate` and `predict` do.
    evaluate = jax.jit(partial(eval_step, network=evaluated or network(None).clone(dtype=jnp.float32)))
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
    """Check that a batch can be divided equally among the devices.

    Raises:
        UsageError: the batch is not a multiple of the number of devices.
    """
    if batch % len(devices):
        raise UsageError(f"batch {batch}: expected a multiple of the {len(devices)} devices")
