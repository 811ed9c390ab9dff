"""The kernels of `model.kernels` as functions of JAX with gradients.

A source is what a convolution reads: x, or relu(x * scale + shift) with a scale and a shift for each channel, which is
how batch norm and ReLU reach the next convolution without an array of their own. A convolution also returns the sums
of its outputs and of their squares, (2, C), from which the next batch norm is made. All arrays are float32; their
channels are a multiple of `WIDTH`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from model.compute.native.calls import call
from model.compute.native.plan import SHARES, Kernel
from model.kernels import first, pointwise, rows
from model.kernels.first import Layer
from model.kernels.layout import layout_of, scratch_floats
from model.kernels.rows import Shape
from model.kernels.vectors import WIDTH


class Source(NamedTuple):
    """What a convolution reads, (B, H, W, C); without `scale` and `shift`, (C,), it reads x itself."""

    x: jax.Array
    scale: jax.Array | None = None
    shift: jax.Array | None = None


def _check_shape(fits: bool, what: str, *shapes: tuple[int, ...]) -> None:
    if not fits:
        raise ValueError(f"{what}, found {' and '.join(map(str, shapes))}")


def convolve(source: Source, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A convolution with a kernel of 3x3 with padding, or of 1x1: outputs (B, H, W, K) and sums (2, K).

    Args:
        source: what it reads.
        kernel: (3, 3, C, K) or (1, 1, C, K).

    Raises:
        ValueError: the kernel is of another size or for other channels, or channels are no multiple of `WIDTH`.
    """
    channels, (*size, inputs, outputs) = source.x.shape[-1], kernel.shape
    fits = size in ([1, 1], [3, 3]) and channels == inputs and channels % WIDTH == 0 == outputs % WIDTH
    _check_shape(fits, f"expected a kernel of 1x1 or 3x3 for channels in {WIDTH}s", source.x.shape, kernel.shape)
    if source.scale is None or source.shift is None:
        unused = jnp.zeros(source.x.shape[-1], jnp.float32)
        return _convolve(source.x, unused, unused, kernel, False)
    return _convolve(source.x, source.scale, source.shift, kernel, True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _convolve(
    x: jax.Array, scale: jax.Array, shift: jax.Array, kernel: jax.Array, active: bool
) -> tuple[jax.Array, jax.Array]:
    batch, height, width, inputs = x.shape
    outputs = kernel.shape[-1]
    results = {"y": (batch, height, width, outputs), "sums": (SHARES, 2, outputs)}
    if kernel.shape[0] == 3:
        layout = layout_of(batch, height, width, inputs, outputs, active, SHARES)
        floats = scratch_floats(layout, SHARES)
        y, sums, _ = call(Kernel.CONVOLUTION_FORWARD, layout, results | {"scratch": (floats,)}, x, scale, shift, kernel)
    else:
        floats = inputs * outputs + SHARES * pointwise.share_floats(inputs, outputs)
        sizes = (batch * height * width, inputs, outputs, active)
        y, sums, _ = call(Kernel.POINTWISE_FORWARD, sizes, results | {"scratch": (floats,)}, x, scale, shift, kernel)
    return y, sums.sum(0)


def _convolve_forward(x: Any, scale: Any, shift: Any, kernel: Any, active: bool) -> Any:
    y, sums = _convolve(x, scale, shift, kernel, active)
    return (y, sums), (x, scale, shift, kernel, y)


def _convolve_backward(active: bool, kept: Any, gradients: Any) -> Any:
    x, scale, shift, kernel, y = kept
    gradient, of_sums = gradients
    batch, height, width, inputs = x.shape
    outputs = kernel.shape[-1]
    arguments = (x, scale, shift, kernel, y, gradient, of_sums[0], 2 * of_sums[1])
    results = {"x": x.shape, "sums": (SHARES, 2, inputs), "kernel": kernel.shape}
    if kernel.shape[0] == 3:
        layout = layout_of(batch, height, width, inputs, outputs, active, SHARES)
        floats = scratch_floats(layout, SHARES)
        of_x, sums, of_kernel, _ = call(
            Kernel.CONVOLUTION_BACKWARD, layout, results | {"scratch": (floats,)}, *arguments
        )
    else:
        floats = inputs * outputs + SHARES * pointwise.share_floats(inputs, outputs)
        sizes = (batch * height * width, inputs, outputs, active)
        of_x, sums, of_kernel, _ = call(Kernel.POINTWISE_BACKWARD, sizes, results | {"scratch": (floats,)}, *arguments)
    of_scale, of_shift = sums.sum(0)
    return of_x, of_scale, of_shift, of_kernel


_convolve.defvjp(_convolve_forward, _convolve_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_rows(source: Source, kernel: jax.Array, active: bool) -> jax.Array:
    """A convolution without padding, for layers of few channels: outputs (B, H - S + 1, W - S + 1, K).

    Args:
        source: what it reads; with a scale and a shift in either case.
        kernel: (S, S, C, K), with as many channels or fewer than the source has.
        active: whether scale and shift are used.

    Raises:
        ValueError: the kernel is not square, or for more channels, or channels are no multiple of `WIDTH`.
    """
    channels, (size, other_size, inputs, outputs) = source.x.shape[-1], kernel.shape
    fits = size == other_size and inputs <= channels and channels % WIDTH == 0 == outputs % WIDTH
    _check_shape(fits, f"expected a square kernel for channels in {WIDTH}s", source.x.shape, kernel.shape)
    shape = _shape_of(source, kernel, active)
    results = {
        "y": (shape.batch, shape.height - shape.size + 1, shape.width - shape.size + 1, shape.outputs),
        "scratch": (SHARES * rows.share_floats(shape),),
    }
    y, _ = call(Kernel.ROWS_FORWARD, shape, results, source.x, source.scale, source.shift, kernel)
    return y


def _shape_of(source: Source, kernel: jax.Array, active: bool) -> Shape:
    batch, height, width, stored = source.x.shape
    size, _, inputs, outputs = kernel.shape
    return Shape(batch, height, width, stored, inputs, outputs, size, int(active))


def _convolve_rows_forward(source: Source, kernel: jax.Array, active: bool) -> Any:
    return convolve_rows(source, kernel, active), (source, kernel)


def _convolve_rows_backward(active: bool, kept: Any, gradient: jax.Array) -> Any:
    source, kernel = kept
    shape = _shape_of(source, kernel, active)
    results = {
        "x": source.x.shape, "sums": (SHARES, 2, shape.stored), "kernel": kernel.shape,
        "scratch": (SHARES * rows.share_floats(shape),),
    }  # fmt: skip
    of_x, sums, of_kernel, _ = call(
        Kernel.ROWS_BACKWARD, shape, results, source.x, source.scale, source.shift, kernel, gradient
    )
    return Source(of_x, *sums.sum(0)), of_kernel


convolve_rows.defvjp(_convolve_rows_forward, _convolve_rows_backward)


def join(first: Source, second: Source, *, pooled: bool) -> jax.Array:
    """relu(first + second), each scaled and shifted, and if `pooled` the maximum over 2x2 pixels of that.

    Raises:
        ValueError: their shapes differ, or channels are no multiple of `WIDTH`.
    """
    fits = first.x.shape == second.x.shape and first.x.shape[-1] % WIDTH == 0
    _check_shape(fits, f"expected equal shapes with channels in {WIDTH}s", first.x.shape, second.x.shape)
    return _join(*first, *second, pooled)


def activate_and_pool(source: Source) -> jax.Array:
    """The maximum over 2x2 pixels of relu(x * scale + shift).

    Raises:
        ValueError: channels are no multiple of `WIDTH`.
    """
    _check_shape(source.x.shape[-1] % WIDTH == 0, f"expected channels in {WIDTH}s", source.x.shape)
    return _join(*source, None, None, None, True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(6,))
def _join(a: Any, a_scale: Any, a_shift: Any, b: Any, b_scale: Any, b_shift: Any, pooled: bool) -> jax.Array:
    batch, height, width, channels = a.shape
    step = 2 if pooled else 1
    shape = (batch, height // step, width // step, channels)
    joined = b is not None
    second = (b, b_scale, b_shift) if joined else (a_scale,) * 3  # which are not read
    (y,) = call(Kernel.JOIN_FORWARD, (*a.shape, joined, pooled), {"y": shape}, a, a_scale, a_shift, *second)
    return y


def _join_forward(*arguments: Any) -> Any:
    return _join(*arguments), arguments[:6]


def _join_backward(pooled: bool, kept: Any, gradient: jax.Array) -> Any:
    a, a_scale, a_shift, b, *_ = kept
    joined = b is not None
    results = {"a": a.shape, "b": a.shape if joined else (1,), "sums": (SHARES, 3, a.shape[-1])}
    second = kept[3:] if joined else (a_scale,) * 3
    of_a, of_b, sums = call(
        Kernel.JOIN_BACKWARD, (*a.shape, joined, pooled), results, a, a_scale, a_shift, *second, gradient
    )
    of_a_scale, of_b_scale, of_shift = sums.sum(0)
    if joined:
        return of_a, of_a_scale, of_shift, of_b, of_b_scale, of_shift
    return of_a, of_a_scale, of_shift, None, None, None


_join.defvjp(_join_forward, _join_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def first_layer(images: jax.Array, kernel: jax.Array, stride: int, padded: bool) -> tuple[jax.Array, jax.Array]:
    """A convolution of images (B, N, N, C) uint8, and the maximum over 2x2 pixels: outputs and their sums.

    Raises:
        ValueError: images or kernel are not square, there are neither one nor three channels, or the kernel is for
            others, or its outputs are no multiple of `WIDTH`.
    """
    _, height, width, channels = images.shape
    size, other_size, inputs, outputs = kernel.shape
    fits = height == width and size == other_size and channels == inputs in (1, 3) and outputs % WIDTH == 0
    expected = f"expected square images of 1 or 3 channels and a square kernel with outputs in {WIDTH}s"
    _check_shape(fits, expected, images.shape, kernel.shape)
    y, _, sums = _first(images, kernel, stride, padded)
    return y, sums


def _layer_of(images: jax.Array, kernel: jax.Array, stride: int, padded: bool) -> Layer:
    _, height, width, channels = images.shape
    size, outputs = kernel.shape[0], kernel.shape[-1]
    if padded:
        rows, columns = -(-height // stride), -(-width // stride)
        before = max((rows - 1) * stride + size - height, 0) // 2
    else:
        rows, columns, before = (height - size) // stride + 1, (width - size) // stride + 1, 0
    return Layer(height, width, channels, size, stride, before, rows, columns, outputs)


def _first(images: jax.Array, kernel: jax.Array, stride: int, padded: bool) -> list[jax.Array]:
    layer = _layer_of(images, kernel, stride, padded)
    shape = (len(images), layer.rows // 2, layer.columns // 2, layer.outputs)
    floats = first.packed_floats(layer) + SHARES * first.share_floats(layer)
    results = {"y": shape, "winners": shape, "sums": (SHARES, 2, layer.outputs), "scratch": (floats,)}
    y, winners, sums, _ = call(Kernel.FIRST_FORWARD, (len(images), *layer), results, images, kernel)
    return [y, winners, sums.sum(0)]


def _first_forward(images: jax.Array, kernel: jax.Array, stride: int, padded: bool) -> Any:
    y, winners, sums = _first(images, kernel, stride, padded)
    return (y, sums), (images, kernel, y, winners)


def _first_backward(stride: int, padded: bool, kept: Any, gradients: Any) -> Any:
    images, kernel, y, winners = kept
    gradient, of_sums = gradients
    layer = _layer_of(images, kernel, stride, padded)
    results = {"kernel": kernel.shape, "scratch": (SHARES * first.share_floats(layer),)}
    of_kernel, _ = call(
        Kernel.FIRST_BACKWARD, (len(images), *layer), results, images, y, winners, gradient, of_sums[0], 2 * of_sums[1]
    )
    return None, of_kernel


first_layer.defvjp(_first_forward, _first_backward)
