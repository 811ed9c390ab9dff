"""Exports a run as an ONNX file, from images to probabilities, and checks it with onnxruntime.

The file takes any number of images. It contains the scaling to 0-1, the network and softmax, and the metadata of
`model.export.card`.
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
from model.export.sample_drawings import first_drawings
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
OPSET = 17  # from 2022: onnxruntime 1.12 and later read it, also in browsers and on phones
TOLERANCE = 1e-4  # the difference that every probability must stay below
CHECK_DRAWINGS = 1000  # drawings that a file is checked with
CHECK_BATCHES = (1, 3, 256)  # the sizes of the batches that a file is checked with


@dataclass(frozen=True)
class Exported:
    """An ONNX file that gives a run's probabilities.

    Attributes:
        content: the bytes of the file.
        metadata: the file's metadata.
        difference: the largest difference between its probabilities and the run's, on the images of the check.
    """

    content: bytes
    metadata: dict[str, str]
    difference: float


def export_run(loaded: LoadedRun, images: UInt8Array) -> Exported:
    """Convert a run's best checkpoint, with the temperature that was fitted for it, and check the result.

    Args:
        loaded: the run.
        images: (N, H, W, C) uint8, N > 0; the file's probabilities for them are compared with the run's.

    Raises:
        MismatchError: a probability differs by `TOLERANCE` or more.
    """
    metadata = metadata_of(loaded)
    content = convert(loaded)
    difference = largest_difference(content, images, Predictor(loaded).probabilities(images))
    if not difference < TOLERANCE:  # also if it is NaN
        raise MismatchError(
            f"{loaded.run.folder}: onnxruntime {onnxruntime.__version__} gives probabilities that differ from the "
            f"run's by up to {difference:.1e} on {len(images):,} drawings; less than {TOLERANCE:.0e} was expected. "
            "No file was written. Try other versions, in sketchpipe's folder: pip install -U -e '.[onnx]'"
        )
    return Exported(content, metadata, difference)


def check_images(folder: Path, config: RenderConfig, wanted: int = CHECK_DRAWINGS) -> tuple[UInt8Array, dict[str, int]]:
    """Render `wanted` drawings of a folder of shards, and count them by split.

    They are the first drawings of the test split; if it has too few, of the validation split too, and then of the
    training split.

    Returns:
        (N, H, W, C) uint8, fewer than `wanted` if the shards have fewer.

    Raises:
        InputError: there is no such folder.
        ShardError: the shards are damaged.
    """
    parts: list[UInt8Array] = []
    counts: dict[str, int] = {}
    missing = wanted
    for name in reversed(SPLITS):
        if not missing or (folder.is_dir() and not read_manifest(folder).rows(name)):
            continue
        for drawings in first_drawings(open_split(folder, name), missing):
            parts.append(render(drawings, config))
            counts[name] = counts.get(name, 0) + len(drawings)
            missing -= len(drawings)
    return np.concatenate(parts), counts


def convert(loaded: LoadedRun) -> bytes:
    """Convert a run's best checkpoint to an ONNX file, without checking it; the same run gives the same bytes.

    Args:
        loaded: the run. The file divides logits by its temperature before softmax.
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
    _spell_out_convolutions(model.graph)
    # jax2onnx gives some intermediate values wrong shapes, and onnxruntime-web relies on them.
    del model.graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    model.ir_version = onnx.helper.find_min_ir_version_for(list(model.opset_import))
    describe_file(model, metadata_of(loaded))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def largest_difference(content: bytes, images: UInt8Array, expected: NDArray[np.float32]) -> float:
    """The largest difference of a file's probabilities from those expected, `(N, K)` for `(N, H, W, C)` uint8 images.

    onnxruntime gets batches of the sizes `CHECK_BATCHES` in turn. If there are too few images for a batch of each size,
    images are used several times.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = core_count()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rows = np.arange(max(len(images), sum(CHECK_BATCHES))) % len(images)
    largest, start, turn = 0.0, 0, 0
    while start < len(rows):
        batch = rows[start : start + CHECK_BATCHES[turn % len(CHECK_BATCHES)]]
        (found,) = session.run([OUTPUT], {INPUT: images[batch]})
        if found.shape != expected[batch].shape:
            return float("inf")
        largest = float(np.maximum(largest, np.abs(found - expected[batch]).max()))  # a NaN is kept
        start, turn = start + len(batch), turn + 1
    return largest


def _spell_out_convolutions(graph: Any) -> None:
    """Give each convolution its `kernel_shape` and, in place of "same" padding, its `pads`.

    ONNX lets a file omit them, but OpenCV 4 needs the shape to read it, and OpenCV 5.0 computes a convolution that has
    "same" padding and a stride of 2 wrongly. The padding assumes that the stride divides the image's size.
    """
    shapes = {one.name: list(one.dims)[2:] for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            shape = attributes["kernel_shape"] = shapes[node.input[1]]
            if attributes.get("auto_pad") == b"SAME_UPPER":
                del attributes["auto_pad"]
                both = [max(0, length - stride) for length, stride in zip(shape, attributes["strides"], strict=True)]
                attributes["pads"] = [*(one // 2 for one in both), *(one - one // 2 for one in both)]
            del node.attribute[:]
            node.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in attributes.items())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings of jax2onnx, which are about code that is not ours; `export_run` checks the file anyway."""
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
    """The same result as `model.networks.halve`, by the max pooling operator that ONNX has."""
    return nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))
