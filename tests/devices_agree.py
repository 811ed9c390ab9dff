"""Trains two tiny networks on one and on all of this process's devices; run by test_train.py on four of them.

Prints a JSON object: for each network the largest difference between the two in any parameter or statistic, and how
many times each step was traced.
"""

import json
import warnings
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax

from model.networks import SketchClassifier, SketchNet
from model.steps import TrainState, compile_steps, create_train_state

BATCH, STEPS = 16, 6


def classifier(axis_name: str | None) -> nn.Module:
    """Without batch norm."""
    return SketchClassifier(classes=3, axis_name=axis_name)


def sketchnet(axis_name: str | None) -> nn.Module:
    """With batch norm, whose averages go over all devices."""
    return SketchNet(classes=3, axis_name=axis_name, stem_width=4, widths=(8,))


def trained(network: Any, devices: list[jax.Device]) -> tuple[TrainState, int]:
    """The state after `STEPS` steps of SGD on random images, and how many times the step was traced."""
    sgd, traces = optax.sgd(0.05, momentum=0.9), []

    def update(*arguments: Any) -> Any:
        traces.append(None)
        return sgd.update(*arguments)

    tx = optax.GradientTransformation(sgd.init, update)
    state = jax.device_get(create_train_state(network(None), tx, seed=1, image_size=32))
    before = jax.tree.map(np.copy, state)
    steps = compile_steps(network, tx, devices, batch=BATCH, label_smoothing=0.1, seed=0)
    placed = steps.put_state(state)
    dice = np.random.default_rng(0)
    for _ in range(STEPS):
        images = dice.integers(0, 256, (BATCH, 32, 32, 3), np.uint8)
        labels = dice.integers(0, 3, BATCH).astype(np.int32)
        placed, _metrics = steps.train_step(placed, *steps.put_batch(images, labels))
    found = steps.get_state(placed)
    jax.tree.map(np.testing.assert_array_equal, state, before)  # what was put on the devices stays whole on the host
    return found, len(traces)


def main() -> None:
    """Print what is said above."""
    warnings.simplefilter("error")
    out = {}
    for network in (classifier, sketchnet):
        (one, traces_of_one), (many, traces_of_many) = (trained(network, jax.devices()[:n]) for n in (1, None))
        moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), one, many)
        out[network.__name__] = {
            "devices": jax.device_count(),
            "step": int(many.step),
            "difference": max(jax.tree.leaves(moved)),
            "traces": [traces_of_one, traces_of_many],
        }
    print(json.dumps(out))


if __name__ == "__main__":
    main()
