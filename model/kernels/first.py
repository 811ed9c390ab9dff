"""Kernels of a network's first layer: a convolution of bytes, of any size and stride, and the maximum over 2x2 pixels.

Most pixels of a drawing are 0 and take part in nothing: each of the others is added to the outputs that it touches.
Those in a row of outputs lie beside each other, as a segment of `taps` pixels with K channels each, so that the kernel
is packed in the same order. Images are flat uint8 (B, H, W, C), everything else is flat float32; K is a multiple of
`WIDTH`. An odd last row or column of outputs is dropped; of equal outputs the first takes the whole gradient.
"""

from typing import NamedTuple

import numpy as np

from model.kernels.pixels import clear
from model.kernels.vectors import WIDTH, copies, greatest, load, multiply_add, store, where_equal, zeros
from pipeline.arrays import Float32Array, UInt8Array
from pipeline.jit import formula, inlined_kernel, inner_kernel, merged_kernel
from pipeline.rendering.simd import Vector


class Layer(NamedTuple):
    """The shape of a first layer.

    Attributes:
        height, width, channels: of the images; one channel or three.
        size, stride: of the kernel.
        before: the rows and columns of padding above and to the left of an image.
        rows, columns, outputs: of the convolution, before pooling.
    """

    height: int
    width: int
    channels: int
    size: int
    stride: int
    before: int
    rows: int
    columns: int
    outputs: int


@formula
def taps_of(size: int, stride: int, phase: int) -> int:
    """The outputs of a row that a pixel touches; its phase is its place, counted with padding, modulo the stride."""
    return (size - phase + stride - 1) // stride


@formula
def packed_floats(layer: Layer) -> int:
    """The floats of a packed kernel."""
    return layer.size * layer.stride * layer.channels * taps_of(layer.size, layer.stride, 0) * layer.outputs


@formula
def row_floats(layer: Layer) -> int:
    """The floats of a row of outputs, with space for the segments that begin before it or end behind it."""
    return (layer.columns + 2 * taps_of(layer.size, layer.stride, 0)) * layer.outputs


@formula
def share_floats(layer: Layer) -> int:
    """The floats of scratch that each share has for itself: a packed kernel and the outputs of an image."""
    return packed_floats(layer) + layer.rows * row_floats(layer)


@formula
def _packed_place(layer: Layer, i: int, column: int, c: int) -> int:
    """Where the outputs of a kernel's number [i, column, c] are packed: by row, phase and channel, last tap first."""
    phase = column % layer.stride
    tap = taps_of(layer.size, layer.stride, phase) - 1 - column // layer.stride
    segment = (i * layer.stride + phase) * layer.channels + c
    return (segment * taps_of(layer.size, layer.stride, 0) + tap) * layer.outputs


@inner_kernel
def _pack_kernel(kernel: Float32Array, layer: Layer, packed: Float32Array, at: int) -> None:
    """Pack a kernel (size, size, C, K)."""
    source = 0
    for i in range(layer.size):
        for column in range(layer.size):
            for c in range(layer.channels):
                to = at + _packed_place(layer, i, column, c)
                for o in range(0, layer.outputs, WIDTH):
                    store(packed, to + o, load(kernel, source + o))
                source += layer.outputs


@inner_kernel
def _unpack_gradient(packed: Float32Array, at: int, shares: int, step: int, layer: Layer, kernel: Float32Array) -> None:
    """The kernel's gradient from the packed ones of all shares, which are `step` apart."""
    to = 0
    for i in range(layer.size):
        for column in range(layer.size):
            for c in range(layer.channels):
                source = at + _packed_place(layer, i, column, c)
                for o in range(0, layer.outputs, WIDTH):
                    total = load(packed, source + o)
                    for share in range(1, shares):
                        total = total + load(packed, source + share * step + o)
                    store(kernel, to + o, total)
                to += layer.outputs


@inlined_kernel
def _add_segment(
    scratch: Float32Array, to: int, weight: int, count: int, segment: int, channels: int, backward: bool,
    level: Vector, green: Vector, blue: Vector,
) -> None:  # fmt: skip
    """Add a pixel's part to `count` outputs from `to` on, or, backward, theirs to the kernel's gradient."""
    for _ in range(0, count, WIDTH):
        value = load(scratch, to)
        if backward:
            store(scratch, weight, multiply_add(level, value, load(scratch, weight)))
        else:
            value = multiply_add(level, load(scratch, weight), value)
        if channels == 3:
            second, third = weight + segment, weight + 2 * segment
            if backward:
                store(scratch, second, multiply_add(green, value, load(scratch, second)))
                store(scratch, third, multiply_add(blue, value, load(scratch, third)))
            else:
                value = multiply_add(green, load(scratch, second), value)
                value = multiply_add(blue, load(scratch, third), value)
        if not backward:
            store(scratch, to, value)
        to += WIDTH
        weight += WIDTH


