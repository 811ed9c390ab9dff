"""Makes the plan of a network: the operations of `model.kernels.forward`, and the weights in the form that they read.

Batch norm is a scale and a shift of each channel. Kernels stay in half precision; scales and shifts, which are few, are
float32. Channels are filled up with zeros to a multiple of the vectors' width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.config import TrainConfig
from model.kernels.forward import FIELDS, PATCHES, PIXELS, SCALES, Operation
from model.networks import SketchNet, make_network
from pipeline.arrays import Float32Array, Int64Array
from pipeline.errors import MismatchError

_EPSILON = 1e-5  # of Flax's batch norm


@dataclass(frozen=True)
class Plan:
    """A network as the kernel `run_network` runs it.

    Attributes:
        rows: (operations * FIELDS,) int64.
        kernels: float16, all kernels; the first part of the weights.
        scales: float32, all scales and shifts; the rest of the weights.
        floats: the length of the memory that the operations need.
        logits: where the logits begin in that memory.
    """

    rows: Int64Array
    kernels: NDArray[np.float16]
    scales: Float32Array
    floats: int
    logits: int

    @property
    def weights(self) -> Float32Array:
        """All weights, as the kernel reads them."""
        return np.concatenate([self.kernels.astype(np.float32), self.scales])


@dataclass(frozen=True)
class _Image:
    """Numbers in memory: where they begin, and their shape; of the channels `used` are the network's."""

    at: int
    height: int
    width: int
    channels: int
    used: int

    @property
    def floats(self) -> int:
        return self.height * self.width * self.channels


def make_plan(config: TrainConfig, variables: Mapping[str, Any], width: int) -> Plan:
    """The plan of a network with float32 variables whose values are those of half precision.

    Args:
        config: the configuration of the run.
        variables: `params` and `batch_stats`.
        width: of the vectors of the kernels that will run it.

    Raises:
        MismatchError: the network's operations are not known here.
    """
    planner = _Planner(variables, width)
    channels = config.render_config().channels
    image = planner.room(config.image_size, config.image_size, channels, channels)
    network = make_network(config.network, len(config.classes))
    if isinstance(network, SketchNet):
        image = _plan_sketchnet(planner, network, image)
    elif config.network == "sketch-classifier":
        for layer in ("conv1", "conv2"):
            image = planner.pool(planner.biased(planner.convolve(image, layer, is_padded=False), layer))
        image = planner.dense(image, "dense")
    elif config.network == "quickdraw-classifier":
        for layer in ("conv1", "conv2", "conv3"):
            image = planner.pool(planner.biased(planner.convolve(image, layer), layer))
        image = planner.dense(image, "dense1", is_positive=True)
        image = planner.dense(image, "dense2")
    else:
        raise MismatchError(f"a page cannot run {config.network}: export the run as ONNX, with --to model.onnx")
    return planner.plan(image)


def _plan_sketchnet(planner: "_Planner", network: SketchNet, image: _Image) -> _Image:
    image = planner.convolve(image, "stem", stride=2)
    image = planner.normed(planner.pool(image) if network.stem_pooled else image, "stem_norm", is_positive=True)
    for stage, blocks in enumerate(network.blocks, start=1):
        if stage > 1:
            image = planner.pool(image)
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            inner = planner.normed(planner.convolve(image, f"{name}/conv1"), f"{name}/norm1", is_positive=True)
            inner = planner.convolve(inner, f"{name}/conv2")
            if f"{name}/shortcut" in planner.layers:
                image = planner.normed(planner.convolve(image, f"{name}/shortcut"), f"{name}/shortcut_norm")
            image = planner.normed(inner, f"{name}/norm2", added=image, is_positive=True)
    return planner.dense(planner.average(image), "dense")


