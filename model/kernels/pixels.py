"""Kernels that pass over the pixels of images once: activation, sums for batch norm, and their gradients.

Each takes a rectangle of `height` rows of `width` pixels with C channels, in flat float32 arrays; `x_at` is the index
of its first number and `x_row` the numbers from one of its rows to the next. C is a multiple of `WIDTH`.
"""

from typing import NamedTuple

from model.kernels.vectors import WIDTH, greatest, load, multiply_add, store, where_above, zeros
from pipeline.arrays import Float32Array
from pipeline.jit import inlined_kernel, inner_kernel


class Source(NamedTuple):
    """What a convolution reads: x, or if `active` is not 0 relu(x * scale + shift), both of them for each channel."""

    x: Float32Array
    scale: Float32Array
    shift: Float32Array
    active: int


@inlined_kernel
def clear(x: Float32Array, at: int, count: int) -> None:
    """Set `count` numbers, a multiple of `WIDTH`, to 0."""
    for i in range(at, at + count, WIDTH):
        store(x, i, zeros())


@inner_kernel
def put_active(
    source: Source, x_at: int, x_row: int, height: int, width: int, channels: int,
    z: Float32Array, z_at: int, z_row: int,
) -> None:  # fmt: skip
    """Copy pixels of a source."""
    x, scale, shift, active = source
    for c in range(0, channels, WIDTH):
        factor, offset = zeros(), zeros()
        if active:
            factor, offset = load(scale, c), load(shift, c)
        for i in range(height):
            at, to = x_at + i * x_row + c, z_at + i * z_row + c
            for _ in range(width):
                value = load(x, at)
                if active:
                    value = greatest(multiply_add(value, factor, offset), zeros())
                store(z, to, value)
                at += channels
                to += channels


@inner_kernel
def put_summed(
    z: Float32Array, z_at: int, z_row: int, height: int, width: int, channels: int,
    y: Float32Array, y_at: int, y_row: int, totals: Float32Array, total: int,
) -> None:  # fmt: skip
    """Copy pixels; add the sums of each channel to totals, from `total` on, and after them those of the squares."""
    for c in range(0, channels, WIDTH):
        values, squares = zeros(), zeros()
        for i in range(height):
            source, to = z_at + i * z_row + c, y_at + i * y_row + c
            for _ in range(width):
                value = load(z, source)
                values, squares = values + value, multiply_add(value, value, squares)
                store(y, to, value)
                source += channels
                to += channels
        store(totals, total + c, load(totals, total + c) + values)
        store(totals, total + channels + c, load(totals, total + channels + c) + squares)


@inner_kernel
def put_gradient(
    y: Float32Array, gradient: Float32Array, y_at: int, y_row: int, height: int, width: int, channels: int,
    added: Float32Array, factor: Float32Array, z: Float32Array, z_at: int, z_row: int,
) -> None:  # fmt: skip
    """Write `gradient + added + factor * y`: y's gradient if its sums have the gradients `added` and `factor` / 2."""
    for c in range(0, channels, WIDTH):
        offset, slope = load(added, c), load(factor, c)
        for i in range(height):
            source, to = y_at + i * y_row + c, z_at + i * z_row + c
            for _ in range(width):
                store(z, to, multiply_add(slope, load(y, source), load(gradient, source) + offset))
                source += channels
                to += channels


@inner_kernel
def take_gradient(
    z: Float32Array, z_at: int, z_row: int, source: Source, x_at: int, x_row: int, height: int, width: int,
    channels: int, dx: Float32Array, totals: Float32Array, total: int,
) -> None:  # fmt: skip
    """Write the gradient of x, given that of what `put_active` made of it; add those of scale and shift to totals."""
    x, scale, shift, active = source
    for c in range(0, channels, WIDTH):
        factor, offset, of_scale, of_shift = zeros(), zeros(), zeros(), zeros()
        if active:
            factor, offset = load(scale, c), load(shift, c)
        for i in range(height):
            at, to = z_at + i * z_row + c, x_at + i * x_row + c
            for _ in range(width):
                gradient = load(z, at)
                if active:
                    value = load(x, to)
                    gradient = where_above(multiply_add(value, factor, offset), zeros(), gradient)
                    of_scale, of_shift = multiply_add(gradient, value, of_scale), of_shift + gradient
                    gradient = gradient * factor
                store(dx, to, gradient)
                at += channels
                to += channels
        store(totals, total + c, load(totals, total + c) + of_scale)
        store(totals, total + channels + c, load(totals, total + channels + c) + of_shift)