@inner_kernel
def _pass_over_ink(
    images: UInt8Array, image: int, layer: Layer, backward: bool, scratch: Float32Array, y_at: int, at: int
) -> None:
    """For each pixel that is not 0 add its part to the outputs y, or, backward, that of y to the kernel's gradient.

    Nothing is divided in the loops, which took 8 times as long with divisions.
    """
    size, stride, channels, before, outputs = layer.size, layer.stride, layer.channels, layer.before, layer.outputs
    start = image * layer.height * layer.width * channels
    most = taps_of(size, stride, 0)
    of_most = size - (most - 1) * stride  # phases below this one have segments of `most` taps
    y_row = row_floats(layer)
    segment = most * outputs
    for i in range(layer.height):
        top = (i + before) % stride
        last_row = (i + before) // stride
        phase, place = before % stride, before // stride
        for j in range(layer.width):
            pixel = np.uint64(start + (i * layer.width + j) * channels)
            ink = images[pixel]
            if channels == 3:
                ink |= images[pixel + np.uint64(1)] | images[pixel + np.uint64(2)]
            if ink != 0:
                taps = most if phase < of_most else most - 1
                level = copies(np.float32(images[pixel]))
                green, blue = zeros(), zeros()
                if channels == 3:
                    green = copies(np.float32(images[pixel + np.uint64(1)]))
                    blue = copies(np.float32(images[pixel + np.uint64(2)]))
                row, k = last_row, top
                while k < size and row >= 0:
                    if row < layer.rows:
                        # a segment may begin up to `most` pixels before the row, or end behind it
                        to = y_at + row * y_row + (place - taps + 1 + most) * outputs
                        weight = at + (k * stride + phase) * channels * segment
                        _add_segment(
                            scratch, to, weight, taps * outputs, segment, channels, backward, level, green, blue
                        )
                    k += stride
                    row -= 1
            phase += 1
            if phase == stride:
                phase = 0
                place += 1


@merged_kernel
def forward_share(
    phase: int, images: UInt8Array, kernel: Float32Array, y: Float32Array, winners: Float32Array,
    totals: Float32Array, scratch: Float32Array, layer: Layer, batch: int, share: int, shares: int,
) -> None:  # fmt: skip
    """A share of a phase of the forward pass: phase 0 packs the kernel, 1 does the rest.

    `winners` says which of four pixels was the largest, 0 to 3; `totals` is (shares, 2, K), the sums of each share's
    y and of their squares. `scratch` has a packed kernel and `share_floats` for each share.
    """
    if phase == 0:
        if share == 0:
            _pack_kernel(kernel, layer, scratch, 0)
        return
    rows, columns, outputs, y_row = layer.rows // 2, layer.columns // 2, layer.outputs, row_floats(layer)
    at, total = packed_floats(layer) + share * share_floats(layer), share * 2 * outputs
    inside = at + taps_of(layer.size, layer.stride, 0) * outputs
    clear(totals, total, 2 * outputs)
    for image in range(batch * share // shares, batch * (share + 1) // shares):
        clear(scratch, at, layer.rows * y_row)
        _pass_over_ink(images, image, layer, False, scratch, at, 0)
        for o in range(0, outputs, WIDTH):
            values, squares = load(totals, total + o), load(totals, total + outputs + o)
            to = image * rows * columns * outputs + o
            for i in range(rows):
                source = inside + 2 * i * y_row + o
                for _ in range(columns):
                    v0, v1 = load(scratch, source), load(scratch, source + outputs)
                    v2, v3 = load(scratch, source + y_row), load(scratch, source + y_row + outputs)
                    best = greatest(greatest(v0, v1), greatest(v2, v3))
                    left = copies(np.float32(1))
                    left = left - where_equal(v0, best, left)
                    taken = where_equal(v1, best, left)
                    winner, left = taken, left - taken
                    taken = where_equal(v2, best, left)
                    winner, left = winner + taken + taken, left - taken
                    store(winners, to, multiply_add(left, copies(np.float32(3)), winner))
                    store(y, to, best)
                    values, squares = values + best, multiply_add(best, best, squares)
                    source += 2 * outputs
                    to += outputs
            store(totals, total + o, values)
            store(totals, total + outputs + o, squares)


@merged_kernel
def backward_share(
    phase: int, images: UInt8Array, y: Float32Array, winners: Float32Array, gradient: Float32Array,
    added: Float32Array, factor: Float32Array, d_kernel: Float32Array, scratch: Float32Array,
    layer: Layer, batch: int, share: int, shares: int,
) -> None:  # fmt: skip
    """A share of a phase of the backward pass: phase 0 sums a share's part of the kernel's gradient, 1 adds them up.

    The gradient of an output is `gradient + added + factor * y`.
    """
    packed = share * share_floats(layer)
    if phase == 1:
        if share == 0:
            _unpack_gradient(scratch, 0, shares, share_floats(layer), layer, d_kernel)
        return
    rows, columns, outputs, y_row = layer.rows // 2, layer.columns // 2, layer.outputs, row_floats(layer)
    at = packed + packed_floats(layer)
    inside = at + taps_of(layer.size, layer.stride, 0) * outputs
    clear(scratch, packed, share_floats(layer))
    for image in range(batch * share // shares, batch * (share + 1) // shares):
        for o in range(0, outputs, WIDTH):
            offset, slope = load(added, o), load(factor, o)
            source = image * rows * columns * outputs + o
            for i in range(rows):
                to = inside + 2 * i * y_row + o
                for _ in range(columns):
                    value = multiply_add(slope, load(y, source), load(gradient, source) + offset)
                    winner = load(winners, source)
                    store(scratch, to, where_equal(winner, zeros(), value))
                    store(scratch, to + outputs, where_equal(winner, copies(np.float32(1)), value))
                    store(scratch, to + y_row, where_equal(winner, copies(np.float32(2)), value))
                    store(scratch, to + y_row + outputs, where_equal(winner, copies(np.float32(3)), value))
                    source += outputs
                    to += 2 * outputs
        _pass_over_ink(images, image, layer, True, scratch, at, packed)