class _Planner:
    """Collects operations and weights; memory is used once, in the order of the operations."""

    def __init__(self, variables: Mapping[str, Any], width: int) -> None:
        from flax.traverse_util import flatten_dict

        self.layers: dict[str, dict[str, NDArray[np.float32]]] = {}
        for (_, *layer, leaf), array in flatten_dict(dict(variables)).items():
            self.layers.setdefault("/".join(layer), {})[leaf] = np.asarray(array, np.float32)
        self._width = width
        self._rows: list[list[int]] = []
        self._kernels: list[NDArray[np.float32]] = []
        self._scales: list[NDArray[np.float32]] = []
        self._floats = 0
        self._patches: list[tuple[int, int]] = []  # the row of each convolution, and the numbers of its patches

    def room(self, height: int, width: int, channels: int, used: int) -> _Image:
        """Memory for an image."""
        image = _Image(self._floats, height, width, channels, used)
        self._floats += image.floats
        return image

    def convolve(self, image: _Image, layer: str, *, stride: int = 1, is_padded: bool = True) -> _Image:
        """A convolution without its bias."""
        return self._convolved(image, self.layers[layer]["kernel"], stride, is_padded)

    def _convolved(self, image: _Image, kernel: Float32Array, stride: int, is_padded: bool) -> _Image:
        size, _, used, outputs = kernel.shape
        filled = np.zeros((size, size, image.channels, self._filled(outputs)), np.float32)
        filled[:, :, :used, :outputs] = kernel
        if is_padded:  # Flax's "SAME": what is missing before, rounded down
            down, across = -(-image.height // stride), -(-image.width // stride)
            border = max(0, (down - 1) * stride + size - image.height) // 2
        else:
            down, across, border = image.height - size + 1, image.width - size + 1, 0
        made = self.room(down, across, filled.shape[-1], outputs)
        at = sum(one.size for one in self._kernels)
        self._kernels.append(filled.reshape(-1))
        self._patches.append((len(self._rows), min(PIXELS, down * across) * size * size * image.channels))
        self._add(Operation.CONVOLVE, image, made, size, stride, border, down, across, made.channels, at)
        return made

    def normed(self, image: _Image, layer: str, *, added: _Image | None = None, is_positive: bool = False) -> _Image:
        """Batch norm, maybe with another image added behind it, and ReLU."""
        norm = self.layers[layer]
        scale = norm["scale"].astype(np.float64) / np.sqrt(norm["var"].astype(np.float64) + _EPSILON)
        return self._scaled(image, scale, norm["bias"] - norm["mean"] * scale, added, is_positive)

    def biased(self, image: _Image, layer: str, *, is_positive: bool = True) -> _Image:
        """A bias, and ReLU."""
        bias = self.layers[layer]["bias"]
        return self._scaled(image, np.ones(len(bias)), bias, None, is_positive)

    def dense(self, image: _Image, layer: str, *, is_positive: bool = False) -> _Image:
        """A dense layer of all numbers of an image."""
        kernel = self.layers[layer]["kernel"]
        outputs = kernel.shape[1]
        filled = np.zeros((image.height * image.width, image.channels, outputs), np.float32)
        filled[:, : image.used] = kernel.reshape(-1, image.used, outputs)
        flat = _Image(image.at, 1, 1, image.floats, image.floats)
        made = self._convolved(flat, filled.reshape(1, 1, image.floats, outputs), 1, is_padded=False)
        return self.biased(made, layer, is_positive=is_positive)

    def pool(self, image: _Image) -> _Image:
        """The greatest of 2 x 2 pixels."""
        made = self.room(image.height // 2, image.width // 2, image.channels, image.used)
        self._add(Operation.POOL, image, made)
        return made

    def average(self, image: _Image) -> _Image:
        """The mean over all pixels."""
        made = self.room(1, 1, image.channels, image.used)
        self._add(Operation.AVERAGE, image, made)
        return made

    def plan(self, logits: _Image) -> Plan:
        """The plan whose last image is `logits`."""
        kernels = np.concatenate(self._kernels)
        for row in self._rows:
            if row[0] == Operation.SCALE:
                row[SCALES] += len(kernels)
        for number, _ in self._patches:
            self._rows[number][PATCHES] = self._floats
        rows = np.array(self._rows, np.int64).reshape(-1)
        most = max(numbers for _, numbers in self._patches)
        return Plan(
            rows, kernels.astype(np.float16), np.concatenate(self._scales), self._floats + most, logits.at
        )  # fmt: skip

    def _scaled(
        self, image: _Image, scale: NDArray[Any], shift: NDArray[Any], added: _Image | None, is_positive: bool
    ) -> _Image:
        """The image itself, changed in place."""
        at = sum(one.size for one in self._scales)
        filled = np.zeros((2, image.channels), np.float32)
        filled[:, : image.used] = scale, shift
        self._scales.append(filled.reshape(-1))
        is_added, added_at = (0, 0) if added is None else (1, added.at)
        self._add(Operation.SCALE, image, image, at, is_added, added_at, int(is_positive))
        return image

    def _filled(self, channels: int) -> int:
        return -(-channels // self._width) * self._width

    def _add(self, operation: Operation, image: _Image, made: _Image, *others: int) -> None:
        row = [int(operation), image.at, made.at, image.height, image.width, image.channels, *others]
        self._rows.append(row + [0] * (FIELDS - len(row)))
