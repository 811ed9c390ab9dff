"""The speed of an epoch, without what was compiled meanwhile."""

import jax.numpy as jnp
import pytest

from model.runs.checkpoint import Position
from model.training.meter import Meter
from pipeline import first_calls
from pipeline.threads import Times


def test_steps_among_which_something_was_compiled_are_in_the_loss_but_in_no_rate() -> None:
    times = Times()
    meter = Meter(8, times, Position(0, 0, 0.0))

    def read(loss: float, steps: int) -> bool:
        for _ in range(steps):
            meter.add({"loss": jnp.array([loss]), "accuracy": jnp.array([0.5])})
        times.waiting += 1e-6
        times.rendering += steps
        return meter.read().is_steady

    read(0.0, 0)  # what was compiled for the arrays above
    first_calls.note()
    assert not read(3.0, 5)
    assert meter.means() == {"train_loss": 3.0, "train_accuracy": 0.5}
    assert read(1.0, 5)
    means = meter.means()
    assert means["train_loss"] == 2.0
    assert means["rendering_seconds"] == 5.0
    assert means["waiting_seconds"] == pytest.approx(1e-6)
    assert means["images_per_second"] > 0
