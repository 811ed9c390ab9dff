"""The networks by name.

Each network takes images `(B, H, W, C) uint8`, light on black, 0-255, in any encoding, and returns logits `(B, K)
float32`. Only the network scales images to 0-1, so that training, evaluation and export cannot disagree. Parameters
and batch statistics are float32, whatever `dtype` the network computes in. `axis_name` names the pmap axis over which
batch statistics are averaged; it is `None` under jit. `pool` halves images; an export replaces it by an operator of its
format. Only `train=True` needs a `dropout` key and changes `batch_stats`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from model.config import IMAGE_SIZE, TrainConfig, default_batch, default_epochs
from model.specs import LayerRow, network_shapes, network_spec


def halve(x: jax.Array) -> jax.Array:
    """Max pooling over 2x2 pixels, `(B, h, w, C)` to `(B, h // 2, w // 2, C)`; an odd last row or column is dropped.

    It takes the maximum of slices because the gradient of `nn.max_pool` is slow on the CPU: slices made a step of
    quickdraw-classifier 1.5 times faster (jax 0.10.2, 2 cores of an AMD EPYC).
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


class SketchClassifier(nn.Module):
    """The network of joeylemon/sketch-classifier: two 5x5 convolutions without padding, one dense layer."""

    classes: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    pool: Callable[[jax.Array], jax.Array] = halve

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:  # noqa: ARG002 - nothing differs in training
        """Logits `(B, K) float32` of images `(B, H, W, C) uint8`."""
        x = images.astype(self.dtype) / 255
        x = nn.relu(nn.Conv(4, (5, 5), padding="VALID", dtype=self.dtype, name="conv1")(x))
        x = self.pool(x)  # (B, 30, 30, 4)
        x = nn.relu(nn.Conv(8, (5, 5), padding="VALID", dtype=self.dtype, name="conv2")(x))
        x = self.pool(x)  # (B, 13, 13, 8)
        x = x.reshape(x.shape[0], -1)  # (B, 1352)
        return nn.Dense(self.classes, name="dense")(x.astype(jnp.float32))


class QuickdrawClassifier(nn.Module):
    """The network of kolszewska/QuickDrawClassifier, on larger and coloured images: three 3x3 convolutions, dropout."""

    classes: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    pool: Callable[[jax.Array], jax.Array] = halve

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits `(B, K) float32` of images `(B, H, W, C) uint8`."""
        x = images.astype(self.dtype) / 255
        for layer, width in enumerate((16, 32, 64), start=1):
            x = self.pool(nn.relu(nn.Conv(width, (3, 3), dtype=self.dtype, name=f"conv{layer}")(x)))
        x = x.reshape(x.shape[0], -1)  # (B, 4096)
        x = Dropout(0.5, self.axis_name)(x, train=train)
        x = nn.relu(nn.Dense(200, dtype=self.dtype, name="dense1")(x))
        return nn.Dense(self.classes, name="dense2")(x.astype(jnp.float32))


class SketchNet(nn.Module):
    """Our residual networks: a stem, then stages of residual blocks, each stage at half the size of the one before.

    Attributes:
        classes: the number of classes.
        axis_name: the name of the pmap axis; None under jit.
        dtype: the type that the network computes in.
        pool: halves images.
        stem_width: the channels of the stem's 5x5 convolution, which halves the image.
        stem_pooled: whether the stem halves the image once more.
        widths: the channels of each stage.
        blocks: the number of blocks of each stage.
    """

    classes: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    pool: Callable[[jax.Array], jax.Array] = halve
    stem_width: int = 16
    stem_pooled: bool = True
    widths: Sequence[int] = (32, 64, 192)
    blocks: Sequence[int] = (1, 1, 1)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits `(B, K) float32` of images `(B, H, W, C) uint8`."""
        norm = partial(
            nn.BatchNorm, use_running_average=not train, momentum=0.9, axis_name=self.axis_name, dtype=self.dtype
        )
        x = images.astype(self.dtype) / 255
        x = nn.Conv(self.stem_width, (5, 5), strides=2, use_bias=False, dtype=self.dtype, name="stem")(x)
        # Pooled before batch norm: a step took 7 % less time than with batch norm first.
        x = nn.relu(norm(name="stem_norm")(self.pool(x) if self.stem_pooled else x))  # (B, 16, 16, stem_width)
        for stage, (width, blocks) in enumerate(zip(self.widths, self.blocks, strict=True), start=1):
            if stage > 1:
                x = self.pool(x)
            for block in range(1, blocks + 1):
                x = ResidualBlock(width, norm, self.dtype, name=f"stage{stage}_block{block}")(x)
        x = x.mean(axis=(1, 2))  # (B, widths[-1]), from 4x4 pixels
        return nn.Dense(self.classes, name="dense")(x.astype(jnp.float32))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions whose output is added to the input, or to a 1x1 convolution of it if the width changes.

    Source: He et al., arXiv:1512.03385.
    """

    width: int
    norm: Callable[..., nn.BatchNorm]
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Features `(B, h, w, width)` of features `(B, h, w, C)`."""
        conv = partial(nn.Conv, self.width, use_bias=False, dtype=self.dtype)
        y = nn.relu(self.norm(name="norm1")(conv((3, 3), name="conv1")(x)))
        # With scales of 0 each block is the identity at first (Goyal et al., arXiv:1706.02677, section 5.1).
        y = self.norm(name="norm2", scale_init=nn.initializers.zeros)(conv((3, 3), name="conv2")(y))
        if x.shape[-1] != self.width:
            x = self.norm(name="shortcut_norm")(conv((1, 1), name="shortcut")(x))
        return nn.relu(x + y)


