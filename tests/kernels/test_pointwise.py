"""1x1 convolutions and their gradients against the definition, in float64."""

import numpy as np
import pytest

from model.kernels import pointwise
from model.kernels.matmul import BLOCK
from model.kernels.pixels import Source
from model.kernels.vectors import WIDTH
from pipeline.arrays import Float32Array
from pipeline.jit import kernel
from tests.kernels.naive import activated, convolution_gradients, convolved, is_close, random_floats, unwritten


@kernel
def forward(
    phase: int, source: Source, weights: Float32Array, y: Float32Array, totals: Float32Array, scratch: Float32Array,
    pixels: int, inputs: int, outputs: int, share: int, shares: int,
) -> None:  # fmt: skip
    pointwise.forward_share(phase, source, weights, y, totals, scratch, pixels, inputs, outputs, share, shares)


@kernel
def backward(
    phase: int, source: Source, weights: Float32Array, y: Float32Array, gradient: Float32Array, added: Float32Array,
    factor: Float32Array, dx: Float32Array, totals: Float32Array, d_kernel: Float32Array, scratch: Float32Array,
    pixels: int, inputs: int, outputs: int, share: int, shares: int,
) -> None:  # fmt: skip
    pointwise.backward_share(
        phase, source, weights, y, gradient, added, factor, dx, totals, d_kernel, scratch, pixels, inputs, outputs,
        share, shares,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "inputs", "outputs", "shares"),
    [((1, 1, 1), WIDTH, WIDTH, 2), ((2, 3, 5), 2 * WIDTH, 3 * WIDTH, 3), ((1, BLOCK, 5), WIDTH, 2 * WIDTH, 1)],
)
@pytest.mark.parametrize("active", [False, True])
def test_outputs_sums_and_gradients_are_those_of_the_definition(
    shape: tuple[int, ...], inputs: int, outputs: int, shares: int, active: bool
) -> None:
    rng = np.random.default_rng(0)
    x, weights = random_floats(rng, *shape, inputs), random_floats(rng, 1, 1, inputs, outputs)
    scale, shift = random_floats(rng, inputs), random_floats(rng, inputs)
    gradient, added, factor = random_floats(rng, *shape, outputs), *random_floats(rng, 2, outputs) / 10
    source, sizes = Source(x.reshape(-1), scale, shift, int(active)), (int(np.prod(shape)), inputs, outputs)
    floats = inputs * outputs + shares * pointwise.share_floats(inputs, outputs)
    y, totals = unwritten(*shape, outputs), unwritten(shares, 2, outputs)
    scratch = unwritten(floats)
    for phase in range(2):
        for share in range(shares):
            forward(
                phase, source, weights.reshape(-1), y.reshape(-1), totals.reshape(-1), scratch, *sizes, share, shares
            )
    wide = [array.astype(np.float64) for array in (x, scale, shift, weights)]
    assert is_close(y, convolved(activated(*wide[:3], active), wide[3]), 1e-6)
    assert is_close(totals.sum(0)[0], y.sum((0, 1, 2), dtype=np.float64), 1e-5)
    assert is_close(totals.sum(0)[1], np.square(y, dtype=np.float64).sum((0, 1, 2)), 1e-5)

    dx, d_kernel, totals = unwritten(*x.shape), unwritten(*weights.shape), unwritten(shares, 2, inputs)
    scratch = unwritten(floats)
    for phase in range(3):
        for share in range(shares):
            backward(
                phase, source, weights.reshape(-1), y.reshape(-1), gradient.reshape(-1), added, factor,
                dx.reshape(-1), totals.reshape(-1), d_kernel.reshape(-1), scratch, *sizes, share, shares,
            )  # fmt: skip
    of_y = gradient + added.astype(np.float64) + factor * y.astype(np.float64)
    of_x, of_scale, of_shift, of_kernel = convolution_gradients(*wide, active, of_y)
    assert is_close(dx, of_x, 1e-6)
    assert is_close(d_kernel, of_kernel, 2e-6)
    assert is_close(totals.sum(0), np.stack([of_scale, of_shift]), 5e-6)
