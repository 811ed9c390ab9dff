"""A checkpoint: arrays without pickle, JSON beside them, and a manifest of SHA-256 that is checked on every load.

Neither safetensors nor Orbax notices a flipped bit; the manifest does, and proves itself. A checkpoint is a folder that
appears under its name when it is complete, and not before.

arrays.safetensors  step, parameters, batch statistics, the optimizer's state
position.json       where the run stands
config.json         the run's whole configuration: recipe, classes, how drawings become images
manifest.json       the SHA-256 of the three
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

from model.compute.steps import TrainState
from model.config import TrainConfig
from pipeline.errors import CheckpointError, MismatchError, OutputError, UsageError
from pipeline.storage.files import sync, write_file
from pipeline.storage.sealed import seal, unseal

ARRAYS, POSITION, CONFIG, MANIFEST = "arrays.safetensors", "position.json", "config.json", "manifest.json"


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


def save_checkpoint(folder: Path, state: TrainState, position: Position, config: TrainConfig) -> None:
    """Write a checkpoint of NumPy arrays to `folder`, which must not exist, so that it is there whole or not at all.

    Raises:
        OutputError: it cannot be written; nothing is left of it.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    contents: dict[str, bytes] = {
        ARRAYS: save(_flatten(state)),
        POSITION: json.dumps(asdict(position), indent=1).encode(),
        CONFIG: config.to_json().encode(),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    try:
        temporary.mkdir(parents=True)
        for name, content in {**contents, MANIFEST: seal(hashes).encode()}.items():
            write_file(temporary / name, content)
        sync(temporary)
        temporary.replace(folder)
        sync(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OutputError(
            f"{folder}: the checkpoint cannot be written ({error.strerror or error}); "
            "make room, then go on from the one before with the same command"
        ) from error


def load_checkpoint(folder: Path, like: TrainState | None = None) -> tuple[Any, Position]:
    """The state and the position of a checkpoint, every file of which is proved.

    Args:
        folder: the checkpoint.
        like: a state of the shapes that are expected; None gives the nested dictionaries as they were stored.

    Raises:
        CheckpointError: a file is missing or damaged.
        MismatchError: the arrays are not those of `like`.
    """
    position = load_position(folder)
    load_config(folder)
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


def load_config(folder: Path) -> TrainConfig:
    """The configuration of a checkpoint alone.

    Raises:
        CheckpointError: its file is missing or damaged.
    """
    content = _proved(folder, CONFIG)
    try:
        return TrainConfig.from_json(content.decode())
    except (UsageError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder / CONFIG}: damaged ({error}); {_remedy(folder)}") from error


def digest_of(folder: Path) -> str:
    """The SHA-256 of a checkpoint's arrays, as its manifest has it.

    Raises:
        CheckpointError: the manifest is missing or damaged.
    """
    return _hash_in(folder, ARRAYS)


def _proved(folder: Path, name: str) -> bytes:
    """The content of a file of a checkpoint, which the manifest has proved."""
    expected = _hash_in(folder, name)
    content = _read(folder, name)
    if hashlib.sha256(content).hexdigest() != expected:
        raise CheckpointError(f"{folder / name}: damaged ({len(content)} bytes, another SHA-256); {_remedy(folder)}")
    return content


def _hash_in(folder: Path, name: str) -> str:
    """The hash of a file in the manifest, which has proved itself."""
    try:
        hashes, is_whole = unseal(_read(folder, MANIFEST).decode())
    except ValueError:
        is_whole = False
    if not is_whole or name not in hashes:
        raise CheckpointError(f"{folder / MANIFEST}: damaged; {_remedy(folder)}")
    return str(hashes[name])


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        what = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise CheckpointError(f"{folder / name}: {what}; {_remedy(folder)}") from error


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
