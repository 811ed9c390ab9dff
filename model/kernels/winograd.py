"""Winograd's minimal filtering F(4 x 4, 3 x 3): tiles of 6 x 6 pixels to 36 planes of numbers, and back.

A tile of 4 x 4 outputs of a 3 x 3 convolution takes 36 multiplications for each pair of channels instead of 144:

    output tile = A' [(G kernel G') * (B' input tile B)] A

The points are 0, 2/3, -2/3, 3/2, -3/2 and infinity: with 64 channels the root mean square error of an output is 7e-7
of its root mean square, where 0, 1, -1, 2, -2 give 1.5e-6 and the convolution by its definition 1e-7. Sources: Lavin
and Gray, arXiv:1509.09308; for the choice of points, Barabasz et al., arXiv:1803.10986.

Each matrix is the product of two with fewer numbers, because the points come in pairs of opposites. The functions below
transform one vector of channels of a tile. A tile's pixel (i, j) is at `at + i * row + j * pixel` of a flat array, and
its number in plane k at `plane_at + k * plane`. Compiled, each is straight-line code.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types

from model.kernels.vectors import (
    ARRAY,
    WIDTH,
    combined_linearly,
    load,
    loaded,
    store,
    stored,
    stored_sum,
)
from pipeline.arrays import Float32Array, Float64Array
from pipeline.rendering.simd import compile_as

OUT = 4  # pixels of a side of an output tile
IN = OUT + 2  # of an input tile
PLANES = IN * IN  # numbers that stand for a tile of a channel

_A, _B = 2 / 3, 3 / 2  # the points other than 0 and infinity, and their opposites
_A2, _B2, _S = _A**2, _B**2, _A**2 + _B**2
_F, _G = 1 / (2 * _A2 * (_A2 - _B2)), 1 / (2 * _B2 * (_B2 - _A2))
# The even and the odd part of two pairs of numbers: x1 + x2, x1 - x2, x3 + x4, x3 - x4; and it is its own transpose.
_PAIRS = (
    (1, 0, 0, 0, 0, 0),
    (0, 1, 1, 0, 0, 0),
    (0, 1, -1, 0, 0, 0),
    (0, 0, 0, 1, 1, 0),
    (0, 0, 0, 1, -1, 0),
    (0, 0, 0, 0, 0, 1),
)
_INPUT_PARTS = (  # 1, even and odd of a, even and odd of b, infinity
    (1, 0, -_S, 0, 1, 0),
    (0, 0, -_B2, 0, 1, 0),
    (0, -_B, 0, _A, 0, 0),
    (0, 0, -_A2, 0, 1, 0),
    (0, -_A, 0, _B, 0, 0),
    (0, 1, 0, -_S, 0, 1),
)
_OUTPUT_PARTS = (  # of four outputs, from the parts of `_PAIRS`
    (1, 1, 0, 1, 0, 0),
    (0, 0, _A, 0, _B, 0),
    (0, _A2, 0, _B2, 0, 0),
    (0, 0, _A**3, 0, _B**3, 1),
)
_KERNEL_PARTS = ((1, 0, 0), (_F, 0, _F * _A2), (0, _F * _A, 0), (_G, 0, _G * _B2), (0, _G * _B, 0), (0, 0, 1))

Matrix = Sequence[Sequence[float]]


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


# Two matrices each, the one that is applied first in front.
TO_INPUT_PLANES = (_INPUT_PARTS, _PAIRS)  # B'
FROM_INPUT_PLANES = (_PAIRS, _transposed(_INPUT_PARTS))  # B
TO_OUTPUT_PLANES = (_transposed(_OUTPUT_PARTS), _PAIRS)  # A
FROM_OUTPUT_PLANES = (_PAIRS, _OUTPUT_PARTS)  # A'
TO_KERNEL_PLANES = (_KERNEL_PARTS, _PAIRS)  # G
FROM_KERNEL_PLANES = (_PAIRS, _transposed(_KERNEL_PARTS))  # G'


def inputs_to_planes(
    x: Float32Array, at: int, row: int, pixel: int, planes: Float32Array, plane_at: int, plane: int
) -> None:
    """Transform 6 x 6 inputs."""
    _to_planes(TO_INPUT_PLANES, x, at, row, pixel, planes, plane_at, plane)


def outputs_to_planes(
    x: Float32Array, at: int, row: int, pixel: int, planes: Float32Array, plane_at: int, plane: int
) -> None:
    """Transform the gradients of 4 x 4 outputs."""
    _to_planes(TO_OUTPUT_PLANES, x, at, row, pixel, planes, plane_at, plane)


def kernel_to_planes(
    x: Float32Array, at: int, row: int, pixel: int, planes: Float32Array, plane_at: int, plane: int
) -> None:
    """Transform 3 x 3 numbers of a kernel."""
    _to_planes(TO_KERNEL_PLANES, x, at, row, pixel, planes, plane_at, plane)


def planes_to_outputs(
    planes: Float32Array, plane_at: int, plane: int, y: Float32Array, at: int, row: int, pixel: int
) -> None:
    """Write 4 x 4 outputs."""
    _from_planes(FROM_OUTPUT_PLANES, planes, plane_at, plane, y, at, row, pixel)


def add_planes_to_inputs(
    planes: Float32Array, plane_at: int, plane: int, y: Float32Array, at: int, row: int, pixel: int
) -> None:
    """Add the gradients of 6 x 6 inputs to what is there, because tiles of inputs overlap."""
    _from_planes(FROM_INPUT_PLANES, planes, plane_at, plane, y, at, row, pixel, adding=True)


def planes_to_kernel(
    planes: Float32Array, plane_at: int, plane: int, y: Float32Array, at: int, row: int, pixel: int
) -> None:
    """Write the gradients of 3 x 3 numbers of a kernel."""
    _from_planes(FROM_KERNEL_PLANES, planes, plane_at, plane, y, at, row, pixel)


def matrix_of(factors: tuple[Matrix, Matrix]) -> Float64Array:
    """The matrix that two factors stand for."""
    first, second = (np.array(factor, np.float64) for factor in factors)
    return second @ first


def _to_planes(
    factors: tuple[Matrix, Matrix], x: Float32Array, at: int, row: int, pixel: int,
    planes: Float32Array, plane_at: int, plane: int,
) -> None:  # fmt: skip
    matrix = matrix_of(factors).astype(np.float32)
    size = matrix.shape[1]
    tile = np.array([[load(x, at + i * row + j * pixel) for j in range(size)] for i in range(size)])
    for k, values in enumerate(np.einsum("ai,bj,ijv->abv", matrix, matrix, tile).reshape(PLANES, WIDTH)):
        store(planes, plane_at + k * plane, values)


def _from_planes(
    factors: tuple[Matrix, Matrix], planes: Float32Array, plane_at: int, plane: int,
    y: Float32Array, at: int, row: int, pixel: int, *, adding: bool = False,
) -> None:  # fmt: skip
    matrix = matrix_of(factors).astype(np.float32)
    tile = np.array([load(planes, plane_at + k * plane) for k in range(PLANES)]).reshape(IN, IN, WIDTH)
    for i, line in enumerate(np.einsum("ai,bj,ijv->abv", matrix, matrix, tile)):
        for j, values in enumerate(line):
            to = at + i * row + j * pixel
            store(y, to, load(y, to) + values if adding else values)


def _emit(builder: Any, factors: tuple[Matrix, Matrix], tile: list[list[Any]]) -> list[list[Any]]:
    """LLVM's values of a transformed tile: columns first, then rows."""
    for _ in range(2):
        for factor in factors:
            tile = [combined_linearly(builder, coefficients, tile) for coefficients in factor]
        tile = [list(line) for line in zip(*tile, strict=True)]
    return tile


