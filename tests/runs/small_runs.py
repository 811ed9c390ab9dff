"""Checkpoints and runs made by hand: nothing is trained, and every array is other than zero."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from model.compute.steps import TrainState, train_state_shapes
from model.config import TrainConfig
from model.networks import SketchNet, make_config
from model.runs.card import CONFIG, RunCard
from model.runs.checkpoint import ARRAYS, POSITION, Position
from model.runs.folder import Run
from model.runs.sealed_folder import MANIFEST
from model.training.optimizer import make_tx

WORDS = ("ant", "bird", "cat")
AT = Position(epoch=1, step=4, seconds=2.5, validation_top1=0.5, best_top1=0.75, best="00001-0000000")
FILES = (ARRAYS, POSITION, CONFIG, MANIFEST)


def config_of(**changes: Any) -> TrainConfig:
    return make_config("sketchnet", WORDS, drawings=10_000, **changes)


def state_of(width: int = 2, seed: int = 0) -> TrainState:
    """A state with batch norm and AdamW, every array of it other than zero."""
    tx = make_tx(config_of(), steps_per_epoch=10)
    network = SketchNet(classes=3, stem_width=width, widths=(2,), blocks=(1,))
    shapes = train_state_shapes(network, tx, image_size=16)
    dice = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: np.asarray(dice.uniform(1, 100, leaf.shape), leaf.dtype), shapes)


def assert_same(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_array_equal(one, other)


def run_in(folder: Path, **changes: Any) -> Run:
    run = Run(folder, config_of(**changes), RunCard("shards/x", "/shards/x", "abc", True, {}))
    run.create()
    return run


def two_checkpoints(folder: Path) -> Run:
    """A run with a best checkpoint and a last one."""
    run = run_in(folder)
    position = run.save(state_of(), Position(1, 0, 1.0, 0.5, 0.5), best=True)
    run.save(state_of(seed=1), dataclasses.replace(position, step=3, seconds=2.0), best=False)
    return run
