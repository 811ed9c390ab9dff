"""Vectors of eight numbers for kernels, which LLVM maps to AVX, SSE or NEON instructions.

LLVM vectorizes loops by itself, but it keeps no vector from one iteration of an outer loop to the next, and it unrolls
short loops before it tries to vectorize them; for the rows of a segment that cost half of the renderer's speed.

There are two kinds of vector, of float32 and of uint16. The operators +, -, * and, for uint16, >> take two vectors of
one kind. The functions below are NumPy operations, valid for numbers but not for NaN, and without JIT they run as
such on arrays of eight; compiled, each is the instruction that `compile_as` gives it.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import models, register_model

LANES = 8

Vector = Any  # of type `Lanes` in compiled code, an array of eight without JIT
UInt8Array = np.ndarray[Any, np.dtype[np.uint8]]


def floats(value: np.float32) -> Vector:
    """A vector of eight copies of one float32."""
    return np.full(LANES, value, np.float32)


def shorts(value: np.uint16) -> Vector:
    """A vector of eight copies of one uint16."""
    return np.full(LANES, value, np.uint16)


def count_up() -> Vector:
    """The float32 vector 0, 1, ... 7."""
    return np.arange(LANES, dtype=np.float32)


def least(a: Vector, b: Vector) -> Vector:
    """The elementwise minimum of two float32 vectors."""
    return np.minimum(a, b)


def greatest(a: Vector, b: Vector) -> Vector:
    """The elementwise maximum of two float32 vectors."""
    return np.maximum(a, b)


def magnitude(a: Vector) -> Vector:
    """The absolute values of a float32 vector."""
    return np.abs(a)


def quotient(a: Vector, b: Vector) -> Vector:
    """The elementwise quotient of two float32 vectors; no element of `b` is 0."""
    return a / b


def truncated(a: Vector) -> Vector:
    """Float32 values from 0 to 65535 as uint16, rounded towards 0."""
    return a.astype(np.uint16)


def load(array: UInt8Array, index: np.uint64) -> Vector:
    """Read eight uint8 from `index` on as uint16; compiled code does not check that they are inside the array."""
    if int(index) + LANES > len(array):
        raise IndexError(f"{LANES} bytes at {index} of {len(array)}")
    return array[int(index) : int(index) + LANES].astype(np.uint16)


def store(array: UInt8Array, index: np.uint64, values: Vector) -> None:
    """Write eight uint16 of 0 to 255 as uint8 from `index` on; compiled code does not check that they fit the array."""
    array[int(index) : int(index) + LANES] = values


class Lanes(types.Type):
    """The numba type of a vector of `count` numbers."""

    def __init__(self, name: str, element: ir.Type, count: int = LANES) -> None:
        self.vector = ir.VectorType(element, count)
        super().__init__(name)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """How numba holds a vector: as LLVM's own type."""

    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, lanes.vector)


_ARRAY = types.Array(types.uint8, 1, "C")
_FLOATS, _SHORTS = Lanes("float32 lanes", ir.FloatType()), Lanes("uint16 lanes", ir.IntType(16))
_INTS, _BYTES = ir.VectorType(ir.IntType(32), LANES), ir.VectorType(ir.IntType(8), LANES)


def compile_as(
    function: Callable[..., Any], result: types.Type, *arguments: Any, code: Callable[[Any, Any], Any]
) -> None:
    """Let kernels call `function` with these argument types: `code` emits its result with LLVM's builder and values.

    `code` is given the address of an array's first element in place of the array.
    """

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:  # noqa: ARG002 - numba's signature
            if len(args) != len(arguments) or not all(map(_fits, args, arguments)):
                return None
            return signature(result, *arguments)

    infer_global(function)(Template)

    @lower_builtin(function, *arguments)
    def lowered(context: Any, builder: Any, call: Any, args: Any) -> Any:
        values = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(call.args, args, strict=True)
        ]
        made = code(builder, values)
        return context.get_dummy_value() if result == types.void else made


def _fits(found: types.Type, wanted: Any) -> bool:
    """Whether an argument's type fits: any number for a scalar, else exactly the wanted type."""
    return found == wanted or (isinstance(wanted, types.Number) and isinstance(found, types.Number))


def repeated(vector: ir.VectorType) -> Callable[[Any, Any], Any]:
    """What emits a vector of copies of a value."""

    def code(builder: Any, args: Any) -> Any:
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(ir.IntType(32), 0))
        places = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
        return builder.shuffle_vector(first, undefined, places)

    return code


def _absolute(builder: Any, args: Any) -> Any:
    without_sign = builder.and_(builder.bitcast(args[0], _INTS), ir.Constant(_INTS, [0x7FFFFFFF] * LANES))
    return builder.bitcast(without_sign, _FLOATS.vector)


def _address(builder: Any, data: Any, index: Any) -> Any:
    return builder.bitcast(builder.gep(data, [index]), _BYTES.as_pointer())


def _loaded(builder: Any, args: Any) -> Any:
    value = builder.load(_address(builder, *args))
    value.align = 1
    return builder.zext(value, _SHORTS.vector)


def _stored(builder: Any, args: Any) -> None:
    builder.store(builder.trunc(args[2], _BYTES), _address(builder, args[0], args[1])).align = 1


def _chosen(comparison: str) -> Callable[[Any, Any], Any]:
    return lambda builder, args: builder.select(builder.fcmp_ordered(comparison, *args), *args)


def instruction(name: str) -> Callable[[Any, Any], Any]:
    """What emits an instruction of LLVM's builder."""
    return lambda builder, args: getattr(builder, name)(*args)


for _operator, _of_floats, _of_shorts in (
    (operator.add, "fadd", "add"),
    (operator.sub, "fsub", "sub"),
    (operator.mul, "fmul", "mul"),
):
    compile_as(_operator, _FLOATS, _FLOATS, _FLOATS, code=instruction(_of_floats))
    compile_as(_operator, _SHORTS, _SHORTS, _SHORTS, code=instruction(_of_shorts))
compile_as(operator.rshift, _SHORTS, _SHORTS, _SHORTS, code=instruction("lshr"))
compile_as(floats, _FLOATS, types.float32, code=repeated(_FLOATS.vector))
compile_as(shorts, _SHORTS, types.uint16, code=repeated(_SHORTS.vector))
compile_as(
    count_up, _FLOATS, code=lambda _builder, _args: ir.Constant(_FLOATS.vector, [float(k) for k in range(LANES)])
)
compile_as(least, _FLOATS, _FLOATS, _FLOATS, code=_chosen("<"))
compile_as(greatest, _FLOATS, _FLOATS, _FLOATS, code=_chosen(">"))
compile_as(magnitude, _FLOATS, _FLOATS, code=_absolute)
compile_as(quotient, _FLOATS, _FLOATS, _FLOATS, code=instruction("fdiv"))
compile_as(
    truncated,
    _SHORTS,
    _FLOATS,
    code=lambda builder, args: builder.trunc(builder.fptosi(args[0], _INTS), _SHORTS.vector),
)
compile_as(load, _SHORTS, _ARRAY, types.uint64, code=_loaded)
compile_as(store, types.void, _ARRAY, types.uint64, _SHORTS, code=_stored)
