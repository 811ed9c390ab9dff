"""The training state of a checkpoint: JAX's trees of arrays to safetensors and back, without pickle."""

from pathlib import Path
from typing import Any

import numpy as np
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load, save

from model.compute.steps import TrainState
from model.runs.checkpoint import ARRAYS, Position, load_config, load_position, read_checked, remedy
from pipeline.errors import CheckpointError, MismatchError


def pack_state(state: TrainState) -> bytes:
    """A state of NumPy arrays as the content of `arrays.safetensors`, each array under its path in the state."""
    return save(_flatten(state))


def load_checkpoint(folder: Path, like: TrainState | None = None) -> tuple[Any, Position]:
    """Read the state and the position of a checkpoint, and check each of its files.

    Args:
        folder: the checkpoint.
        like: a state of the expected shapes; None returns nested dictionaries as they were stored.

    Raises:
        CheckpointError: a file is missing or damaged.
        MismatchError: the arrays have other names, shapes or types than those of `like`.
    """
    position = load_position(folder)
    load_config(folder)
    content = read_checked(folder, ARRAYS)
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f"{folder / ARRAYS}: damaged ({error}); {remedy(folder)}") from error
    if like is None:
        return {"batch_stats": {}, **unflatten_dict(arrays, sep="/")}, position
    expected = _flatten(like)
    if "step" in arrays:  # a constant rate counts no steps, but the schedule of epochs that were added to its run does
        arrays = {name: arrays["step"] for name in expected if name.endswith("/count")} | arrays
    if _shapes(arrays) != _shapes(expected):
        raise MismatchError(f"{folder}: its arrays do not fit this network and optimizer")
    empty = flatten_dict(serialization.to_state_dict(like), keep_empty_nodes=True, sep="/")
    return serialization.from_state_dict(like, unflatten_dict({**empty, **arrays}, sep="/")), position


def _flatten(state: TrainState) -> dict[str, np.ndarray[Any, Any]]:
    leaves = flatten_dict(serialization.to_state_dict(state), sep="/")
    # Not np.ascontiguousarray, which gives a scalar an axis.
    return {name: np.asarray(leaf, order="C") for name, leaf in leaves.items()}


def _shapes(arrays: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}
