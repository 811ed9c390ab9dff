"""What kernels need to work with memory that XLA gives them: numbers and arrays at addresses, and atomic operations."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

UNKNOWN = 1 << 48
STATIC_WORDS = 4096  # 64-bit numbers of static memory, all 0 at first

_intrinsic: Any = intrinsic  # numba's type has the first argument, which a caller does not give
_WORD, _SHORT = ir.IntType(64), ir.IntType(32)


def _pointer(builder: Any, address: Any, element: ir.Type) -> Any:
    return builder.inttoptr(address, element.as_pointer())


def _array_at(element: types.Type) -> Any:
    """An intrinsic that makes an array of the numbers at an address; its length is not known, and is `UNKNOWN`."""
    kind = types.Array(element, 1, "C")

    @_intrinsic
    def array_at(_typing: Any, _address: Any) -> Any:
        def code(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            (address,) = args
            made = context.make_array(kind)(context, builder)
            number = context.get_data_type(element)
            size = ir.Constant(_WORD, context.get_abi_sizeof(number))
            context.populate_array(
                made,
                data=_pointer(builder, address, number),
                shape=cgutils.pack_array(builder, [ir.Constant(_WORD, UNKNOWN)]),
                strides=cgutils.pack_array(builder, [size]),
                itemsize=size,
                meminfo=None,
            )
            return made._getvalue()

        return kind(types.int64), code

    return array_at


floats_at, bytes_at, integers_at = _array_at(types.float32), _array_at(types.uint8), _array_at(types.int64)


def _of_address(body: Any, result: types.Type, others: int = 0) -> Any:
    """An intrinsic of an address and other integers; `body` emits its code."""
    kind = result(*[types.int64] * (1 + others))

    def code(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        made = body(builder, *args)
        return context.get_dummy_value() if result == types.void else made

    if others == 0:

        @_intrinsic
        def one(_typing: Any, _address: Any) -> Any:
            return kind, code

        return one
    if others == 1:

        @_intrinsic
        def two(_typing: Any, _address: Any, _value: Any) -> Any:
            return kind, code

        return two

    @_intrinsic
    def three(_typing: Any, _address: Any, _before: Any, _value: Any) -> Any:
        return kind, code

    return three


def _atomic_read(builder: Any, address: Any) -> Any:
    return builder.load_atomic(_pointer(builder, address, _WORD), "seq_cst", 8)


def _replace(builder: Any, address: Any, before: Any, value: Any) -> Any:
    pair = builder.cmpxchg(_pointer(builder, address, _WORD), before, value, "seq_cst", "seq_cst")
    return builder.extract_value(pair, 0)


def _call(builder: Any, address: Any, argument: Any) -> Any:
    return builder.call(_pointer(builder, address, ir.FunctionType(_WORD, [_WORD])), [argument])


def _call_with_two(builder: Any, address: Any, first: Any, second: Any) -> Any:
    return builder.call(_pointer(builder, address, ir.FunctionType(_WORD, [_WORD] * 2)), [first, second])


read = _of_address(lambda builder, address: builder.load(_pointer(builder, address, _WORD)), types.int64)
write = _of_address(
    lambda builder, address, value: builder.store(value, _pointer(builder, address, _WORD)), types.void, 1
)
read_short = _of_address(
    lambda builder, address: builder.sext(builder.load(_pointer(builder, address, _SHORT)), _WORD), types.int64
)
write_short = _of_address(
    lambda builder, address, value: builder.store(builder.trunc(value, _SHORT), _pointer(builder, address, _SHORT)),
    types.void,
    1,
)
read_atomically = _of_address(_atomic_read, types.int64)
add_atomically = _of_address(
    lambda builder, address, value: builder.atomic_rmw("add", _pointer(builder, address, _WORD), value, "seq_cst"),
    types.int64,
    1,
)
exchange = _of_address(
    lambda builder, address, value: builder.atomic_rmw("xchg", _pointer(builder, address, _WORD), value, "seq_cst"),
    types.int64,
    1,
)
replace_atomically = _of_address(_replace, types.int64, 2)
call_native = _of_address(_call, types.int64, 1)
call_operation = _of_address(_call_with_two, types.int64, 2)


@_intrinsic
def static_memory(_typing: Any) -> Any:
    """The address of `STATIC_WORDS` numbers that belong to the compiled function."""

    def code(_context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        kind = ir.ArrayType(_WORD, STATIC_WORDS)
        memory = builder.module.globals.get("sketchpipe_calls")
        if memory is None:
            memory = ir.GlobalVariable(builder.module, kind, "sketchpipe_calls")
            memory.initializer = ir.Constant(kind, None)
            memory.linkage, memory.align = "internal", 64
        return builder.ptrtoint(memory, _WORD)

    return types.int64(), code


@_intrinsic
def yield_thread(_typing: Any) -> Any:
    """Let another thread run."""

    def code(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_SHORT, []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), code
