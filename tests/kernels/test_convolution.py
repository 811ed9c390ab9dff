"""3x3 convolutions and their gradients against the definition, in float64."""

import numpy as np
import pytest

from model.kernels import convolution
from model.kernels import layout as layouts
from model.kernels.layout import Layout, layout_of, scratch_floats
from model.kernels.pixels import Source
from model.kernels.vectors import WIDTH
from pipeline.arrays import Float32Array
from pipeline.jit import kernel
from tests.kernels.naive import activated, convolution_gradients, convolved, is_close, random_floats, unwritten

PHASES = 4
TOLERANCE = 5e-6  # of the error's root mean square, as a share; it grows with the number of channels


@kernel
def forward(
    phase: int, source: Source, weights: Float32Array, y: Float32Array, totals: Float32Array, scratch: Float32Array,
    layout: Layout, share: int, shares: int,
) -> None:  # fmt: skip
    convolution.forward_share(phase, source, weights, y, totals, scratch, layout, share, shares)


@kernel
def backward(
    phase: int, source: Source, weights: Float32Array, y: Float32Array, gradient: Float32Array, added: Float32Array,
    factor: Float32Array, dx: Float32Array, totals: Float32Array, d_kernel: Float32Array, scratch: Float32Array,
    layout: Layout, share: int, shares: int,
) -> None:  # fmt: skip
    convolution.backward_share(
        phase, source, weights, y, gradient, added, factor, dx, totals, d_kernel, scratch, layout, share, shares
    )


def shares_in(order: np.random.Generator, shares: int) -> list[int]:
    return [int(share) for share in order.permutation(shares)]


@pytest.mark.parametrize(
    ("batch", "height", "width", "inputs", "outputs", "shares"),
    [
        (1, 1, 1, WIDTH, WIDTH, 1),
        (2, 4, 8, WIDTH, 2 * WIDTH, 2),
        (3, 7, 5, 2 * WIDTH, WIDTH, 8),  # shares without an image
        (2, 5, 4, 3 * WIDTH, 4 * WIDTH, 1),
        pytest.param(5, 9, 6, 6 * WIDTH, 5 * WIDTH, 3, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_outputs_sums_and_gradients_are_those_of_the_definition(
    batch: int, height: int, width: int, inputs: int, outputs: int, shares: int, active: bool, chunked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(layouts, "CHUNK", 10**9 if chunked else 0)
    layout = layout_of(batch, height, width, inputs, outputs, active, shares)
    layout = layout._replace(chunk=min(layout.chunk, 2))  # more than one chunk a share, if there are so many images
    assert (layout.chunk > 0) == chunked
    rng = np.random.default_rng(0)
    x, weights = random_floats(rng, batch, height, width, inputs), random_floats(rng, 3, 3, inputs, outputs)
    scale, shift = random_floats(rng, inputs), random_floats(rng, inputs)
    gradient, added, factor = random_floats(rng, batch, height, width, outputs), *random_floats(rng, 2, outputs) / 10
    source = Source(x.reshape(-1), scale, shift, int(active))
    scratch = unwritten(scratch_floats(layout, shares))  # nothing may be read before it is written
    y, totals = unwritten(batch, height, width, outputs), unwritten(shares, 2, outputs)
    for phase in range(PHASES):
        for share in shares_in(rng, shares):
            forward(
                phase, source, weights.reshape(-1), y.reshape(-1), totals.reshape(-1), scratch, layout, share, shares
            )
    wide = [array.astype(np.float64) for array in (x, scale, shift, weights)]
    expected = convolved(activated(*wide[:3], active), wide[3])
    assert is_close(y, expected, TOLERANCE)
    assert is_close(totals.sum(0)[0], y.sum((0, 1, 2), dtype=np.float64), 1e-5)
    assert is_close(totals.sum(0)[1], np.square(y, dtype=np.float64).sum((0, 1, 2)), 1e-5)

    dx, d_kernel, totals = unwritten(*x.shape), unwritten(*weights.shape), unwritten(shares, 2, inputs)
    scratch[:] = np.nan
    for phase in range(PHASES):
        for share in shares_in(rng, shares):
            backward(
                phase, source, weights.reshape(-1), y.reshape(-1), gradient.reshape(-1), added, factor,
                dx.reshape(-1), totals.reshape(-1), d_kernel.reshape(-1), scratch, layout, share, shares,
            )  # fmt: skip
    of_y = gradient + added.astype(np.float64) + factor * y.astype(np.float64)
    of_x, of_scale, of_shift, of_kernel = convolution_gradients(*wide, active, of_y)
    assert is_close(dx, of_x, TOLERANCE)
    assert is_close(d_kernel, of_kernel, TOLERANCE)
    assert is_close(totals.sum(0), np.stack([of_scale, of_shift]), TOLERANCE)


def test_nothing_but_zeros_gives_zeros() -> None:
    layout, zeros = layout_of(2, 4, 4, WIDTH, WIDTH, False, 1), np.zeros(9 * WIDTH * WIDTH, np.float32)
    source = Source(np.zeros(2 * 16 * WIDTH, np.float32), zeros, zeros, 0)
    y, totals, scratch = (
        np.ones(2 * 16 * WIDTH, "f4"),
        np.ones(2 * WIDTH, "f4"),
        np.ones(scratch_floats(layout, 1), "f4"),
    )
    for phase in range(PHASES):
        forward(phase, source, zeros + 1, y, totals, scratch, layout, 0, 1)
    assert not y.any()
    assert not totals.any()


def test_a_number_that_is_not_finite_is_passed_on() -> None:
    layout, ones = layout_of(1, 4, 4, WIDTH, WIDTH, True, 1), np.ones(9 * WIDTH * WIDTH, np.float32)
    source = Source(np.full(16 * WIDTH, np.nan, np.float32), ones, ones, 1)
    y, totals, scratch = np.ones(16 * WIDTH, "f4"), np.ones(2 * WIDTH, "f4"), np.ones(scratch_floats(layout, 1), "f4")
    for phase in range(PHASES):
        forward(phase, source, ones, y, totals, scratch, layout, 0, 1)
    assert np.isnan(y).all()
    assert np.isnan(totals).all()
