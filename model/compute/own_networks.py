"""The networks in training with our own kernels: the same parameters, statistics and logits, up to rounding.

They are never applied with `train=False`: validation computes with `model.networks`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from model.compute.native.functions import Source, activate_and_pool, convolve, convolve_rows, first_layer, join
from model.compute.native.plan import Kernel
from model.kernels.vectors import WIDTH
from model.networks import Dropout, SketchNet


class Convolution(nn.Module):
    """A convolution without bias and the batch norm behind it, as a source of what reads it."""

    size: int
    features: int

    @nn.compact
    def __call__(self, source: Source) -> tuple[jax.Array, jax.Array]:
        """The outputs and their sums."""
        shape = (self.size, self.size, source.x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        return convolve(source, kernel)


class FirstLayer(nn.Module):
    """The first convolution, of bytes, and pooling."""

    size: int
    features: int
    stride: int

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The outputs of images, (B, H, W, C) uint8, and their sums."""
        shape = (self.size, self.size, images.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        return first_layer(images, kernel / 255, self.stride, True)


class Norm(nn.Module):
    """Batch norm in training, made of sums: a scale and a shift for each channel."""

    axis_name: str | None

    @nn.compact
    def __call__(self, y: jax.Array, sums: jax.Array) -> Source:
        """Batch norm of y with these sums."""
        channels, count = y.shape[-1], y.size // y.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        means = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        variances = self.variable("batch_stats", "var", jnp.ones, (channels,))
        mean, square = sums / count if self.axis_name is None else jax.lax.pmean(sums / count, self.axis_name)
        variance = jnp.maximum(0, square - mean * mean)
        means.value = 0.9 * means.value + 0.1 * mean
        variances.value = 0.9 * variances.value + 0.1 * variance
        factor = scale * jax.lax.rsqrt(variance + 1e-5)
        return Source(y, factor, bias - mean * factor)


class OwnSketchNet(nn.Module):
    """`SketchNet` whose stem is pooled."""

    classes: int
    axis_name: str | None = None
    stem_width: int = SketchNet.stem_width
    widths: Sequence[int] = SketchNet.widths
    blocks: Sequence[int] = SketchNet.blocks

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:  # noqa: ARG002 - as the other networks
        """Logits `(B, K) float32` of images `(B, H, W, C) uint8`."""
        y, sums = FirstLayer(5, self.stem_width, 2, name="stem")(images)
        return nn.Dense(self.classes, name="dense")(features_of(y, sums, self.widths, self.blocks, self.axis_name))


def features_of(
    y: jax.Array, sums: jax.Array, widths: Sequence[int], blocks: Sequence[int], axis_name: str | None
) -> jax.Array:
    """(B, last of `widths`), what a residual network makes of its stem's outputs; its modules are the caller's."""
    source = Norm(axis_name, name="stem_norm")(y, sums)
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        for block in range(1, count + 1):
            pooled = block == count and stage < len(widths)
            source = OwnBlock(width, axis_name, pooled, name=f"stage{stage}_block{block}")(source)
    return source.x.mean(axis=(1, 2))


class OwnBlock(nn.Module):
    """`ResidualBlock` with a shortcut convolution, and pooling behind it."""

    width: int
    axis_name: str | None
    pooled: bool

    @nn.compact
    def __call__(self, source: Source) -> Source:
        """The block's outputs."""
        first = Norm(self.axis_name, name="norm1")(*Convolution(3, self.width, name="conv1")(source))
        second = Norm(self.axis_name, name="norm2")(*Convolution(3, self.width, name="conv2")(first))
        if source.x.shape[-1] == self.width:
            assert source.scale is None  # the output of a block; `join` takes its scale without ReLU
            shortcut = Source(source.x, jnp.ones(self.width), jnp.zeros(self.width))
        else:
            shortcut = Norm(self.axis_name, name="shortcut_norm")(*Convolution(1, self.width, name="shortcut")(source))
        return Source(join(second, shortcut, pooled=self.pooled))


class Biased(nn.Module):
    """A convolution with a bias, which is added where the outputs are read."""

    size: int
    features: int
    is_first: bool = False

    @nn.compact
    def __call__(self, source: Source) -> Source:
        """The outputs, and the bias as their shift."""
        shape = (self.size, self.size, source.x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y, _ = first_layer(source.x, kernel / 255, 1, True) if self.is_first else convolve(source, kernel)
        return Source(y, jnp.ones_like(bias), bias)


class OwnQuickdrawClassifier(nn.Module):
    """`QuickdrawClassifier`."""

    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits `(B, K) float32` of images `(B, H, W, C) uint8`."""
        source = Biased(3, 16, is_first=True, name="conv1")(Source(images))
        for layer, width in ((2, 32), (3, 64)):
            source = Source(activate_and_pool(Biased(3, width, name=f"conv{layer}")(source)))
        x = source.x.reshape(len(images), -1)
        x = Dropout(0.5, self.axis_name)(x, train=train)
        x = nn.relu(nn.Dense(200, name="dense1")(x))
        return nn.Dense(self.classes, name="dense2")(x)


class Narrow(nn.Module):
    """A convolution of 5x5 without padding and with a bias, of so few channels that they are filled up with zeros."""

    features: int
    is_first: bool = False

    @nn.compact
    def __call__(self, source: Source, inputs: int) -> Source:
        """The outputs, of the first `inputs` channels, and the bias as their shift."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (5, 5, inputs, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        more = -self.features % WIDTH
        kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, 0), (0, more)))
        y = first_layer(source.x, kernel / 255, 1, False)[0] if self.is_first else convolve_rows(source, kernel, True)
        return Source(y, jnp.ones(self.features + more, jnp.float32), jnp.pad(bias, (0, more)))


class OwnSketchClassifier(nn.Module):
    """`SketchClassifier`."""

    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:  # noqa: ARG002 - nothing differs in training
        """Logits `(B, K) float32` of images `(B, H, W, C) uint8`."""
        source = Narrow(4, is_first=True, name="conv1")(Source(images), images.shape[-1])
        x = activate_and_pool(Narrow(8, name="conv2")(source, 4))[..., :8]
        return nn.Dense(self.classes, name="dense")(x.reshape(len(images), -1))


OWN_NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "sketchnet": OwnSketchNet,
    "sketch-classifier": OwnSketchClassifier,
    "quickdraw-classifier": OwnQuickdrawClassifier,
}

_SHARED = (Kernel.FIRST_FORWARD, Kernel.FIRST_BACKWARD, Kernel.JOIN_FORWARD, Kernel.JOIN_BACKWARD)
_CONVOLUTION = (Kernel.CONVOLUTION_FORWARD, Kernel.CONVOLUTION_BACKWARD)
KERNELS_OF: Mapping[str, Collection[Kernel]] = {  # the kernels that a step of each calls
    "sketchnet": (*_SHARED, *_CONVOLUTION, Kernel.POINTWISE_FORWARD, Kernel.POINTWISE_BACKWARD),
    "sketch-classifier": (*_SHARED, Kernel.ROWS_FORWARD, Kernel.ROWS_BACKWARD),
    "quickdraw-classifier": (*_SHARED, *_CONVOLUTION),
}
