"""The first layer against the definition: strides, odd sizes, one channel or three, images without ink, ties."""

import numpy as np
import pytest

from model.kernels import first
from model.kernels.first import Layer
from model.kernels.vectors import WIDTH
from pipeline.arrays import Float32Array, UInt8Array
from pipeline.jit import kernel
from tests.kernels.naive import first_layer, is_close, random_floats


@kernel
def forward(
    phase: int, images: UInt8Array, weights: Float32Array, y: Float32Array, winners: Float32Array,
    totals: Float32Array, scratch: Float32Array, layer: Layer, batch: int, share: int, shares: int,
) -> None:  # fmt: skip
    first.forward_share(phase, images, weights, y, winners, totals, scratch, layer, batch, share, shares)


@kernel
def backward(
    phase: int, images: UInt8Array, y: Float32Array, winners: Float32Array, gradient: Float32Array,
    added: Float32Array, factor: Float32Array, d_kernel: Float32Array, scratch: Float32Array, layer: Layer,
    batch: int, share: int, shares: int,
) -> None:  # fmt: skip
    first.backward_share(
        phase, images, y, winners, gradient, added, factor, d_kernel, scratch, layer, batch, share, shares
    )


@pytest.mark.parametrize(
    ("height", "width", "channels", "size", "stride", "before", "outputs"),
    [
        (8, 8, 3, 5, 2, 1, WIDTH),  # as sketchnet's
        (9, 6, 3, 3, 1, 1, WIDTH),
        (7, 10, 1, 5, 1, 0, 2 * WIDTH),
        (11, 8, 1, 4, 3, 2, WIDTH),
    ],
)
def test_outputs_and_gradients_are_those_of_the_definition(
    height: int, width: int, channels: int, size: int, stride: int, before: int, outputs: int
) -> None:
    rng, batch, shares = np.random.default_rng(size), 3, 2
    rows, columns = (height + 2 * before - size) // stride + 1, (width + 2 * before - size) // stride + 1
    layer = Layer(height, width, channels, size, stride, before, rows, columns, outputs)
    images = rng.integers(0, 256, (batch, height, width, channels)).astype(np.uint8)
    images *= rng.random((batch, height, width, 1)) < 0.3
    images[1] = 0  # no ink, so that all four pixels are equal
    weights = random_floats(rng, size, size, channels, outputs)
    shape = (batch, rows // 2, columns // 2, outputs)
    gradient, added, factor = random_floats(rng, *shape), *random_floats(rng, 2, outputs) / 1000
    y, winners, totals = (
        np.full(shape, np.nan, "f4"),
        np.full(shape, np.nan, "f4"),
        np.full((shares, 2, outputs), np.nan, "f4"),
    )
    scratch = np.full(first.packed_floats(layer) + shares * first.share_floats(layer), np.nan, "f4")
    for phase in range(2):
        for share in range(shares):
            forward(
                phase, images.reshape(-1), weights.reshape(-1), y.reshape(-1), winners.reshape(-1), totals.reshape(-1),
                scratch, layer, batch, share, shares,
            )  # fmt: skip
    whole, patches = first_layer(images.astype(np.float64), weights.astype(np.float64), stride, before, rows, columns)
    four = np.stack([whole[:, i : rows // 2 * 2 : 2, j : columns // 2 * 2 : 2] for i in (0, 1) for j in (0, 1)])
    assert is_close(y, four.max(0), 1e-6)
    chosen = np.take_along_axis(four, winners.astype(np.int64)[None], 0)[0]
    assert is_close(chosen, four.max(0), 1e-6)  # rounding may decide between nearly equal ones
    assert not winners[1].any()  # the first of equal ones
    assert is_close(totals.sum(0)[0], y.sum((0, 1, 2), dtype=np.float64), 1e-5)
    assert is_close(totals.sum(0)[1], np.square(y, dtype=np.float64).sum((0, 1, 2)), 1e-5)

    d_kernel = np.full_like(weights, np.nan)
    scratch[:] = np.nan
    for phase in range(2):
        for share in range(shares):
            backward(
                phase, images.reshape(-1), y.reshape(-1), winners.reshape(-1), gradient.reshape(-1), added, factor,
                d_kernel.reshape(-1), scratch, layer, batch, share, shares,
            )  # fmt: skip
    of_y = gradient + added.astype(np.float64) + factor * y.astype(np.float64)
    of_whole = np.zeros_like(whole)
    for k in range(4):
        of_whole[:, k // 2 : rows // 2 * 2 : 2, k % 2 : columns // 2 * 2 : 2] = np.where(winners == k, of_y, 0)
    assert is_close(d_kernel, np.einsum("bijklc,bijo->klco", patches, of_whole), 2e-6)
