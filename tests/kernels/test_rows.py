"""Convolutions without padding and their gradients against the definition, in float64."""

import numpy as np
import pytest

from model.kernels import rows
from model.kernels.pixels import Source
from model.kernels.rows import Shape
from model.kernels.vectors import WIDTH
from pipeline.arrays import Float32Array
from pipeline.jit import kernel
from tests.kernels.naive import activated, convolution_gradients, convolved, is_close, random_floats, unwritten


@kernel
def forward(
    source: Source, weights: Float32Array, y: Float32Array, scratch: Float32Array, shape: Shape, share: int, shares: int
) -> None:
    rows.forward_share(source, weights, y, scratch, shape, share, shares)


@kernel
def backward(
    phase: int, source: Source, weights: Float32Array, gradient: Float32Array, dx: Float32Array, totals: Float32Array,
    d_kernel: Float32Array, scratch: Float32Array, shape: Shape, share: int, shares: int,
) -> None:  # fmt: skip
    rows.backward_share(phase, source, weights, gradient, dx, totals, d_kernel, scratch, shape, share, shares)


@pytest.mark.parametrize(
    ("batch", "height", "width", "stored", "inputs", "outputs", "size", "shares"),
    [
        (1, 1, 1, WIDTH, WIDTH, WIDTH, 1, 1),
        (2, 6, 7, WIDTH, 4, WIDTH, 5, 2),
        (2, 4, 4, 2 * WIDTH, WIDTH + 1, WIDTH, 3, 1),
        (2, 5, 6, WIDTH, WIDTH, WIDTH, 5, 3),  # a share without an image
        (3, 7, 6, 2 * WIDTH, 2 * WIDTH, WIDTH, 3, 2),
        (2, 9, 8, WIDTH, WIDTH, 2 * WIDTH, 5, 1),
    ],
)
@pytest.mark.parametrize("active", [False, True])
def test_outputs_and_gradients_are_those_of_the_definition(
    batch: int,
    height: int,
    width: int,
    stored: int,
    inputs: int,
    outputs: int,
    size: int,
    shares: int,
    active: bool,
) -> None:
    rng = np.random.default_rng(0)
    shape = Shape(batch, height, width, stored, inputs, outputs, size, int(active))
    down, across, border = height - size + 1, width - size + 1, size // 2
    x, weights = random_floats(rng, batch, height, width, stored), random_floats(rng, size, size, inputs, outputs)
    scale, shift, gradient = *random_floats(rng, 2, stored), random_floats(rng, batch, down, across, outputs)
    source = Source(x.reshape(-1), scale, shift, int(active))
    scratch = unwritten(shares * rows.share_floats(shape))  # nothing may be read before it is written
    y = unwritten(batch, down, across, outputs)
    for share in range(shares):
        forward(source, weights.reshape(-1), y.reshape(-1), scratch, shape, share, shares)
    all_inputs = np.zeros((size, size, stored, outputs))  # what the kernel does not take has zeros
    all_inputs[:, :, :inputs] = weights
    wide = [*(array.astype(np.float64) for array in (x, scale, shift)), all_inputs]
    padded = convolved(activated(*wide[:3], active), wide[3])
    assert is_close(y, padded[:, border : border + down, border : border + across], 1e-6)

    dx, d_kernel = unwritten(*x.shape), unwritten(*weights.shape)
    totals = unwritten(shares, 2, stored)
    scratch[:] = np.nan
    for phase in range(2):
        for share in range(shares):
            backward(
                phase, source, weights.reshape(-1), gradient.reshape(-1), dx.reshape(-1), totals.reshape(-1),
                d_kernel.reshape(-1), scratch, shape, share, shares,
            )  # fmt: skip
    of_y = np.zeros(padded.shape)  # with padding, outputs near the border have no gradient
    of_y[:, border : border + down, border : border + across] = gradient
    of_x, of_scale, of_shift, of_kernel = convolution_gradients(*wide, active, of_y)
    assert is_close(dx, of_x, 1e-6)
    assert is_close(d_kernel, of_kernel[:, :, :inputs], 2e-6)
    assert is_close(totals.sum(0), np.stack([of_scale, of_shift]), 5e-6)
