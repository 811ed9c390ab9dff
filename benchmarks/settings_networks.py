"""Variants of sketchnet for `settings.py` that sketchpipe does not have, because they were not worth it."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from model.networks import halve


class Variant(nn.Module):
    """A residual network of stages, each at half the resolution of the one before.

    Attributes:
        classes: number of classes.
        stem: kernel size, stride and width of the first convolution, and whether 2x2 max pooling follows.
        widths: channels of each stage.
        blocks: residual blocks of each stage.
        depthwise: whether a 3x3 convolution is replaced by a depthwise one and a 1x1 one.
        squeeze: whether each block has squeeze-and-excitation (Hu et al., arXiv:1709.01507).
        activation: a name in `flax.linen`.
        dropout: dropout rate of the features before the last layer.
    """

    classes: int
    stem: tuple[int, int, int, bool] = (5, 2, 16, True)
    widths: tuple[int, ...] = (32, 64, 192)
    blocks: tuple[int, ...] = (1, 1, 1)
    depthwise: bool = False
    squeeze: bool = False
    activation: str = "relu"
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits `(B, K) float32` of images `(B, H, W, C)`, 0-255."""
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
        activation: Callable[[jax.Array], jax.Array] = getattr(nn, self.activation)
        kernel, stride, width, pooled = self.stem
        x = nn.Conv(width, (kernel, kernel), strides=stride, use_bias=False)(images.astype(jnp.float32) / 255)
        x = activation(norm()(halve(x) if pooled else x))
        for stage, (width, blocks) in enumerate(zip(self.widths, self.blocks, strict=True)):
            for block in range(blocks):
                shortcut = halve(x) if stage > 0 and block == 0 else x
                y = activation(norm()(self._conv(width)(shortcut)))
                y = norm(scale_init=nn.initializers.zeros)(self._conv(width)(y))
                if self.squeeze:
                    y *= self._weights(y)
                if shortcut.shape != y.shape:
                    shortcut = norm()(nn.Conv(width, (1, 1), use_bias=False)(shortcut))
                x = activation(shortcut + y)
        x = nn.Dropout(self.dropout, deterministic=not train)(x.mean(axis=(1, 2)))
        return nn.Dense(self.classes)(x)

    def _conv(self, width: int) -> Callable[[jax.Array], jax.Array]:
        if not self.depthwise:
            return nn.Conv(width, (3, 3), use_bias=False)

        def separable(x: jax.Array) -> jax.Array:
            channels = x.shape[-1]
            x = nn.Conv(channels, (3, 3), feature_group_count=channels, use_bias=False)(x)
            return nn.Conv(width, (1, 1), use_bias=False)(x)

        return separable

    def _weights(self, x: jax.Array) -> jax.Array:
        hidden = nn.relu(nn.Dense(x.shape[-1] // 8)(x.mean(axis=(1, 2))))
        return nn.sigmoid(nn.Dense(x.shape[-1])(hidden))[:, None, None]
