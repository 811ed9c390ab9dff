"""Kernels of 1x1 convolutions: `y = z @ kernel` for each pixel, with z = x, or z = relu(x * scale + shift).

What `convolution.py` says of arrays, sums and shares holds here as well, but a share has an equal part of all pixels.
"""

from model.kernels.matmul import BLOCK, PANEL, multiply
from model.kernels.pixels import Source, clear, put_active, put_gradient, put_summed, take_gradient
from model.kernels.vectors import WIDTH, load, plain, store
from pipeline.arrays import Float32Array
from pipeline.jit import formula, inner_kernel, merged_kernel


@inner_kernel
def pack_kernel(
    kernel: Float32Array, inputs: int, outputs: int, transposed: int, first: int, end: int,
    packed: Float32Array, at: int,
) -> None:  # fmt: skip
    """Pack rows from `first` to `end` of a kernel (inputs, outputs), or if `transposed` is not 0 of its transpose."""
    rows, columns = (outputs, inputs) if transposed else (inputs, outputs)
    for row in range(first, end):
        for column in range(0, columns, WIDTH):
            panel = column // PANEL * PANEL
            to = at + panel * rows + row * min(PANEL, columns - panel) + column - panel
            if transposed:
                for lane in range(WIDTH):
                    packed[to + lane] = kernel[(column + lane) * outputs + row]
            else:
                store(packed, to, load(kernel, row * outputs + column))


@formula
def share_floats(inputs: int, outputs: int) -> int:
    """The floats of scratch that each share has for itself."""
    return BLOCK * (2 * inputs + outputs) + inputs * outputs


@merged_kernel
def forward_share(
    phase: int, source: Source, kernel: Float32Array, y: Float32Array, totals: Float32Array, scratch: Float32Array,
    pixels: int, inputs: int, outputs: int, share: int, shares: int,
) -> None:  # fmt: skip
    """A share of a phase of the forward pass: phase 0 packs the kernel, 1 multiplies.

    `totals` is (shares, 2, outputs), the sums of each share's outputs and of their squares; `scratch` has a packed
    kernel and `share_floats` for each share.
    """
    if phase == 0:
        pack_kernel(
            kernel, inputs, outputs, plain(0), inputs * share // shares, inputs * (share + 1) // shares, scratch, 0
        )
        return
    total, end = share * 2 * outputs, pixels * (share + 1) // shares
    at = inputs * outputs + share * share_floats(inputs, outputs)
    clear(totals, total, 2 * outputs)
    for start in range(pixels * share // shares, end, BLOCK):
        count = min(BLOCK, end - start)
        put_active(source, start * inputs, plain(0), plain(1), count, inputs, scratch, at, plain(0))
        multiply(
            scratch, at, inputs, plain(1), scratch, plain(0), plain(0), y, start * outputs, outputs, count, outputs,
            inputs, plain(0),
        )  # fmt: skip
        put_summed(y, start * outputs, plain(0), plain(1), count, outputs, y, start * outputs, plain(0), totals, total)


@merged_kernel
def backward_share(
    phase: int, source: Source, kernel: Float32Array, y: Float32Array, gradient: Float32Array,
    added: Float32Array, factor: Float32Array, dx: Float32Array, totals: Float32Array, d_kernel: Float32Array,
    scratch: Float32Array, pixels: int, inputs: int, outputs: int, share: int, shares: int,
) -> None:  # fmt: skip
    """A share of a phase of the backward pass: phase 0 packs the kernel, 1 multiplies, 2 adds up the kernel's gradient.

    The gradient of an output is `gradient + added + factor * y`; `totals` is (shares, 2, inputs), the gradients of
    scale and shift.
    """
    size, step = inputs * outputs, share_floats(inputs, outputs)
    sums = size + share * step
    if phase == 0:
        pack_kernel(
            kernel, inputs, outputs, plain(1), outputs * share // shares, outputs * (share + 1) // shares, scratch, 0
        )
    elif phase == 1:
        total, first, end = share * 2 * inputs, pixels * share // shares, pixels * (share + 1) // shares
        at = sums + size
        z, d = at + BLOCK * outputs, at + BLOCK * (inputs + outputs)
        clear(totals, total, 2 * inputs)
        clear(scratch, sums, size)
        for start in range(first, end, BLOCK):
            count = min(BLOCK, end - start)
            put_gradient(
                y, gradient, start * outputs, plain(0), plain(1), count, outputs, added, factor, scratch, at, plain(0)
            )
            put_active(source, start * inputs, plain(0), plain(1), count, inputs, scratch, z, plain(0))
            multiply(
                scratch, at, outputs, plain(1), scratch, plain(0), plain(0), scratch, d, inputs, count, inputs,
                outputs, plain(0),
            )  # fmt: skip
            multiply(
                scratch, z, plain(1), inputs, scratch, at, outputs, scratch, sums, outputs, inputs, outputs, count,
                plain(1),
            )  # fmt: skip
            take_gradient(
                scratch, d, plain(0), source, start * inputs, plain(0), plain(1), count, inputs, dx, totals, total
            )
    else:
        for i in range(inputs * share // shares * outputs, inputs * (share + 1) // shares * outputs, WIDTH):
            value = load(scratch, size + i)
            for other in range(1, shares):
                value = value + load(scratch, size + other * step + i)
            store(d_kernel, i, value)
