"""Variants of sketchnet for `settings.py` and `recipes.py` that sketchpipe does not have."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from model.compute.own_networks import FirstLayer, features_of
from model.kernels.vectors import WIDTH
from model.networks import Dropout, ResidualBlock, halve

PLAIN, DEPTHWISE, BOTTLENECK = "plain", "depthwise", "bottleneck"


def halve_length(x: jax.Array) -> jax.Array:
    """The maximum of each two neighbours, `(B, L, C)` to `(B, L / 2, C)`."""
    return jnp.maximum(x[:, ::2], x[:, 1::2])


class Variant(nn.Module):
    """A residual network of stages, each at half the resolution of the one before.

    Attributes:
        classes: number of classes.
        axis_name: the name of the pmap axis; None under jit.
        dtype: the type that the network computes in.
        stem: kernel size, stride and width of the first convolution, and whether 2x2 max pooling follows.
        widths: channels of each stage.
        blocks: residual blocks of each stage.
        kinds: how the blocks of each stage convolve: "plain" is two 3x3 convolutions; "depthwise" replaces each by a
            depthwise one and a 1x1 one; "bottleneck" is 1x1 to half the channels, 3x3, and 1x1 back. Empty: all plain.
        squeeze: the stages, from 0, with squeeze-and-excitation in each block (Hu et al., arXiv:1709.01507).
        activation: a name in `flax.linen`.
        dropout: dropout rate of the features before the last layer.
        sequence: channels of each stage of a second branch, which sees the strokes as sequences and whose features are
            joined to those of the image before the last layer; empty: there is no such branch.
        points: the length of the sequences, which is halved for each stage but the first; 96 % of Google's drawings
            have at most 96 points.
        kernel: the size of the branch's 1-D convolutions, points.
        own: whether training computes the image's features with the kernels of `model.kernels`, which needs a network
            that `has_kernels`.
    """

    classes: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    stem: Sequence[Any] = (5, 2, 16, True)
    widths: Sequence[int] = (32, 64, 192)
    blocks: Sequence[int] = (1, 1, 1)
    kinds: Sequence[str] = ()
    squeeze: Sequence[int] = ()
    activation: str = "relu"
    dropout: float = 0.0
    sequence: Sequence[int] = ()
    points: int = 96
    kernel: int = 5
    own: bool = False

    @nn.compact
    def __call__(self, images: jax.Array, sequences: jax.Array | None = None, *, train: bool) -> jax.Array:
        """Logits `(B, K) float32` of images `(B, H, W, C)`, 0-255, and of sequences `(B, L, C)` for such a branch."""
        norm = partial(
            nn.BatchNorm, use_running_average=not train, momentum=0.9, axis_name=self.axis_name, dtype=self.dtype
        )
        activation: Callable[[jax.Array], jax.Array] = getattr(nn, self.activation)
        if self.has_kernels:
            features = self._features_of_sketchnet(images, norm, train=train)
        else:
            features = self._features(images, norm, activation)
        if self.sequence and sequences is not None:
            strokes = self._sequence_features(sequences, norm, activation)
            features = jnp.concatenate([features, strokes], axis=-1)
        if self.dropout:
            features = Dropout(self.dropout, self.axis_name)(features, train=train)
        return nn.Dense(self.classes)(features)

    @property
    def has_kernels(self) -> bool:
        """Whether the network differs from sketchnet only in widths and blocks, so that `model.kernels` computes it."""
        changed = self.squeeze or set(self.kinds) - {PLAIN} or self.activation != "relu" or not self.stem[3]
        widths = (self.stem[2], *self.widths)
        return not changed and widths[0] != widths[1] and all(width % WIDTH == 0 for width in widths)

    def _features_of_sketchnet(self, images: jax.Array, norm: Callable[..., Any], *, train: bool) -> jax.Array:
        """(B, last of `widths`) float32, by modules that have the same parameters with either kernels."""
        kernel, stride, width, _ = self.stem
        if self.own and train:
            y, sums = FirstLayer(kernel, width, stride, name="stem")(images)
            return features_of(y, sums, self.widths, self.blocks, self.axis_name)
        x = images.astype(self.dtype) / 255
        x = nn.Conv(width, (kernel, kernel), strides=stride, use_bias=False, dtype=self.dtype, name="stem")(x)
        x = nn.relu(norm(name="stem_norm")(halve(x)))
        for stage, (width, blocks) in enumerate(zip(self.widths, self.blocks, strict=True), start=1):
            x = halve(x) if stage > 1 else x
            for block in range(1, blocks + 1):
                x = ResidualBlock(width, norm, self.dtype, name=f"stage{stage}_block{block}")(x)
        return x.mean(axis=(1, 2)).astype(jnp.float32)

    def _features(
        self, images: jax.Array, norm: Callable[..., Any], activation: Callable[[jax.Array], jax.Array]
    ) -> jax.Array:
        """(B, last of `widths`) float32."""
        kernel, stride, width, pooled = self.stem
        x = images.astype(self.dtype) / 255
        x = nn.Conv(width, (kernel, kernel), strides=stride, use_bias=False, dtype=self.dtype)(x)
        x = activation(norm()(halve(x) if pooled else x))
        kinds = self.kinds or (PLAIN,) * len(self.widths)
        for stage, (width, blocks, kind) in enumerate(zip(self.widths, self.blocks, kinds, strict=True)):
            for block in range(blocks):
                shortcut = halve(x) if stage > 0 and block == 0 else x
                y = self._branch(shortcut, width, kind, norm, activation)
                if stage in self.squeeze:
                    y *= self._weights(y)
                if shortcut.shape != y.shape:
                    shortcut = norm()(self._conv(width, 1)(shortcut))
                x = activation(shortcut + y)
        return x.mean(axis=(1, 2)).astype(jnp.float32)

    def _sequence_features(
        self, sequences: jax.Array, norm: Callable[..., Any], activation: Callable[[jax.Array], jax.Array]
    ) -> jax.Array:
        """(B, last of `sequence`) float32: a residual block a stage, each at half the length, averaged over points."""
        x, there = sequences.astype(self.dtype), sequences[..., 3:4] != 0  # the pen is 0 where there is no point
        for stage, width in enumerate(self.sequence):
            conv = partial(nn.Conv, width, (self.kernel,), use_bias=False, dtype=self.dtype)
            if stage == 0:
                x = activation(norm()(conv()(x)))
            else:
                x, there = halve_length(x), halve_length(there)
            y = activation(norm()(conv()(x)))
            y = norm(scale_init=nn.initializers.zeros)(conv()(y))
            if x.shape != y.shape:
                x = norm()(nn.Conv(width, (1,), use_bias=False, dtype=self.dtype)(x))
            x = activation(x + y) * there
        return x.astype(jnp.float32).sum(axis=1) / jnp.maximum(there.sum(axis=1), 1)

    def _branch(
        self,
        x: jax.Array,
        width: int,
        kind: str,
        norm: Callable[..., Any],
        activation: Callable[[jax.Array], jax.Array],
    ) -> jax.Array:
        """What a block adds to its input; 0 at first."""
        if kind == BOTTLENECK:
            x = activation(norm()(self._conv(width // 2, 1)(x)))
            x = activation(norm()(self._conv(width // 2, 3)(x)))
            return norm(scale_init=nn.initializers.zeros)(self._conv(width, 1)(x))  # type: ignore[no-any-return]
        conv = self._separable if kind == DEPTHWISE else partial(self._conv, size=3)
        x = activation(norm()(conv(width)(x)))
        return norm(scale_init=nn.initializers.zeros)(conv(width)(x))  # type: ignore[no-any-return]

    def _conv(self, width: int, size: int) -> Callable[[jax.Array], jax.Array]:
        return nn.Conv(width, (size, size), use_bias=False, dtype=self.dtype)

    def _separable(self, width: int) -> Callable[[jax.Array], jax.Array]:
        def separable(x: jax.Array) -> jax.Array:
            channels = x.shape[-1]
            x = nn.Conv(channels, (3, 3), feature_group_count=channels, use_bias=False, dtype=self.dtype)(x)
            return self._conv(width, 1)(x)

        return separable

    def _weights(self, x: jax.Array) -> jax.Array:
        hidden = nn.relu(nn.Dense(x.shape[-1] // 8, dtype=self.dtype)(x.mean(axis=(1, 2))))
        return nn.sigmoid(nn.Dense(x.shape[-1], dtype=self.dtype)(hidden))[:, None, None]
