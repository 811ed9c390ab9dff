"""Writes and reads a network without its training: weights in half precision, configuration and card, under seal.

model.safetensors  parameters and batch statistics, float16, each under its name in a checkpoint
config.json        the whole configuration of the run that trained them
card.json          what they were trained on, how, and how they score
manifest.json      the SHA-256 of these three files, and its own checksum
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import load, save

from model.config import TrainConfig
from model.networks import array_shapes
from model.runs.card import CONFIG, LIMIT, check_settings
from pipeline.errors import CheckpointError, OutputError
from pipeline.storage.fields import SHA256, record
from pipeline.storage.files import sync, write_file
from pipeline.storage.reading import read_limited
from pipeline.storage.sealed import parse_object, seal, unseal

WEIGHTS, CARD, MANIFEST = "model.safetensors", "card.json", "manifest.json"
_HASHES = record(dict.fromkeys((WEIGHTS, CONFIG, CARD), SHA256))
_HALF = np.dtype(np.float16)


@dataclass(frozen=True)
class Weights:
    """A network without its training.

    Attributes:
        config: the configuration of the run that trained it.
        card: what it was trained on, how, and how it scores.
        variables: `params` and `batch_stats`, nested dictionaries of float32 arrays that were rounded to float16.
    """

    config: TrainConfig
    card: Mapping[str, Any]
    variables: dict[str, Any]


def write_weights(folder: Path, config: TrainConfig, card: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
    """Write a network's weights to `folder`, which must not exist and appears only when it is complete.

    Args:
        folder: the folder.
        config: the configuration of the run that trained them.
        card: what they were trained on, how, and how they score; JSON.
        variables: `params` and `batch_stats`, nested dictionaries of float32 arrays.

    Raises:
        CheckpointError: a weight is not finite in float16.
        OutputError: it cannot be written, or exists; no part of it is left.
    """
    contents = {
        WEIGHTS: save(flatten_dict(halved(variables), sep="/")),
        CONFIG: config.to_json().encode(),
        CARD: (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode(),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for name, content in {**contents, MANIFEST: seal(hashes).encode()}.items():
            write_file(temporary / name, content)
        sync(temporary)
        temporary.rename(folder)
        sync(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OutputError(
            f"{folder}: the weights cannot be written ({error.strerror or error}); choose a folder that does not exist"
        ) from error


def halved(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries of arrays in half precision.

    Raises:
        CheckpointError: a weight is not finite in it.
    """
    arrays = {}
    for name, one in flatten_dict(dict(variables), sep="/").items():
        with np.errstate(over="ignore"):
            arrays[name] = np.asarray(one, order="C").astype(_HALF)
        if not np.isfinite(arrays[name]).all():
            raise CheckpointError(f"{name}: has a weight that is not finite in half precision; train a new run")
    halves: dict[str, Any] = unflatten_dict(arrays, sep="/")
    return halves


def read_weights(folder: Path) -> Weights:
    """Read what `write_weights` wrote, and check each file.

    Raises:
        CheckpointError: a file is missing or damaged, or the arrays are not those of the configuration's network.
    """
    hashes = _parsed(folder, MANIFEST, _read(folder, MANIFEST, LIMIT), sealed=True)
    card = _parsed(folder, CARD, _checked(folder, CARD, hashes, LIMIT))
    settings = _checked(folder, CONFIG, hashes, LIMIT)
    try:
        check_settings(parse_object(settings))
        config = TrainConfig.from_json(settings.decode())
        expected = array_shapes(config)
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: damaged ({error}); {_remedy(folder)}") from error
    limit = (1 << 20) + 2 * sum(int(np.prod(shape)) for shape in expected.values())
    content = _checked(folder, WEIGHTS, hashes, limit)
    try:
        arrays = load(content)
    except Exception as error:  # of many kinds: whatever the header says
        raise CheckpointError(f"{folder / WEIGHTS}: damaged (no safetensors file); {_remedy(folder)}") from error
    if {name: (one.shape, one.dtype) for name, one in arrays.items()} != {n: (s, _HALF) for n, s in expected.items()}:
        raise CheckpointError(f"{folder / WEIGHTS}: its arrays are not those of {config.network}; {_remedy(folder)}")
    variables = unflatten_dict({name: one.astype(np.float32) for name, one in arrays.items()}, sep="/")
    return Weights(config, card, {"batch_stats": {}, **variables})


def _checked(folder: Path, name: str, hashes: Mapping[str, Any], limit: int) -> bytes:
    """A file, which must have the SHA-256 of the manifest."""
    content = _read(folder, name, limit)
    if hashlib.sha256(content).hexdigest() != hashes[name]:
        raise CheckpointError(f"{folder / name}: damaged ({len(content)} bytes, wrong SHA-256); {_remedy(folder)}")
    return content


def _parsed(folder: Path, name: str, content: bytes, *, sealed: bool = False) -> dict[str, Any]:
    try:
        if not sealed:
            return parse_object(content)
        fields, is_whole = unseal(content.decode())
        if not is_whole:
            raise ValueError("it does not match its checksum")
        _HASHES("", fields)
    except ValueError as error:
        raise CheckpointError(f"{folder / name}: damaged ({error}); {_remedy(folder)}") from error
    return fields


def _read(folder: Path, name: str, limit: int) -> bytes:
    try:
        return read_limited(folder / name, limit, link=False)
    except OSError as error:
        what = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise CheckpointError(f"{folder / name}: {what}; {_remedy(folder)}") from error


def _remedy(folder: Path) -> str:
    return f"replace {folder} by a copy that is whole"
