"""Kernels of the end of a residual block: `y = relu(a * a_scale + a_shift + b * b_scale + b_shift)`, and pooling.

If `pooled`, y is the maximum over 2x2 pixels, and an odd last row or column is dropped; of equal pixels the first takes
the whole gradient. Without `joined` there is no b. Arrays are as in `convolution.py`.
"""

from model.kernels.pixels import clear
from model.kernels.vectors import (
    WIDTH,
    greatest,
    load,
    multiply_add,
    store,
    where_above,
    where_equal,
    zeros,
)
from pipeline.arrays import Float32Array
from pipeline.jit import inlined_kernel, merged_kernel
from pipeline.rendering.simd import Vector


@inlined_kernel
def _value(
    a: Float32Array, b: Float32Array, at: int, joined: bool, a_scale: Vector, b_scale: Vector, shift: Vector
) -> Vector:
    value = multiply_add(load(a, at), a_scale, shift)
    if joined:
        value = multiply_add(load(b, at), b_scale, value)
    return greatest(value, zeros())


@merged_kernel
def forward_share(
    a: Float32Array, a_scale: Float32Array, a_shift: Float32Array,
    b: Float32Array, b_scale: Float32Array, b_shift: Float32Array, y: Float32Array,
    height: int, width: int, channels: int, joined: bool, pooled: bool, first: int, end: int,
) -> None:  # fmt: skip
    """Join the images from `first` to `end`."""
    row, step = width * channels, 2 if pooled else 1
    for c in range(0, channels, WIDTH):
        to = first * (height // step) * (width // step) * channels + c
        scale, other_scale, shift = load(a_scale, c), zeros(), load(a_shift, c)
        if joined:
            other_scale, shift = load(b_scale, c), shift + load(b_shift, c)
        for image in range(first, end):
            for i in range(height // step):
                at = (image * height + step * i) * row + c
                for _ in range(width // step):
                    value = _value(a, b, at, joined, scale, other_scale, shift)
                    if pooled:
                        value = greatest(value, _value(a, b, at + channels, joined, scale, other_scale, shift))
                        value = greatest(value, _value(a, b, at + row, joined, scale, other_scale, shift))
                        value = greatest(value, _value(a, b, at + row + channels, joined, scale, other_scale, shift))
                    store(y, to, value)
                    at += step * channels
                    to += channels


@merged_kernel
def backward_share(
    a: Float32Array, a_scale: Float32Array, a_shift: Float32Array,
    b: Float32Array, b_scale: Float32Array, b_shift: Float32Array, gradient: Float32Array,
    da: Float32Array, db: Float32Array, totals: Float32Array, total: int,
    height: int, width: int, channels: int, joined: bool, pooled: bool, first: int, end: int,
) -> None:  # fmt: skip
    """The gradients of a and b for the images from `first` to `end`; `totals` has those of the two scales and shift.

    That is 3 x C numbers from `total` on; both shifts have the same gradient.
    """
    row, step = width * channels, 2 if pooled else 1
    clear(totals, total, 3 * channels)
    if pooled and (height % 2 or width % 2):
        clear(da, first * height * row, (end - first) * height * row)
        if joined:
            clear(db, first * height * row, (end - first) * height * row)
    for c in range(0, channels, WIDTH):
        source = first * (height // step) * (width // step) * channels + c
        scale, other_scale, shift = load(a_scale, c), zeros(), load(a_shift, c)
        if joined:
            other_scale, shift = load(b_scale, c), shift + load(b_shift, c)
        of_a, of_b, of_shift = zeros(), zeros(), zeros()
        for image in range(first, end):
            for i in range(height // step):
                at = (image * height + step * i) * row + c
                for _ in range(width // step):
                    left = load(gradient, source)
                    v0 = _value(a, b, at, joined, scale, other_scale, shift)
                    best = v0
                    v1, v2, v3 = zeros(), zeros(), zeros()
                    if pooled:
                        v1 = _value(a, b, at + channels, joined, scale, other_scale, shift)
                        v2 = _value(a, b, at + row, joined, scale, other_scale, shift)
                        v3 = _value(a, b, at + row + channels, joined, scale, other_scale, shift)
                        best = greatest(greatest(v0, v1), greatest(v2, v3))
                    left = where_above(best, zeros(), left)
                    of_shift = of_shift + left
                    for k in range(step * step):
                        pixel, value = at, v0
                        if k == 1:
                            pixel, value = at + channels, v1
                        elif k == 2:
                            pixel, value = at + row, v2
                        elif k == 3:
                            pixel, value = at + row + channels, v3
                        taken = where_equal(value, best, left)
                        left = left - taken
                        of_a = multiply_add(taken, load(a, pixel), of_a)
                        store(da, pixel, taken * scale)
                        if joined:
                            of_b = multiply_add(taken, load(b, pixel), of_b)
                            store(db, pixel, taken * other_scale)
                    at += step * channels
                    source += channels
        store(totals, total + c, of_a)
        store(totals, total + channels + c, of_b)
        store(totals, total + 2 * channels + c, of_shift)
