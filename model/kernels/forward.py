"""The forward pass of a network for one image: operations on flat float32 arrays, all run by one kernel.

It is for the page in a browser, which has no XLA; here it serves to prove what the page computes. An operation is a row
of the plan, of `FIELDS` whole numbers: what it does, where its input and its output begin in `memory`, the size of its
input, and what else it needs (`Operation`). Numbers are in memory as (height, width, channels); all channels but the
image's are a multiple of `WIDTH`.
"""

from enum import IntEnum

import numpy as np

from model.kernels.matmul import multiply
from model.kernels.vectors import WIDTH, copies, greatest, load, multiply_add, plain, store, zeros
from pipeline.arrays import Float32Array, Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel

PIXELS = 24  # that a convolution computes at a time: a multiple of the rows of the tiles of `multiply`


class Operation(IntEnum):
    """What a row of a plan does; the fields behind the first are in the order in which they are named here.

    CONVOLVE: from, to, height, width, channels, size of the kernel, stride, border before the first row and column,
        height and width of the output, its channels, place of the kernel in the weights, place of patches in memory.
    SCALE: from, to, height, width, channels, place of the scales and then of the shifts of the channels in the weights,
        1 if the number at the next field is added, where numbers to add begin, 1 if negative numbers become 0.
    POOL: from, to, height, width, channels: the greatest of 2 x 2 pixels.
    AVERAGE: from, to, height, width, channels: the mean over all pixels.
    """

    CONVOLVE = 0
    SCALE = 1
    POOL = 2
    AVERAGE = 3


FIELDS = 14
SCALES, PATCHES = 6, 13  # the fields of SCALE and of CONVOLVE whose values are known only when a plan is whole
_CONVOLVE, _SCALE, _POOL = (int(one) for one in (Operation.CONVOLVE, Operation.SCALE, Operation.POOL))


@inner_kernel
def _gather(
    memory: Float32Array, start: int, height: int, width: int, channels: int, size: int, row: int, column: int, to: int
) -> None:
    """Write the numbers that a kernel of `size` x `size` meets at a row and a column of an image; 0 outside of it."""
    left, right = max(column, 0), min(column + size, width)
    line = size * channels
    for y in range(row, row + size):
        if 0 <= y < height and right > left:
            before, count = (left - column) * channels, (right - left) * channels
            at = start + (y * width + left) * channels
            for k in range(before):
                memory[to + k] = np.float32(0)
            for k in range(count):
                memory[to + before + k] = memory[at + k]
            for k in range(before + count, line):
                memory[to + k] = np.float32(0)
        else:
            for k in range(line):
                memory[to + k] = np.float32(0)
        to += line


@inner_kernel
def _convolve(row: Int64Array, weights: Float32Array, memory: Float32Array) -> None:
    start, to, height, width, channels, size, stride, border = (
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
        row[7],
        row[8],
    )
    down, across, outputs, kernel_at, patches = row[9], row[10], row[11], row[12], row[PATCHES]
    terms, pixels = size * size * channels, down * across
    for first in range(0, pixels, PIXELS):
        count = min(PIXELS, pixels - first)
        for pixel in range(count):
            y, x = (first + pixel) // across, (first + pixel) % across
            _gather(
                memory, start, height, width, channels, size, y * stride - border, x * stride - border,
                patches + pixel * terms,
            )  # fmt: skip
        multiply(
            memory, patches, terms, plain(1), weights, kernel_at, outputs,
            memory, to + first * outputs, outputs, count, outputs, terms, plain(0),
        )  # fmt: skip


@inner_kernel
def _scale(row: Int64Array, weights: Float32Array, memory: Float32Array) -> None:
    start, to, pixels, channels, scales = row[1], row[2], row[3] * row[4], row[5], row[SCALES]
    is_added, added, is_positive = row[7], row[8], row[9]
    for pixel in range(pixels):
        for channel in range(0, channels, WIDTH):
            at = pixel * channels + channel
            value = multiply_add(
                load(memory, start + at), load(weights, scales + channel), load(weights, scales + channels + channel)
            )
            if is_added != 0:
                value = value + load(memory, added + at)
            if is_positive != 0:
                value = greatest(value, zeros())
            store(memory, to + at, value)


@inner_kernel
def _pool(row: Int64Array, memory: Float32Array) -> None:
    start, to, height, width, channels = row[1], row[2], row[3], row[4], row[5]
    for y in range(height // 2):
        for x in range(width // 2):
            upper = start + (2 * y * width + 2 * x) * channels
            lower = upper + width * channels
            for channel in range(0, channels, WIDTH):
                above = greatest(load(memory, upper + channel), load(memory, upper + channels + channel))
                below = greatest(load(memory, lower + channel), load(memory, lower + channels + channel))
                store(memory, to + channel, greatest(above, below))
            to += channels


@inner_kernel
def _average(row: Int64Array, memory: Float32Array) -> None:
    start, to, pixels, channels = row[1], row[2], row[3] * row[4], row[5]
    share = copies(np.float32(1.0 / pixels))
    for channel in range(0, channels, WIDTH):
        total = zeros()
        for pixel in range(pixels):
            total = total + load(memory, start + pixel * channels + channel)
        store(memory, to + channel, total * share)


@kernel
def run_network(image: UInt8Array, plan: Int64Array, weights: Float32Array, memory: Float32Array) -> None:
    """Run the operations of a plan on an image.

    Args:
        image: (H * W * C,) uint8, 0-255; it is written to the beginning of memory, scaled to 0-1.
        plan: (operations * FIELDS,) int64.
        weights: kernels, scales and shifts.
        memory: all that the operations read and write.
    """
    for k in range(len(image)):
        memory[k] = np.float32(image[k]) / np.float32(255)
    for first in range(0, len(plan), FIELDS):
        row = plan[first : first + FIELDS]
        operation = row[0]
        if operation == _CONVOLVE:
            _convolve(row, weights, memory)
        elif operation == _SCALE:
            _scale(row, weights, memory)
        elif operation == _POOL:
            _pool(row, memory)
        else:
            _average(row, memory)