def _emit_to_planes(factors: tuple[Matrix, Matrix]) -> Callable[[Any, Any], None]:
    size = len(factors[0][0])

    def code(builder: Any, args: Any) -> None:
        x, at, row, pixel, planes, plane_at, plane = args
        tile = [[loaded(builder, x, at, (row, i), (pixel, j)) for j in range(size)] for i in range(size)]
        for i, line in enumerate(_emit(builder, factors, tile)):
            for j, value in enumerate(line):
                stored(builder, value, planes, plane_at, (plane, i * IN + j))

    return code


def _emit_from_planes(factors: tuple[Matrix, Matrix], *, adding: bool = False) -> Callable[[Any, Any], None]:
    def code(builder: Any, args: Any) -> None:
        planes, plane_at, plane, y, at, row, pixel = args
        tile = [[loaded(builder, planes, plane_at, (plane, i * IN + j)) for j in range(IN)] for i in range(IN)]
        put = stored_sum if adding else stored
        for i, line in enumerate(_emit(builder, factors, tile)):
            for j, value in enumerate(line):
                put(builder, value, y, at, (row, i), (pixel, j))

    return code


_TO = (types.void, ARRAY, *[types.int64] * 3, ARRAY, *[types.int64] * 2)
_FROM = (types.void, ARRAY, *[types.int64] * 2, ARRAY, *[types.int64] * 3)
compile_as(inputs_to_planes, *_TO, code=_emit_to_planes(TO_INPUT_PLANES))
compile_as(outputs_to_planes, *_TO, code=_emit_to_planes(TO_OUTPUT_PLANES))
compile_as(kernel_to_planes, *_TO, code=_emit_to_planes(TO_KERNEL_PLANES))
compile_as(planes_to_outputs, *_FROM, code=_emit_from_planes(FROM_OUTPUT_PLANES))
compile_as(add_planes_to_inputs, *_FROM, code=_emit_from_planes(FROM_INPUT_PLANES, adding=True))
compile_as(planes_to_kernel, *_FROM, code=_emit_from_planes(FROM_KERNEL_PLANES))
