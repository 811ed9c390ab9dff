"""The training state of a checkpoint: JAX's trees of arrays to safetensors and back, without pickle."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import load, save

from model.compute.steps import TrainState
from model.config import TrainConfig
from model.networks import array_shapes
from model.runs.checkpoint import ARRAYS, Position, load_config, load_position, read_checked, remedy
from pipeline.errors import CheckpointError, MismatchError
from pipeline.wording import visible

_Shapes = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
_OF_NETWORK = ("params/", "batch_stats/")


def pack_state(state: TrainState) -> bytes:
    """A state of NumPy arrays as the content of `arrays.safetensors`, each array under its path in the state."""
    return save(_flatten(state))


def load_checkpoint(folder: Path, like: TrainState | None = None) -> tuple[Any, Position]:
    """Read the state and the position of a checkpoint, and check each of its files.

    Args:
        folder: the checkpoint.
        like: a state of the expected shapes; None expects the parameters and statistics of the network that the
            checkpoint's configuration names, whatever its optimizer, and returns nested dictionaries.

    Raises:
        CheckpointError: a file is missing or damaged.
        MismatchError: the arrays have other names, shapes or types than expected.
    """
    position, config = load_position(folder), load_config(folder)
    expected = _shapes(_flatten(like)) if like is not None else _network_shapes(config)
    content = read_checked(folder, ARRAYS, _limit(expected))
    try:
        arrays = load(content)
    except Exception as error:  # of many kinds: whatever the header says
        raise CheckpointError(f"{folder / ARRAYS}: damaged ({visible(str(error))[:200]}); {remedy(folder)}") from error
    if like is None:
        _check_fit(
            folder, {name: one for name, one in _shapes(arrays).items() if name.startswith(_OF_NETWORK)}, expected
        )
        kept = {name: array for name, array in arrays.items() if name in expected or name == "step"}
        return {"batch_stats": {}, **unflatten_dict(kept, sep="/")}, position
    if "step" in arrays:  # a constant rate counts no steps, but the schedule of epochs that were added to its run does
        arrays = {name: arrays["step"] for name in expected if name.endswith("/count")} | arrays
    _check_fit(folder, _shapes(arrays), expected)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{folder / ARRAYS}: {name} is not finite; {remedy(folder)}")
    empty = flatten_dict(serialization.to_state_dict(like), keep_empty_nodes=True, sep="/")
    return serialization.from_state_dict(like, unflatten_dict({**empty, **arrays}, sep="/")), position


def _network_shapes(config: TrainConfig) -> _Shapes:
    return {name: (shape, np.dtype(np.float32)) for name, shape in array_shapes(config).items()}


def _limit(expected: _Shapes) -> int:
    """The bytes that a file of these arrays may have, with a header and the state of an optimizer."""
    return (1 << 24) + 4 * sum(math.prod(shape) * dtype.itemsize for shape, dtype in expected.values())


def _check_fit(folder: Path, found: _Shapes, expected: _Shapes) -> None:
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            here, there = (_text(shapes.get(name)) for shapes in (found, expected))
            raise MismatchError(
                f"{folder}: its arrays do not fit this network and optimizer ({visible(name)[:100]}: {here} in the "
                f"file, {there} expected); use the version of sketchpipe that made it, or train a new run"
            )


def _text(one: tuple[tuple[int, ...], Any] | None) -> str:
    return "none" if one is None else f"{one[1]} {' x '.join(map(str, one[0])) or 'scalar'}"[:100]


def _flatten(state: TrainState) -> dict[str, np.ndarray[Any, Any]]:
    leaves = flatten_dict(serialization.to_state_dict(state), sep="/")
    # Not np.ascontiguousarray, which gives a scalar an axis.
    return {name: np.asarray(leaf, order="C") for name, leaf in leaves.items()}


def _shapes(arrays: dict[str, np.ndarray[Any, Any]]) -> _Shapes:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}
