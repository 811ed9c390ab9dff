"""Slow, obvious versions of the kernels in float64, and arrays to call them with."""

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Float32Array, Float64Array


def random_floats(rng: np.random.Generator, *shape: int) -> Float32Array:
    """Normally distributed float32."""
    return rng.standard_normal(shape).astype(np.float32)


def unwritten(*shape: int) -> Float32Array:
    """float32 that would be seen if it were read before it is written."""
    return np.full(shape, np.nan, np.float32)


def is_close(found: NDArray[np.generic], expected: Float64Array, tolerance: float) -> bool:
    """Whether the root mean square error is at most `tolerance` of the expected numbers' root mean square."""
    error = np.sqrt(np.mean((found - expected) ** 2))
    return bool(np.isfinite(found).all() and error <= tolerance * np.sqrt(np.mean(np.square(expected))))


def activated(x: Float64Array, scale: Float64Array, shift: Float64Array, active: bool) -> Float64Array:
    """What a convolution reads."""
    return np.maximum(x * scale + shift, 0) if active else x


def convolved(z: Float64Array, kernel: Float64Array) -> Float64Array:
    """A convolution with padding, of an odd size."""
    size, border = kernel.shape[0], kernel.shape[0] // 2
    padded = np.pad(z, ((0, 0), (border, border), (border, border), (0, 0)))
    height, width = z.shape[1:3]
    y = np.zeros((*z.shape[:3], kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            y += padded[:, i : i + height, j : j + width] @ kernel[i, j]
    return y


def convolution_gradients(
    x: Float64Array,
    scale: Float64Array,
    shift: Float64Array,
    kernel: Float64Array,
    active: bool,
    gradient: Float64Array,
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """The gradients of x, scale, shift and kernel, given that of the outputs."""
    z = activated(x, scale, shift, active)
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    of_z = convolved(gradient, turned)
    size, border = kernel.shape[0], kernel.shape[0] // 2
    padded = np.pad(z, ((0, 0), (border, border), (border, border), (0, 0)))
    height, width = x.shape[1:3]
    of_kernel = np.zeros_like(kernel)
    for i in range(size):
        for j in range(size):
            of_kernel[i, j] = np.einsum("bhwc,bhwk->ck", padded[:, i : i + height, j : j + width], gradient)
    if not active:
        return of_z, np.zeros_like(scale), np.zeros_like(shift), of_kernel
    of_sum = np.where(x * scale + shift > 0, of_z, 0)
    return of_sum * scale, (of_sum * x).sum((0, 1, 2)), of_sum.sum((0, 1, 2)), of_kernel


def joined(
    a: Float64Array, a_scale: Float64Array, a_shift: Float64Array,
    b: Float64Array, b_scale: Float64Array, b_shift: Float64Array, gradient: Float64Array | None, pooled: bool,
) -> tuple[Float64Array, ...]:  # fmt: skip
    """The end of a residual block, and the gradients of a, b, both scales and the shift."""
    value = np.maximum(a * a_scale + a_shift + b * b_scale + b_shift, 0)
    of_value = np.zeros_like(value)
    if pooled:
        batch, height, width, channels = value.shape
        y = np.zeros((batch, height // 2, width // 2, channels))
        for n, i, j, c in np.ndindex(*y.shape):
            places = [(n, 2 * i + k // 2, 2 * j + k % 2, c) for k in range(4)]
            best = max(places, key=lambda place: value[place])  # the first of equal ones
            y[n, i, j, c] = value[best]
            if gradient is not None:
                of_value[best] = gradient[n, i, j, c]
    else:
        y = value
        if gradient is not None:
            of_value = gradient
    of_sum = np.where(value > 0, of_value, 0)
    axes = (0, 1, 2)
    return (
        y, of_sum * a_scale, of_sum * b_scale,
        (of_sum * a).sum(axes), (of_sum * b).sum(axes), of_sum.sum(axes),
    )  # fmt: skip


def first_layer(
    images: Float64Array, kernel: Float64Array, stride: int, before: int, rows: int, columns: int
) -> tuple[Float64Array, Float64Array]:
    """The outputs of a first layer before pooling, and the patches (B, rows, columns, size, size, C) that it reads."""
    size = kernel.shape[0]
    after = size + stride * max(rows, columns)
    padded = np.pad(images, ((0, 0), (before, after), (before, after), (0, 0)))
    patches = np.stack(
        [
            np.stack(
                [padded[:, stride * i : stride * i + size, stride * j : stride * j + size] for j in range(columns)],
                axis=1,
            )
            for i in range(rows)
        ],
        axis=1,
    )
    return np.einsum("bijklc,klco->bijo", patches, kernel), patches