class Dropout(nn.Module):
    """Dropout whose masks depend only on a drawing's place in the global batch, not on the number of devices."""

    rate: float
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """`x`, `(B, ...)`; in training a share `rate` of its values is set to 0, and the others are scaled up."""
        if not train:
            return x
        first = 0 if self.axis_name is None else jax.lax.axis_index(self.axis_name) * len(x)
        key = self.make_rng("dropout")

        def kept(row: jax.Array) -> jax.Array:
            return jax.random.bernoulli(jax.random.fold_in(key, row), 1 - self.rate, x.shape[1:])

        return jnp.where(jax.vmap(kept)(first + jnp.arange(len(x))), x / (1 - self.rate), 0)


# For GPUs, 345 classes and millions of drawings: large batches in bfloat16 fill a GPU's matrix units.
_BASE = partial(SketchNet, stem_width=32, stem_pooled=False, widths=(64, 128, 256), blocks=(2, 2, 2))
_LARGE = partial(SketchNet, stem_width=64, stem_pooled=False, widths=(64, 128, 256, 512), blocks=(2, 3, 4, 2))
_CONSTRUCTORS: dict[str, Callable[..., nn.Module]] = {
    "sketchnet": SketchNet,
    "sketchnet-base": _BASE,
    "sketchnet-large": _LARGE,
    "sketch-classifier": SketchClassifier,
    "quickdraw-classifier": QuickdrawClassifier,
}


def make_network(name: str, classes: int, *, axis_name: str | None = None, dtype: Any = jnp.float32) -> nn.Module:
    """Make the network called `name` for a number of classes.

    Raises:
        UsageError: no network has that name.
    """
    network_spec(name)
    return _CONSTRUCTORS[name](classes=classes, axis_name=axis_name, dtype=dtype)


def make_config(
    network: str, classes: Sequence[str], *, drawings: int, recipe: str | None = None, **changes: Any
) -> TrainConfig:
    """The configuration for training `network`: the defaults of its recipe, replaced by `changes`.

    Args:
        network: the network's name.
        classes: the words in label order.
        drawings: the number of drawings in the training split.
        recipe: the name of the network whose recipe and epochs to use; `network` by default.
        changes: fields of the configuration that differ from the recipe.

    Raises:
        UsageError: no network has that name, or a value is out of range.
    """
    network_spec(network)
    spec = network_spec(recipe or network)
    fields = dataclasses.asdict(spec.recipe)
    fields["batch"] = default_batch(fields["batch"], drawings)
    fields |= {"epochs": default_epochs(drawings, spec.epochs), **changes}
    return TrainConfig(network=network, classes=tuple(classes), **fields)


def parameter_table(
    name: str, classes: int, *, image_size: int = IMAGE_SIZE, channels: int = 3
) -> tuple[list[LayerRow], int]:
    """A row for each layer in the order of the forward pass, and the number of parameters; nothing is computed.

    >>> parameter_table("sketch-classifier", 19)[0][-1]
    LayerRow(layer='dense', shape=(1352, 19), parameters=25707)
    """
    network = make_network(name, classes)
    order: list[tuple[str, ...]] = []

    def init() -> Any:
        params = network.init(jax.random.key(0), images, train=False)["params"]
        order.extend(flatten_dict(params))  # eval_shape returns dictionaries sorted by name
        return params

    images = jnp.zeros((1, image_size, image_size, channels), jnp.uint8)
    leaves = flatten_dict(jax.eval_shape(init))
    rows: dict[str, LayerRow] = {}
    for path in order:
        layer, leaf = "/".join(path[:-1]), leaves[path]
        row = rows.get(layer, LayerRow(layer, (), 0))
        shape = leaf.shape if path[-1] in ("kernel", "scale") else row.shape
        rows[layer] = LayerRow(layer, shape, row.parameters + leaf.size)
    return list(rows.values()), sum(row.parameters for row in rows.values())


def array_shapes(config: TrainConfig) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter and statistic of a configuration's network, all float32, by its name in a checkpoint.

    For images of the usual size they are read from a file.
    """
    size, channels, classes = config.image_size, config.render_config().channels, len(config.classes)
    if size == IMAGE_SIZE:
        return network_shapes(config.network, classes, channels)
    images = jax.ShapeDtypeStruct((1, size, size, channels), jnp.uint8)
    init = partial(make_network(config.network, classes).init, train=False)
    leaves = flatten_dict(jax.eval_shape(init, jax.random.key(0), images), sep="/")
    return {name: leaf.shape for name, leaf in leaves.items()}


def forward_flops(name: str, classes: int, *, image_size: int = IMAGE_SIZE, channels: int = 3) -> int:
    """The floating-point operations of a forward pass of one image, as XLA counts them; nothing is computed.

    A multiplication and an addition are two operations. A training step takes three times as many.
    """
    network = make_network(name, classes)
    images = jax.ShapeDtypeStruct((1, image_size, image_size, channels), jnp.uint8)
    variables = jax.eval_shape(partial(network.init, train=False), jax.random.key(0), images)
    lowered = jax.jit(partial(network.apply, train=False)).lower(variables, images)
    cost: dict[str, float] = lowered.cost_analysis()  # type: ignore[assignment] # a dictionary on CPU and GPU
    return int(cost["flops"])
