"""Kernels that WebAssembly can and cannot run; imported by the process that compiles them."""

import math

import numpy as np

from pipeline.arrays import Float32Array, Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel

print("what an imported module prints")
_SQUARES = np.arange(8, dtype=np.int64) ** 2


@inner_kernel
def twice(values: Float32Array, out: Float32Array) -> None:
    for k in range(len(values)):
        out[k] = np.float32(2) * values[k]


@kernel
def add_up(
    table: UInt8Array, weight: float, count: int, is_doubled: bool, floats: Float32Array, out: Int64Array
) -> int:
    """The number of rows of a table, whose weighted sums are written to `out`."""
    if is_doubled:
        twice(floats, floats)
    for row in range(count):
        total = 0.0
        for column in range(table.shape[1]):
            total += weight * table[row, column] + math.sqrt(floats[row])
        out[row] = int(total)
    return len(table)


@kernel
def fails(values: Int64Array, at: int) -> int:
    if at < 0:
        raise ValueError("below zero")
    return int(values[at])


@kernel
def needs_a_library(values: Float32Array) -> None:
    values[0] = math.exp(values[0])


@kernel
def needs_data(values: Int64Array, at: int) -> None:
    values[0] = _SQUARES[at]


@kernel
def steps(values: Int64Array, first: int, last: int) -> int:
    """The sum from `first` to before `last`; it calls itself, so that its code cannot become one function."""
    if last - first < 2:
        return int(values[first])
    middle = (first + last) // 2
    return steps(values, first, middle) + steps(values, middle, last)
