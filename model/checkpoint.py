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
from pipeline.errors import CheckpointError, MismatchError, OutputError
from pipeline.storage import sync, write_atomically

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
        best: the name of the best checkpoint so far; None before the first validation.
    """

    epoch: int
    step: int
    seconds: float
    validation_top1: float | None = None
    best_top1: float | None = None
    best: str | None = None


def save_checkpoint(folder: Path, state: TrainState, position: Position) -> None:
    """Write a checkpoint of NumPy arrays to `folder`, which must not exist, so that it is there whole or not at all.

    Raises:
        OutputError: it cannot be written; nothing is left of it.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        contents = {ARRAYS: save(_flatten(state)), POSITION: json.dumps(asdict(position)).encode()}
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
            sync(temporary / name)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        write_atomically(temporary / MANIFEST, json.dumps(hashes, indent=1))
        temporary.replace(folder)
        sync(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OutputError(
            f"{folder}: the checkpoint cannot be written ({error.strerror or error}); "
            "make room, then go on from the one before with the same command"
        ) from error


def load_checkpoint(folder: Path, like: TrainState | None = None) -> tuple[Any, Position]:
    """The state and the position of a checkpoint.

    Args:
        folder: the checkpoint.
        like: a state of the shapes that are expected; None gives the nested dictionaries as they were stored.

    Raises:
        CheckpointError: a file is missing or damaged.
        MismatchError: the arrays are not those of `like`.
    """
    position = load_position(folder)
    content = _proved(folder, ARRAYS)
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f"{folder / ARRAYS}: damaged ({error}); {_remedy(folder)}") from error
    if like is None:
        return _nest(arrays), position
    if _shapes(arrays) != _shapes(_flatten(like)):
        raise MismatchError(f"{folder}: its arrays are not those of this network and optimizer")
    return serialization.from_state_dict(like, _restore(serialization.to_state_dict(like), arrays)), position


def load_position(folder: Path) -> Position:
    """The position of a checkpoint alone.

    Raises:
        CheckpointError: its file is missing or damaged.
    """
    content = _proved(folder, POSITION)
    try:
        return Position(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{folder / POSITION}: damaged ({error}); {_remedy(folder)}") from error


def digest_of(folder: Path) -> str:
    """The SHA-256 of a checkpoint's arrays.

    Raises:
        CheckpointError: they are missing or damaged.
    """
    return hashlib.sha256(_proved(folder, ARRAYS)).hexdigest()


def _proved(folder: Path, name: str) -> bytes:
    """The content of a file of a checkpoint, which the manifest has proved."""
    try:
        expected = json.loads((folder / MANIFEST).read_bytes())[name]
        content = (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename}: missing; {_remedy(folder)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / MANIFEST}: damaged; {_remedy(folder)}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise CheckpointError(f"{folder / name}: damaged ({len(content)} bytes, another SHA-256); {_remedy(folder)}")
    return content


def _remedy(folder: Path) -> str:
    return f"remove {folder} to go on from the checkpoint before it, if there is one, or train anew"


def _flatten(state: TrainState) -> dict[str, np.ndarray[Any, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(serialization.to_state_dict(state))
    # Not np.ascontiguousarray, which gives a scalar an axis.
    return {_name(path): np.asarray(leaf, order="C") for path, leaf in leaves}


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
