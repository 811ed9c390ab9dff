"""A checkpoint: arrays without pickle, JSON beside them, and a manifest of SHA-256 that is checked on every load.

Neither safetensors nor Orbax notices a flipped bit; the manifest does. A checkpoint is a folder that appears under its
name when it is complete, and not before.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization
from safetensors import SafetensorError
from safetensors.numpy import load, save

from model.steps import TrainState
from pipeline.errors import CheckpointError, MismatchError
from pipeline.shards.commit import sync, write_atomically

ARRAYS, POSITION, MANIFEST = "arrays.safetensors", "position.json", "manifest.json"


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Attributes:
        epoch: the epoch that goes on, from 0.
        step: the step in it that comes next.
        seconds: spent training so far.
        validation_top1: of the last validation; None before the first.
        best_top1: the best validation so far; None before the first.
    """

    epoch: int
    step: int
    seconds: float
    validation_top1: float | None = None
    best_top1: float | None = None


def save_checkpoint(folder: Path, state: TrainState, position: Position) -> None:
    """Write a checkpoint of NumPy arrays to `folder`, which must not exist, so that it is there whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        contents = {ARRAYS: save(_flatten(state)), POSITION: json.dumps(asdict(position)).encode()}
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
            sync(temporary / name)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        write_atomically(temporary / MANIFEST, json.dumps(hashes, indent=1))
        temporary.replace(folder)
        sync(folder.parent)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def load_checkpoint(folder: Path, like: TrainState | None = None) -> tuple[Any, Position]:
    """The state and the position of a checkpoint.

    Args:
        folder: the checkpoint.
        like: a state of the shapes that are expected; None gives the nested dictionaries as they were stored.

    Raises:
        CheckpointError: a file is missing or damaged.
        MismatchError: the arrays are not those of `like`.
    """
    try:
        hashes = json.loads((folder / MANIFEST).read_bytes())
        contents = {name: (folder / name).read_bytes() for name in (ARRAYS, POSITION)}
        expected = {name: hashes[name] for name in contents}
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename}: missing; the checkpoint is not whole, train the run anew") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / MANIFEST}: damaged; train the run anew") from error
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != expected[name]:
            raise CheckpointError(
                f"{folder / name}: damaged ({len(content)} bytes, another SHA-256); train the run anew"
            )
    try:
        arrays = load(contents[ARRAYS])
        position = Position(**json.loads(contents[POSITION]))
    except (SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f"{folder}: damaged ({error}); train the run anew") from error
    if like is None:
        return _nest(arrays), position
    wanted = _flatten(like)
    if {name: (a.shape, a.dtype) for name, a in arrays.items()} != {
        name: (a.shape, a.dtype) for name, a in wanted.items()
    }:
        raise MismatchError(f"{folder}: its arrays are not those of this network and optimizer")
    return serialization.from_state_dict(like, _restore(serialization.to_state_dict(like), arrays)), position


def _flatten(state: TrainState) -> dict[str, np.ndarray[Any, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(serialization.to_state_dict(state))
    return {_name(path): np.ascontiguousarray(leaf) for path, leaf in leaves}


def _shapes(arrays: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def _restore(tree: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _leaf: arrays[_name(path)], tree)


def _name(path: Any) -> str:
    return "/".join(key.key for key in path)


def _nest(arrays: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    nested: dict[str, Any] = {"batch_stats": {}}
    for name, array in arrays.items():
        *groups, leaf = name.split("/")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = array
    return nested
