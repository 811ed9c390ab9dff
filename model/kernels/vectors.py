"""Vectors of float32 for kernels, as many numbers as a register of this CPU holds: 16 with AVX-512, else 8.

Compiled for no CPU in particular, as for WebAssembly, they have 4, which every CPU's registers hold. On other CPUs with
registers of 128 bits LLVM makes two registers of a vector. The operators +, - and * take two vectors. All indices are
those of flat float32 arrays; compiled code does not check that they are inside the array.
"""

import operator
from collections.abc import Sequence
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from pipeline.arrays import Float32Array
from pipeline.rendering.simd import Lanes, Vector, compile_as, instruction, repeated

_settings: Any = numba.config  # numba's type does not have the settings
_WIDEST = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
WIDTH_ANYWHERE = 4
WIDTH = WIDTH_ANYWHERE if _settings.CPU_NAME == "generic" else _WIDEST


def zeros() -> Vector:
    """A vector of zeros."""
    return np.zeros(WIDTH, np.float32)


def copies(value: np.float32) -> Vector:
    """A vector of copies of one float32."""
    return np.full(WIDTH, value, np.float32)


def copies_of(array: Float32Array, index: int) -> Vector:
    """A vector of copies of `array[index]`."""
    return np.full(WIDTH, array[_checked(array, index, 1)], np.float32)


def load(array: Float32Array, index: int) -> Vector:
    """Read a vector from `index` on."""
    return array[_checked(array, index, WIDTH) : index + WIDTH].copy()


def store(array: Float32Array, index: int, values: Vector) -> None:
    """Write a vector from `index` on."""
    array[_checked(array, index, WIDTH) : index + WIDTH] = values


def multiply_add(a: Vector, b: Vector, c: Vector) -> Vector:
    """The sum a * b + c, rounded once where the CPU has such an instruction."""
    return a * b + c


def greatest(a: Vector, b: Vector) -> Vector:
    """The elementwise maximum; NaN where `a` is NaN."""
    return np.where(a < b, b, a)


def where_above(a: Vector, b: Vector, values: Vector) -> Vector:
    """`values` where a > b, else 0."""
    return np.where(a > b, values, np.float32(0))


def where_equal(a: Vector, b: Vector, values: Vector) -> Vector:
    """`values` where a == b, else 0."""
    return np.where(a == b, values, np.float32(0))


def _checked(array: Float32Array, index: int, count: int) -> int:
    if index < 0 or index + count > len(array):
        raise IndexError(f"{count} numbers at {index} of {len(array)}")
    return int(index)


def plain(value: int) -> int:
    """An integer that numba does not know: it compiles a function anew for each constant argument."""
    return value


_KIND, ARRAY = Lanes(f"{WIDTH} float32", ir.FloatType(), WIDTH), types.Array(types.float32, 1, "C")
VECTOR = _KIND.vector  # LLVM's type
ZEROS = ir.Constant(VECTOR, [0.0] * WIDTH)
copied = repeated(VECTOR)  # emits LLVM's vector of copies of a value


def number(value: int) -> ir.Constant:
    """LLVM's constant of an integer."""
    return ir.Constant(ir.IntType(64), value)


def constant(value: float) -> ir.Constant:
    """LLVM's vector of copies of a float32."""
    return ir.Constant(VECTOR, [float(np.float32(value))] * WIDTH)


def multiplied_added(builder: Any, args: Any) -> Any:
    """LLVM's a * b + c."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{WIDTH}f32"), args)


def combined_linearly(builder: Any, coefficients: Sequence[float], lines: Sequence[Sequence[Any]]) -> list[Any]:
    """LLVM's vectors of the sum of some lines of vectors, each times its coefficient."""
    return [_weighted(builder, coefficients, column) for column in zip(*lines, strict=True)]


def _weighted(builder: Any, coefficients: Sequence[float], values: Sequence[Any]) -> Any:
    pairs = sorted(
        ((c, value) for c, value in zip(coefficients, values, strict=True) if c != 0), key=lambda pair: pair[0] != 1
    )  # those that are only added come first, so that nothing needs a product of its own
    total = None
    for coefficient, value in pairs:
        if total is None:
            total = value if coefficient == 1 else builder.fmul(value, constant(coefficient))
        elif coefficient == 1:
            total = builder.fadd(total, value)
        elif coefficient == -1:
            total = builder.fsub(total, value)
        else:
            total = multiplied_added(builder, [constant(coefficient), value, total])
    return total


def _address(builder: Any, data: Any, at: Any, *steps: tuple[Any, int]) -> Any:
    """LLVM's address of a vector at an index and some steps, each a size and how often it is taken."""
    for size, count in steps:
        if count:
            at = builder.add(at, builder.mul(size, number(count)))
    return builder.bitcast(builder.gep(data, [at]), VECTOR.as_pointer())


def loaded(builder: Any, data: Any, at: Any, *steps: tuple[Any, int]) -> Any:
    """LLVM's vector in an array, at an index and some steps from there."""
    value = builder.load(_address(builder, data, at, *steps))
    value.align = 4
    return value


def stored(builder: Any, value: Any, data: Any, at: Any, *steps: tuple[Any, int]) -> None:
    """Let LLVM write a vector into an array."""
    builder.store(value, _address(builder, data, at, *steps)).align = 4


def stored_sum(builder: Any, value: Any, data: Any, at: Any, *steps: tuple[Any, int]) -> None:
    """Let LLVM add a vector to one in an array."""
    stored(builder, builder.fadd(loaded(builder, data, at, *steps), value), data, at, *steps)


def _chosen(comparison: str) -> Any:
    return lambda builder, args: builder.select(builder.fcmp_ordered(comparison, *args[:2]), args[2], ZEROS)


for _operator, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    compile_as(_operator, _KIND, _KIND, _KIND, code=instruction(_name))
compile_as(plain, types.int64, types.int64, code=lambda _builder, args: args[0])
compile_as(zeros, _KIND, code=lambda _builder, _args: ZEROS)
compile_as(copies, _KIND, types.float32, code=copied)
compile_as(
    copies_of, _KIND, ARRAY, types.int64,
    code=lambda builder, args: copied(builder, [builder.load(builder.gep(args[0], [args[1]]))]),
)  # fmt: skip
compile_as(load, _KIND, ARRAY, types.int64, code=lambda builder, args: loaded(builder, *args))
compile_as(
    store, types.void, ARRAY, types.int64, _KIND,
    code=lambda builder, args: stored(builder, args[2], args[0], args[1]),
)  # fmt: skip
compile_as(multiply_add, _KIND, _KIND, _KIND, _KIND, code=multiplied_added)
compile_as(
    greatest, _KIND, _KIND, _KIND,
    code=lambda builder, args: builder.select(builder.fcmp_ordered("<", *args), args[1], args[0]),
)  # fmt: skip
compile_as(where_above, _KIND, _KIND, _KIND, _KIND, code=_chosen(">"))
compile_as(where_equal, _KIND, _KIND, _KIND, _KIND, code=_chosen("=="))
