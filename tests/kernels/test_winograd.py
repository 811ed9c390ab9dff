"""Tiles to planes and back: the matrices against the convolution they stand for, the compiled code against them."""

from typing import Any

import numpy as np
import pytest

from model.kernels import winograd
from model.kernels.vectors import WIDTH
from model.kernels.winograd import IN, OUT, PLANES, matrix_of
from pipeline.arrays import Float32Array
from pipeline.jit import kernel
from tests.kernels.naive import random_floats

ROW, PIXEL, PLANE, AT = 7 * WIDTH, WIDTH, 3 * WIDTH, 5


@kernel
def to_planes(which: int, x: Float32Array, planes: Float32Array) -> None:
    if which == 0:
        winograd.inputs_to_planes(x, AT, ROW, PIXEL, planes, 3, PLANE)
    elif which == 1:
        winograd.outputs_to_planes(x, AT, ROW, PIXEL, planes, 3, PLANE)
    else:
        winograd.kernel_to_planes(x, AT, ROW, PIXEL, planes, 3, PLANE)


@kernel
def from_planes(which: int, planes: Float32Array, y: Float32Array) -> None:
    if which == 0:
        winograd.add_planes_to_inputs(planes, 3, PLANE, y, AT, ROW, PIXEL)
    elif which == 1:
        winograd.planes_to_outputs(planes, 3, PLANE, y, AT, ROW, PIXEL)
    else:
        winograd.planes_to_kernel(planes, 3, PLANE, y, AT, ROW, PIXEL)


def pixels(array: Float32Array, size: int) -> Any:
    """A view of the tile's vectors, (size, size, WIDTH)."""
    return np.array([[array[AT + i * ROW + j * PIXEL :][:WIDTH] for j in range(size)] for i in range(size)])


def of_planes(array: Float32Array) -> Any:
    return np.array([array[3 + k * PLANE :][:WIDTH] for k in range(PLANES)]).reshape(IN, IN, WIDTH)


def test_the_matrices_stand_for_a_convolution() -> None:
    rng = np.random.default_rng(0)
    inputs, taps = rng.standard_normal(IN), rng.standard_normal(3)
    to_inputs, to_kernel = matrix_of(winograd.TO_INPUT_PLANES), matrix_of(winograd.TO_KERNEL_PLANES)
    outputs = matrix_of(winograd.FROM_OUTPUT_PLANES) @ ((to_kernel @ taps) * (to_inputs @ inputs))
    np.testing.assert_allclose(outputs, np.correlate(inputs, taps, "valid"), rtol=1e-12)
    for to, from_ in (
        (winograd.TO_INPUT_PLANES, winograd.FROM_INPUT_PLANES),
        (winograd.TO_OUTPUT_PLANES, winograd.FROM_OUTPUT_PLANES),
        (winograd.TO_KERNEL_PLANES, winograd.FROM_KERNEL_PLANES),
    ):
        np.testing.assert_array_equal(matrix_of(to), matrix_of(from_).T)


@pytest.mark.parametrize(
    ("which", "size", "factors"),
    [(0, IN, winograd.TO_INPUT_PLANES), (1, OUT, winograd.TO_OUTPUT_PLANES), (2, 3, winograd.TO_KERNEL_PLANES)],
)
def test_tiles_become_planes(which: int, size: int, factors: Any) -> None:
    x = random_floats(np.random.default_rng(which), AT + 6 * ROW + 6 * PIXEL)
    planes = np.zeros(3 + PLANES * PLANE, np.float32)
    to_planes(which, x, planes)
    matrix = matrix_of(factors)
    expected = np.einsum("ai,bj,ijv->abv", matrix, matrix, pixels(x, size).astype(np.float64))
    np.testing.assert_allclose(of_planes(planes), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("which", "size", "factors"),
    [(0, IN, winograd.FROM_INPUT_PLANES), (1, OUT, winograd.FROM_OUTPUT_PLANES), (2, 3, winograd.FROM_KERNEL_PLANES)],
)
def test_planes_become_tiles_and_inputs_are_added(which: int, size: int, factors: Any) -> None:
    rng = np.random.default_rng(which)
    planes, y = random_floats(rng, 3 + PLANES * PLANE), random_floats(rng, AT + 6 * ROW + 6 * PIXEL)
    before = pixels(y, size).astype(np.float64) * (which == 0)
    from_planes(which, planes, y)
    matrix = matrix_of(factors)
    expected = np.einsum("ai,bj,ijv->abv", matrix, matrix, of_planes(planes).astype(np.float64)) + before
    np.testing.assert_allclose(pixels(y, size), expected, rtol=1e-5, atol=1e-4)
