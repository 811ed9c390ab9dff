"""A run as an ONNX file for somebody's app: any number of uint8 images in, probabilities out, proved by onnxruntime.

The file holds all of it: scaling to 0-1, the network, softmax, and in its metadata what `model.export.card` tells.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import jax2onnx
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from model.compute.steps import eval_step
from model.export.card import describe_file, metadata_of
from model.export.names import name_after_layers
from model.networks import make_network, parameter_table
from model.scoring.loaded import LoadedRun
from model.scoring.predict import Predictor
from pipeline.arrays import UInt8Array
from pipeline.errors import MismatchError
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.manifest import read_manifest
from pipeline.shards.read import open_split
from pipeline.shards.shuffle import SPLITS
from pipeline.threads import core_count

INPUT, OUTPUT = "images", "probabilities"
OPSET = 17  # of 2022: onnxruntime from 1.12 on reads it, in browsers and on phones too
TOLERANCE = 1e-4  # that no probability may reach
PROVING_DRAWINGS = 1000
PROVED_BATCHES = (1, 3, 256)


@dataclass(frozen=True)
class Exported:
    """An ONNX file that gives a run's probabilities.

    Attributes:
        content: the file.
        metadata: what it says of itself, each under its key.
        difference: the largest of its probabilities on the images that it was proved on.
    """

    content: bytes
    metadata: dict[str, str]
    difference: float


def export_run(loaded: LoadedRun, images: UInt8Array) -> Exported:
    """Convert a run's best checkpoint, with the temperature that was fitted for it, and prove the result.

    Args:
        loaded: the run.
        images: (N, H, W, C) uint8, N > 0, to hold the file's probabilities against the run's on.

    Raises:
        MismatchError: a probability differs by `TOLERANCE` or more.
    """
    metadata = metadata_of(loaded)
    content = convert(loaded)
    difference = largest_difference(content, images, Predictor(loaded).probabilities(images))
    if not difference < TOLERANCE:  # nor NaN
        raise MismatchError(
            f"{loaded.run.folder}: onnxruntime {onnxruntime.__version__} gives probabilities that differ from the "
            f"run's by up to {difference:.1e} on {len(images):,} drawings, where less than {TOLERANCE:.0e} is right; "
            "nothing was written. Try other versions: pip install -U 'sketchpipe[onnx]'"
        )
    return Exported(content, metadata, difference)


def proving_images(folder: Path, config: RenderConfig) -> tuple[UInt8Array, dict[str, int]]:
    """The first `PROVING_DRAWINGS` of a folder of shards as images, and how many are of which split.

    Of the test split, where that has too few of the validation split too, then of the training split.

    Returns:
        (N, H, W, C) uint8, fewer than `PROVING_DRAWINGS` where the shards hold fewer.

    Raises:
        InputError: there is no such folder.
        ShardError: the shards are damaged.
    """
    parts: list[UInt8Array] = []
    counts: dict[str, int] = {}
    missing = PROVING_DRAWINGS
    for name in reversed(SPLITS):
        if not missing or (folder.is_dir() and not read_manifest(folder).rows(name)):
            continue
        split = open_split(folder, name)
        for group in range(len(split.row_groups)):
            drawings = split.read_row_group(group).slice(0, min(missing, split.rows_in(group)))
            parts.append(render(drawings, config))
            counts[name] = counts.get(name, 0) + len(drawings)
            missing -= len(drawings)
            if not missing:
                break
    return np.concatenate(parts), counts


def convert(loaded: LoadedRun) -> bytes:
    """A run's best checkpoint as an ONNX file that nothing has proved yet; the same run gives the same bytes.

    Args:
        loaded: the run, by whose temperature logits are divided before softmax.
    """
    config, variables, temperature = loaded.run.config, loaded.variables, loaded.temperature
    network = make_network(config.network, len(config.classes)).clone(pool=_max_pool)

    def probabilities(images: jax.Array) -> jax.Array:
        logits = eval_step(variables, images, network=network)
        return nn.softmax(logits if temperature == 1 else logits / temperature, axis=-1)

    size, channels = config.image_size, config.render_config().channels
    with _quiet():
        model: Any = jax2onnx.to_onnx(
            probabilities,
            [jax.ShapeDtypeStruct(("N", size, size, channels), jnp.uint8)],
            model_name=config.network,
            opset=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    order = [row.layer for row in parameter_table(config.network, len(config.classes))[0]]
    name_after_layers(model.graph, variables, order)
    # The shapes that jax2onnx notes of values in between are not always theirs, and onnxruntime-web believes them.
    del model.graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    model.ir_version = onnx.helper.find_min_ir_version_for(list(model.opset_import))
    describe_file(model, metadata_of(loaded))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def largest_difference(content: bytes, images: UInt8Array, expected: NDArray[np.float32]) -> float:
    """The largest difference of a file's probabilities to those expected, `(N, K)` of `(N, H, W, C)` uint8 images.

    onnxruntime is given batches of each of `PROVED_BATCHES` in turn, fewer than N images again until each has been.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = core_count()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rows = np.arange(max(len(images), sum(PROVED_BATCHES))) % len(images)
    largest, start, turn = 0.0, 0, 0
    while start < len(rows):
        batch = rows[start : start + PROVED_BATCHES[turn % len(PROVED_BATCHES)]]
        (found,) = session.run([OUTPUT], {INPUT: images[batch]})
        if found.shape != expected[batch].shape:
            return float("inf")
        largest = float(np.maximum(largest, np.abs(found - expected[batch]).max()))  # NaN stays
        start, turn = start + len(batch), turn + 1
    return largest


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what jax2onnx says of code that is not ours: its file is proved in another way."""
    loggers = [logging.getLogger(name) for name in ("jax2onnx", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _max_pool(x: jax.Array) -> jax.Array:
    """What `model.networks.halve` gives, as the operator that ONNX has for it."""
    return nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))
