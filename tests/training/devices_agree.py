"""Trains tiny networks on one, two and eight of this process's devices; run by test_train.py on eight of them.

Prints a JSON object: for each network and each way of training it, the largest difference in any parameter or
statistic from training it step by step on one device, and how many times the step was traced.
"""

import json
import warnings
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax

from model.compute.steps import TrainState, compile_steps, create_train_state
from model.networks import QuickdrawClassifier, SketchNet

BATCH, STEPS = 16, 6


def sketchnet(axis_name: str | None) -> nn.Module:
    """With batch norm, whose averages go over all devices."""
    return SketchNet(classes=3, axis_name=axis_name, stem_width=4, widths=(8,), blocks=(1,))


def dropout(axis_name: str | None) -> nn.Module:
    """With dropout, whose masks follow from the place in the global batch."""
    return QuickdrawClassifier(classes=3, axis_name=axis_name)


def trained(network: Any, devices: list[jax.Device], fused: int) -> tuple[TrainState, int]:
    """The state after `STEPS` steps of SGD on random images, and how many times the step was traced."""
    sgd, traces = optax.sgd(0.05, momentum=0.9), []

    def update(*arguments: Any) -> Any:
        traces.append(None)
        return sgd.update(*arguments)

    tx = optax.GradientTransformation(sgd.init, update)
    state = jax.device_get(create_train_state(network(None), tx, seed=1, image_size=32))
    before = jax.tree.map(np.copy, state)
    steps = compile_steps(network, tx, devices, batch=BATCH, label_smoothing=0.1, seed=0, fused=fused)
    placed = steps.put_state(state)
    dice = np.random.default_rng(0)
    for _ in range(STEPS // fused):
        batches = [
            steps.put_batch(
                dice.integers(0, 256, (BATCH, 32, 32, 3), np.uint8), dice.integers(0, 3, BATCH).astype(np.int32)
            )
            for _ in range(fused)
        ]
        placed, metrics = steps.train_steps(placed, *zip(*batches, strict=True))
        assert metrics["loss"].shape == ((fused,) if len(devices) == 1 else (len(devices), fused))
    found = steps.get_state(placed)
    jax.tree.map(np.testing.assert_array_equal, state, before)  # what was put on the devices stays whole on the host
    return found, len(traces)


# Each costs seconds of compiling.
WAYS = {sketchnet: ((1, 3), (2, 1), (8, 1)), dropout: ((8, 3),)}


def main() -> None:
    """Print what is said above."""
    warnings.simplefilter("error")
    warnings.filterwarnings("default", category=DeprecationWarning, module="flax")  # of older versions with newer JAX
    out = {}
    for network, ways in WAYS.items():
        one, _ = trained(network, jax.devices()[:1], 1)
        for count, fused in ways:
            many, traces = trained(network, jax.devices()[:count], fused)
            moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), one, many)
            out[f"{network.__name__} on {count}, {fused} a call"] = {
                "step": int(many.step),
                "difference": max(jax.tree.leaves(moved)),
                "traces": traces,
            }
    print(json.dumps(out))


if __name__ == "__main__":
    main()
