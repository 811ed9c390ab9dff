"""Kernels of convolutions without padding, of any size and few channels: `y = conv(z, kernel)`.

z is x, or relu(x * scale + shift) with both for each channel. Arrays are flat float32: images are (B, H, W, D), of
which z takes the first C channels, a kernel is (S, S, C, K). D and K are multiples of `WIDTH`, C need not be one.

A row of outputs is the sum of S matrix products: in a row of z, the numbers that an output reads lie beside each other,
and those of the next output C numbers further. This is for layers that Winograd's transforms would not make faster.
"""

from typing import NamedTuple

import numpy as np

from model.kernels.matmul import multiply
from model.kernels.pixels import Source, clear, put_active, take_gradient
from model.kernels.vectors import WIDTH, greatest, load, multiply_add, plain, store, zeros
from pipeline.arrays import Float32Array
from pipeline.jit import formula, inner_kernel, merged_kernel


class Shape(NamedTuple):
    """The shape of a convolution.

    Attributes:
        batch, height, width: images and their size.
        stored, inputs, outputs: the channels of x, those that the kernel takes, and those of y.
        size: of the kernel.
        active: 1 if z is relu(x * scale + shift), 0 if it is x.
    """

    batch: int
    height: int
    width: int
    stored: int
    inputs: int
    outputs: int
    size: int
    active: int


@formula
def kernel_floats(shape: Shape) -> int:
    """The floats of a kernel."""
    return shape.size * shape.size * shape.inputs * shape.outputs


@formula
def share_floats(shape: Shape) -> int:
    """The floats of scratch that each share has for itself: z, its gradient, that of y with a border, two kernels."""
    pixels, border = shape.height * shape.width, (shape.height + shape.size - 1) * (shape.width + shape.size - 1)
    of_kernels = kernel_floats(shape) + shape.size * shape.size * shape.stored * shape.outputs
    return pixels * (shape.inputs + shape.stored) + WIDTH + border * shape.outputs + of_kernels


@inner_kernel
def _turn_kernel(kernel: Float32Array, shape: Shape, turned: Float32Array, at: int) -> None:
    """Make a kernel (S, S, K, D), rotated by half a turn, which convolves gradients; 0 where there is no input."""
    inputs, outputs, taps = shape.inputs, shape.outputs, shape.size * shape.size
    for tap in range(taps):
        for k in range(outputs):
            for c in range(shape.stored):
                value = kernel[((taps - 1 - tap) * inputs + c) * outputs + k] if c < inputs else np.float32(0)
                turned[at + (tap * outputs + k) * shape.stored + c] = value


@inner_kernel
def _put_inputs(source: Source, x_at: int, pixels: int, shape: Shape, z: Float32Array, at: int) -> None:
    """Copy the first channels of pixels of a source: what is written behind those of one is overwritten by the next."""
    x, scale, shift, active = source
    for _ in range(pixels):
        for c in range(0, shape.inputs, WIDTH):
            value = load(x, x_at + c)
            if active:
                value = greatest(multiply_add(value, load(scale, c), load(shift, c)), zeros())
            store(z, at + c, value)
        x_at += shape.stored
        at += shape.inputs


@inner_kernel
def _convolve(
    z: Float32Array, z_at: int, z_row: int, channels: int, kernel: Float32Array, kernel_at: int, size: int,
    y: Float32Array, y_at: int, rows: int, columns: int, outputs: int,
) -> None:  # fmt: skip
    """Convolve an image of rows that are `z_row` apart to one of `rows` x `columns`."""
    for i in range(rows):
        for k in range(size):
            multiply(
                z, z_at + (i + k) * z_row, channels, plain(1),
                kernel, kernel_at + k * size * channels * outputs, outputs,
                y, y_at + i * columns * outputs, outputs, columns, outputs, size * channels, k,
            )  # fmt: skip


@merged_kernel
def forward_share(
    source: Source, kernel: Float32Array, y: Float32Array, scratch: Float32Array, shape: Shape, share: int, shares: int
) -> None:
    """A share of the forward pass; `scratch` has `share_floats` for each share."""
    pixels, at = shape.height * shape.width, share * share_floats(shape)
    rows, columns = shape.height - shape.size + 1, shape.width - shape.size + 1
    for image in range(shape.batch * share // shares, shape.batch * (share + 1) // shares):
        _put_inputs(source, image * pixels * shape.stored, pixels, shape, scratch, at)
        _convolve(
            scratch, at, shape.width * shape.inputs, shape.inputs, kernel, plain(0), shape.size,
            y, image * rows * columns * shape.outputs, rows, columns, shape.outputs,
        )  # fmt: skip


@merged_kernel
def backward_share(
    phase: int, source: Source, kernel: Float32Array, gradient: Float32Array, dx: Float32Array, totals: Float32Array,
    d_kernel: Float32Array, scratch: Float32Array, shape: Shape, share: int, shares: int,
) -> None:  # fmt: skip
    """A share of a phase of the backward pass: phase 0 does all but add up the shares' gradients of the kernel.

    `totals` is (shares, 2, D), the gradients of scale and shift.
    """
    height, width, stored, inputs, outputs = shape.height, shape.width, shape.stored, shape.inputs, shape.outputs
    size, floats, step = shape.size, kernel_floats(shape), share_floats(shape)
    sums = share * step
    if phase == 1:
        if share == 0:
            for i in range(0, floats, WIDTH):
                value = load(scratch, i)
                for other in range(1, shares):
                    value = value + load(scratch, other * step + i)
                store(d_kernel, i, value)
        return
    rows, columns, border_row = height - size + 1, width - size + 1, (width + size - 1) * outputs
    turned = sums + floats
    border = turned + size * size * stored * outputs
    inside = border + (size - 1) * (border_row + outputs)
    dz = border + (height + size - 1) * border_row
    z = dz + height * width * stored
    total, of_y = share * 2 * stored, Source(gradient, gradient, gradient, 0)
    clear(totals, total, 2 * stored)
    clear(scratch, sums, floats)
    clear(scratch, border, (height + size - 1) * border_row)
    _turn_kernel(kernel, shape, scratch, turned)
    for image in range(shape.batch * share // shares, shape.batch * (share + 1) // shares):
        x_at = image * height * width * stored
        _put_inputs(source, x_at, height * width, shape, scratch, z)
        put_active(
            of_y, image * rows * columns * outputs, columns * outputs, rows, columns, outputs,
            scratch, inside, border_row,
        )  # fmt: skip
        for i in range(rows):
            for k in range(size):
                multiply(
                    scratch, z + (i + k) * width * inputs, plain(1), inputs,
                    scratch, inside + i * border_row, outputs,
                    scratch, sums + k * size * inputs * outputs, outputs, size * inputs, outputs, columns, plain(1),
                )  # fmt: skip
        _convolve(scratch, border, border_row, outputs, scratch, turned, size, scratch, dz, height, width, stored)
        take_gradient(
            scratch, dz, width * stored, source, x_at, width * stored, height, width, stored, dx, totals, total
        )
