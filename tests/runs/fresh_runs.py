"""Runs whose weights are random, on disk as if they had been trained: for tests that need no training."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import path_aware_map

from model.compute.steps import TrainState
from model.networks import make_config, make_network
from model.runs.card import RunCard
from model.runs.checkpoint import Position
from model.runs.folder import Run

CLASSES = ("ant", "hot dog", "猫", "The Eiffel Tower", "swan")


def fresh_run(folder: Path, network: str, classes: tuple[str, ...] = CLASSES, **changes: Any) -> Run:
    """A run of `network`, its recipe changed by `changes`, with a best checkpoint after one epoch."""
    config = make_config(network, classes, drawings=1000, **changes)
    channels = config.render_config().channels
    images = jax.ShapeDtypeStruct((1, config.image_size, config.image_size, channels), jnp.uint8)
    key = jax.random.key(0)
    shapes = jax.eval_shape(lambda x: make_network(network, len(classes)).init(key, x, train=False), images)
    rng = np.random.default_rng(0)
    variables: Any = path_aware_map(lambda path, leaf: _weights(path[-1], leaf.shape, rng), shapes)
    state: Any = TrainState(np.int32(1), variables["params"], variables.get("batch_stats", {}), ())
    versions = {"sketchpipe": "0.1.0"}
    run = Run(folder, config, RunCard("shards", str(folder / "shards"), "", True, versions, finished=True))
    run.create()
    run.save(state, Position(1, 0, 1.0, 0.5, 0.5), best=True)
    return run


def _weights(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Values of the size that a trained network has, so that its probabilities are neither all alike nor 0 and 1."""
    noise = rng.normal(size=shape)
    by_name = {
        "kernel": noise * np.sqrt(2 / max(1, np.prod(shape[:-1]))),
        "var": 1 + 0.2 * np.abs(noise),
        "scale": 1 + 0.1 * noise,
    }
    return by_name.get(name, 0.1 * noise).astype(np.float32)
