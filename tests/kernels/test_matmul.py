"""Products of matrices against NumPy, in every arrangement that the kernels use."""

import itertools

import numpy as np
import pytest

from model.kernels import matmul
from model.kernels.matmul import PANEL
from model.kernels.vectors import WIDTH
from pipeline.arrays import Float32Array
from pipeline.jit import kernel
from tests.kernels.naive import random_floats


@kernel
def multiply(
    a: Float32Array, a_row: int, a_term: int, b: Float32Array, b_term: int, c: Float32Array, c_row: int,
    rows: int, columns: int, terms: int, adding: int,
) -> None:  # fmt: skip
    matmul.multiply(a, 2, a_row, a_term, b, 3, b_term, c, 4, c_row, rows, columns, terms, adding)


def packed(b: Float32Array) -> Float32Array:
    return np.concatenate([b[:, j : j + PANEL].reshape(-1) for j in range(0, b.shape[1], PANEL)])


@pytest.mark.parametrize("rows", [1, 3, 10, 13])
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_products_are_those_of_numpy(rows: int, vectors: int) -> None:
    rng = np.random.default_rng(rows * 10 + vectors)
    columns, terms = vectors * WIDTH, 5
    a, b = random_floats(rng, rows, terms), random_floats(rng, terms, columns)
    before = random_floats(rng, rows, columns + 3)
    for turned, is_packed, adding in itertools.product((False, True), repeat=3):
        first = np.concatenate([[0, 0], (a.T if turned else a).reshape(-1)]).astype(np.float32)
        second = np.concatenate([[0, 0, 0], packed(b) if is_packed else b.reshape(-1)]).astype(np.float32)
        out = np.concatenate([[0, 0, 0, 0], before.reshape(-1)]).astype(np.float32)
        steps = (1, rows) if turned else (terms, 1)
        b_term = 0 if is_packed else columns
        multiply(first, *steps, second, b_term, out, columns + 3, rows, columns, terms, int(adding))
        expected = before.astype(np.float64)
        expected[:, :columns] = before[:, :columns] * adding + a.astype(np.float64) @ b
        np.testing.assert_allclose(out[4:].reshape(rows, -1), expected, rtol=1e-5, atol=1e-5)
