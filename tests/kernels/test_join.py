"""The end of a residual block, and pooling, against the definition: odd sizes, ties, zeros."""

import numpy as np
import pytest

from model.kernels import join
from model.kernels.vectors import WIDTH
from pipeline.arrays import Float32Array
from pipeline.jit import kernel
from tests.kernels.naive import is_close, joined, random_floats


@kernel
def forward(
    a: Float32Array, a_scale: Float32Array, a_shift: Float32Array, b: Float32Array, b_scale: Float32Array,
    b_shift: Float32Array, y: Float32Array, height: int, width: int, channels: int, pooled: bool, first: int, end: int,
) -> None:  # fmt: skip
    join.forward_share(a, a_scale, a_shift, b, b_scale, b_shift, y, height, width, channels, True, pooled, first, end)


@kernel
def backward(
    a: Float32Array, a_scale: Float32Array, a_shift: Float32Array, b: Float32Array, b_scale: Float32Array,
    b_shift: Float32Array, gradient: Float32Array, da: Float32Array, db: Float32Array, totals: Float32Array,
    total: int, height: int, width: int, channels: int, pooled: bool, first: int, end: int,
) -> None:  # fmt: skip
    join.backward_share(
        a, a_scale, a_shift, b, b_scale, b_shift, gradient, da, db, totals, total, height, width, channels, True,
        pooled, first, end,
    )  # fmt: skip


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (4, 6), (5, 3)])
@pytest.mark.parametrize("rounded", [False, True])
def test_values_and_gradients_are_those_of_the_definition(pooled: bool, height: int, width: int, rounded: bool) -> None:
    rng, batch, channels = np.random.default_rng(height), 3, 2 * WIDTH
    a, b = random_floats(rng, 2, batch, height, width, channels)
    a_scale, a_shift, b_scale, b_shift = random_floats(rng, 4, channels)
    if rounded:  # many ties and zeros
        a, b, a_scale, b_scale = np.round(a), np.round(b), np.sign(a_scale), np.sign(b_scale)
        a_shift = b_shift = np.zeros_like(a_shift)
    step = 2 if pooled else 1
    gradient = random_floats(rng, batch, height // step, width // step, channels)
    inputs = (a.reshape(-1), a_scale, a_shift, b.reshape(-1), b_scale, b_shift)
    y, da, db = np.full_like(gradient, np.nan), np.full_like(a, np.nan), np.full_like(b, np.nan)
    totals = np.full((2, 3, channels), np.nan, "f4")
    for share, (first, end) in enumerate([(0, 1), (1, batch)]):
        forward(*inputs, y.reshape(-1), height, width, channels, pooled, first, end)
        backward(
            *inputs, gradient.reshape(-1), da.reshape(-1), db.reshape(-1), totals.reshape(-1), share * 3 * channels,
            height, width, channels, pooled, first, end,
        )  # fmt: skip
    wide = [array.astype(np.float64) for array in (a, a_scale, a_shift, b, b_scale, b_shift, gradient)]
    expected, of_a, of_b, of_a_scale, of_b_scale, of_shift = joined(*wide, pooled)
    assert is_close(y, expected, 1e-6)
    assert is_close(da, of_a, 1e-6)
    assert is_close(db, of_b, 1e-6)
    assert is_close(totals.sum(0), np.stack([of_a_scale, of_b_scale, of_shift]), 1e-5)
