"""Training with our own kernels against the same network computed by XLA alone."""

import contextlib
import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest

from model.compute.kernels import kernels_for, training_network
from model.compute.native import calls, frames
from model.compute.native.calls import target
from model.compute.own_networks import KERNELS_OF
from model.compute.steps import TrainState, create_train_state, train_step
from model.config import TrainConfig
from model.kernels.choice import LAX, OWN
from model.networks import make_config, make_network
from model.training.optimizer import make_tx
from pipeline.loading.loader import Loader, LoaderConfig
from pipeline.shards.read import open_split
from pipeline.threads import core_count
from tests.small import sample_shards

NETWORKS = ("sketchnet", "quickdraw-classifier", "sketch-classifier")
Batch = tuple[Any, Any]


def config_of(network: str, **changes: Any) -> TrainConfig:
    classes = tuple(f"class {number}" for number in range(10))
    config = make_config(network, classes, drawings=8000, **{"batch": 16, **changes})
    if kernels_for(config, jax.devices()) != OWN:
        pytest.skip("this machine computes with XLA's kernels only")
    return config


def batches_of(factory: pytest.TempPathFactory, config: TrainConfig, count: int) -> list[Batch]:
    """Batches of drawings of the sample, as the network sees them."""
    split = open_split(sample_shards(factory), "train")
    loader = Loader(split, LoaderConfig(config.batch, render=config.render_config(), seed=0))
    with contextlib.closing(loader.epoch(0)) as batches:
        return [(batch.images, batch.labels.astype(np.int32)) for batch in itertools.islice(batches, count)]


def started(config: TrainConfig, steps: int = 500) -> tuple[TrainState, Any]:
    tx = make_tx(config, steps, ())
    render = config.render_config()
    network = make_network(config.network, len(config.classes))
    return create_train_state(network, tx, seed=0, image_size=render.size, channels=render.channels), tx


def moved(params: Any) -> Any:
    """Parameters a little off: new scales of 0 hide half of sketchnet, and new biases of 0 make outputs of exactly 0.

    For these ReLU has no gradient, but for the rounding errors that Winograd's transforms make of them it may have one.
    """
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: leaf + rng.normal(0, 0.1, leaf.shape).astype("f4") if leaf.ndim == 1 else leaf, params
    )


def step_of(config: TrainConfig, network: nn.Module, tx: Any) -> Any:
    return jax.jit(partial(train_step, network=network, tx=tx, label_smoothing=config.label_smoothing, seed=0))


@pytest.mark.parametrize(("encoding", "batch", "size"), [("gray", 16, 64), ("order", 5, 64), ("order", 9, 16)])
@pytest.mark.parametrize("network", NETWORKS)
def test_logits_gradients_and_statistics_are_those_of_xla(
    network: str, encoding: str, batch: int, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = config_of(network, encoding=encoding, batch=batch, image_size=size)
    ((images, labels),) = batches_of(tmp_path_factory, config, 1)
    state, _ = started(config)
    params = moved(state.params)

    def loss(params: Any, network: nn.Module) -> Any:
        variables, key = {"params": params, "batch_stats": state.batch_stats}, jax.random.key(1)
        logits, changed = network.apply(variables, images, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
        return -jax.nn.log_softmax(logits)[np.arange(len(labels)), labels].mean(), (logits, changed)

    found, expected = (
        jax.jit(jax.value_and_grad(partial(loss, network=training_network(config, kernels)(None)), has_aux=True))(
            params
        )
        for kernels in (OWN, LAX)
    )
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, ours), theirs in zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        error = np.sqrt(np.mean((ours - theirs) ** 2) / (np.mean(np.square(theirs)) + 1e-20))
        assert error < 1e-5, (jax.tree_util.keystr(path), error)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_calls_the_kernels_that_are_compiled_for_its_network(
    network: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(network, batch=7)  # with which no other test traces a step
    ((images, labels),) = batches_of(tmp_path_factory, config, 1)
    state, tx = started(config)
    monkeypatch.setattr(calls, "_called", set())
    step_of(config, training_network(config, OWN)(None), tx).lower(state, images, labels)
    assert calls._called == set(KERNELS_OF[network])


@pytest.mark.parametrize("network", NETWORKS)
def test_twelve_losses_are_those_of_xla(network: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Adam turns the smallest differences of gradients near 0 into steps, so that they grow from step to step."""
    config = config_of(network, batch=64)
    batches = (batches_of(tmp_path_factory, config, 6) * 2)[:12]
    losses: list[list[float]] = []
    for kernels in (OWN, LAX):
        state, tx = started(config)
        state = state.replace(params=moved(state.params))
        step = step_of(config, training_network(config, kernels)(None), tx)
        losses.append([])
        for images, labels in batches:
            state, metrics = step(state, images, labels)
            losses[-1].append(float(metrics["loss"]))
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_bits_do_not_depend_on_the_threads_that_help(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = config_of("sketchnet")
    ((images, labels),) = batches_of(tmp_path_factory, config, 1)
    state, tx = started(config)
    step = step_of(config, training_network(config, OWN)(None), tx)
    target()
    found = []
    try:
        for helpers in (0, 7):
            frames.run_frame(-(helpers << 8 | frames.HELPERS))
            found.append(jax.device_get(step(state, images, labels)))
    finally:
        frames.run_frame(-((core_count() - 1) << 8 | frames.HELPERS))
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_array_equal(one, other)


def test_calls_of_many_threads_at_a_time_have_the_bits_of_one_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    config = config_of("sketchnet")
    ((images, labels),) = batches_of(tmp_path_factory, config, 1)
    state, tx = started(config)
    step = step_of(config, training_network(config, OWN)(None), tx)
    alone = jax.device_get(step(state, images, labels))
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: jax.device_get(step(state, images, labels)), range(48)))
    for one in found:
        jax.tree.map(np.testing.assert_array_equal, one, alone)


DEVICES = """
import sys
import jax, numpy as np
from model.compute.kernels import training_network
from model.kernels.choice import LAX, OWN
from model.compute.steps import compile_steps, create_train_state
from model.networks import make_config, make_network
from model.training.optimizer import make_tx

config = make_config("sketchnet", [f"class {n}" for n in range(10)], drawings=8000, batch=16)
tx = make_tx(config, 500, ())
rng = np.random.default_rng(0)
images = (rng.integers(0, 256, (12, 16, 64, 64, 3)) * (rng.random((12, 16, 64, 64, 1)) < 0.2)).astype(np.uint8)
labels = rng.integers(0, 10, (12, 16)).astype(np.int32)
found = []
for kernels, devices in ((OWN, jax.devices()), (OWN, jax.devices()[:1]), (LAX, jax.devices())):
    steps = compile_steps(training_network(config, kernels), tx, devices, batch=16, label_smoothing=0.1, seed=0,
                          evaluated=make_network("sketchnet", 10))
    state = steps.put_state(create_train_state(make_network("sketchnet", 10), tx, seed=0, image_size=64))
    losses = []
    for one in zip(images, labels):
        state, metrics = steps.train_steps(state, *([array] for array in steps.put_batch(*one)))
        losses.append(float(np.ravel(metrics["loss"])[0]))
    found.append(losses)
print(len(jax.devices()), found)
np.testing.assert_allclose(found[0], found[2], rtol=1e-5)
np.testing.assert_allclose(found[1], found[2], rtol=1e-5)
"""


def test_twelve_losses_on_two_devices_are_those_of_xla() -> None:
    config_of("sketchnet")
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run([sys.executable, "-c", DEVICES], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("2 ")
