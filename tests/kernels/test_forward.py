"""The operations of a plan against slow ones in float64."""

import numpy as np
import pytest
from numpy.typing import NDArray

from model.kernels.forward import FIELDS, PIXELS, Operation, run_network
from model.kernels.vectors import WIDTH
from tests.kernels.naive import random_floats

START = 8  # of the input in memory, behind the image's place


def run(rows: list[list[int]], weights: NDArray[np.float32], memory: NDArray[np.float32]) -> None:
    plan = np.array([row + [0] * (FIELDS - len(row)) for row in rows], np.int64).reshape(-1)
    run_network(np.zeros(0, np.uint8), plan, weights, memory)


def convolved(
    x: NDArray[np.float32], kernel: NDArray[np.float32], stride: int, border: int, down: int, across: int
) -> NDArray[np.float64]:
    size = len(kernel)
    padded = np.pad(x.astype(np.float64), ((border, stride * size), (border, stride * size), (0, 0)))
    out = np.zeros((down, across, kernel.shape[-1]))
    for y in range(down):
        for z in range(across):
            patch = padded[y * stride : y * stride + size, z * stride : z * stride + size]
            out[y, z] = np.tensordot(patch, kernel.astype(np.float64), 3)
    return out


@pytest.mark.parametrize(
    ("height", "width", "channels", "size", "stride", "border", "down", "across", "vectors"),
    [
        (6, 6, 3, 5, 2, 1, 3, 3, 1),  # the stem of sketchnet
        (5, 7, WIDTH, 3, 1, 1, 5, 7, 3),
        (6, 5, 2, 5, 1, 0, 2, 1, 1),  # without a border
        (1, 1, 5, 1, 1, 0, 1, 1, 3),  # a dense layer
        (7, 9, 1, 3, 1, 1, 7, 9, 1),  # more pixels than are computed at a time
        (2, 2, WIDTH, 5, 1, 2, 2, 2, 2),  # a kernel that is larger than the image
    ],
)
def test_a_convolution_is_the_sum_over_its_window(
    height: int, width: int, channels: int, size: int, stride: int, border: int, down: int, across: int, vectors: int
) -> None:
    rng = np.random.default_rng(height * 10 + size)
    x, kernel = random_floats(rng, height, width, channels), random_floats(rng, size, size, channels, vectors * WIDTH)
    to = START + x.size
    made = down * across * vectors * WIDTH
    memory = np.full(to + made + PIXELS * size * size * channels, np.nan, np.float32)
    memory[START:to] = x.reshape(-1)
    row = [
        Operation.CONVOLVE,
        START,
        to,
        height,
        width,
        channels,
        size,
        stride,
        border,
        down,
        across,
        vectors * WIDTH,
        1,
    ]
    run([[*row, to + made]], np.append(np.float32(0), kernel.reshape(-1)).astype(np.float32), memory)
    found = memory[to : to + made].reshape(down, across, -1)
    np.testing.assert_allclose(found, convolved(x, kernel, stride, border, down, across), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("is_added", "is_positive"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_scale_multiplies_adds_and_cuts_below_zero(is_added: int, is_positive: int) -> None:
    rng = np.random.default_rng(1)
    x, other = random_floats(rng, 3, 2, 2 * WIDTH), random_floats(rng, 3, 2, 2 * WIDTH)
    scales = random_floats(rng, 2, 2 * WIDTH)
    memory = np.concatenate([np.zeros(START), x.reshape(-1), other.reshape(-1)]).astype(np.float32)
    row = [Operation.SCALE, START, START, 3, 2, 2 * WIDTH, 3, is_added, START + x.size, is_positive]
    run([row], np.append(np.zeros(3), scales.reshape(-1)).astype(np.float32), memory)
    expected = x.astype(np.float64) * scales[0] + scales[1] + is_added * other
    expected = np.maximum(expected, 0) if is_positive else expected
    np.testing.assert_allclose(memory[START : START + x.size].reshape(x.shape), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(memory[START + x.size :].reshape(x.shape), other)


def test_pooling_takes_the_greatest_and_drops_an_odd_row_and_column() -> None:
    x = random_floats(np.random.default_rng(2), 5, 7, WIDTH)
    memory = np.concatenate([np.zeros(START), x.reshape(-1), np.zeros(6 * WIDTH)]).astype(np.float32)
    run([[Operation.POOL, START, START + x.size, 5, 7, WIDTH]], np.zeros(0, np.float32), memory)
    expected = x[:4, :6].reshape(2, 2, 3, 2, WIDTH).max(axis=(1, 3))
    np.testing.assert_array_equal(memory[START + x.size :].reshape(2, 3, WIDTH), expected)


def test_an_average_is_over_all_pixels() -> None:
    x = random_floats(np.random.default_rng(3), 3, 4, WIDTH)
    memory = np.concatenate([np.zeros(START), x.reshape(-1), np.zeros(WIDTH)]).astype(np.float32)
    run([[Operation.AVERAGE, START, START + x.size, 3, 4, WIDTH]], np.zeros(0, np.float32), memory)
    np.testing.assert_allclose(memory[START + x.size :], x.mean(axis=(0, 1), dtype=np.float64), rtol=1e-5, atol=1e-6)


def test_an_image_is_scaled_to_at_most_one() -> None:
    image = np.array([0, 51, 255], np.uint8)
    memory = np.ones(4, np.float32)
    run_network(image, np.zeros(0, np.int64), np.zeros(0, np.float32), memory)
    np.testing.assert_array_equal(memory, np.float32([0, np.float32(51) / np.float32(255), 1, 1]))
