"""Eight bytes at a time in one uint64 ("SIMD within a register"): the kernels that make the ndjson scanner fast.

A word holds eight bytes of `buf`, the first in its lowest bits. Marks are a word with the highest bit of a byte set
where something is true of that byte, and all other bits clear. No sum or product here leaves 64 bits, so that numpy
has nothing to warn of where kernels run without JIT.
"""

# In compiled code numpy's int64 and Python's int are one type.
# mypy: disable-error-code="return-value"

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy import uint64

from pipeline.arrays import UInt8Array
from pipeline.jit import inner_kernel

NO_MARKS = uint64(0)
ZERO_DIGITS = uint64(0x3030303030303030)
_HIGH = uint64(0x8080808080808080)
_LOW = uint64(0x7F7F7F7F7F7F7F7F)
_ABOVE_NINE = uint64(0x7676767676767676)  # 9 and this is 0x7f: what is more than 9 reaches the highest bit
_PRINTABLE = uint64(0x6060606060606060)  # a space and this is 0x80
_QUOTES = uint64(0x2222222222222222)
_BACKSLASHES = uint64(0x5C5C5C5C5C5C5C5C)


def trailing_zeros(word: uint64) -> uint64:
    """How many zero bits stand below the lowest set bit of a word that is not 0."""
    return uint64((int(word) & -int(word)).bit_length() - 1)


def swap_bytes(word: uint64) -> uint64:
    """The word with its bytes in the opposite order."""
    return uint64(int.from_bytes(int(word).to_bytes(8, "little"), "big"))


# Both are one machine instruction each that numba has no name for; without JIT the functions above are called.
@intrinsic
def _cttz(_context: Any, _word: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def _bswap(_context: Any, _word: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.bswap(values[0])

    return types.uint64(types.uint64), codegen


@overload(trailing_zeros, strict=False)
def _trailing_zeros(word: Any) -> Any:  # noqa: ARG001 - numba matches the name
    return lambda word: _cttz(word)  # type: ignore[call-arg]


@overload(swap_bytes, strict=False)
def _swap_bytes(word: Any) -> Any:  # noqa: ARG001 - numba matches the name
    return lambda word: _bswap(word)  # type: ignore[call-arg]


@inner_kernel
def load8(buf: UInt8Array, i: int) -> uint64:
    """The word of the eight bytes at `i`; `i + 8 <= len(buf)`. Compiled, it is one load."""
    k = uint64(i)
    return (
        uint64(buf[k])
        | (uint64(buf[k + uint64(1)]) << uint64(8))
        | (uint64(buf[k + uint64(2)]) << uint64(16))
        | (uint64(buf[k + uint64(3)]) << uint64(24))
        | (uint64(buf[k + uint64(4)]) << uint64(32))
        | (uint64(buf[k + uint64(5)]) << uint64(40))
        | (uint64(buf[k + uint64(6)]) << uint64(48))
        | (uint64(buf[k + uint64(7)]) << uint64(56))
    )


@inner_kernel
def above_nine(word: uint64) -> uint64:
    """Marks of the bytes above 9: of those that were no digits, where `ZERO_DIGITS` was taken off by xor."""
    return (((word & _LOW) + _ABOVE_NINE) | word) & _HIGH


@inner_kernel
def not_plain(word: uint64) -> uint64:
    """Marks of the bytes that end a plain run in a string: quote, backslash, control characters and those above 127."""
    quote, backslash = word ^ _QUOTES, word ^ _BACKSLASHES
    neither = (((quote & _LOW) + _LOW) | quote) & (((backslash & _LOW) + _LOW) | backslash)
    return (word | ~(((word & _LOW) + _PRINTABLE) & neither)) & _HIGH


@inner_kernel
def first_mark(marks: uint64) -> int:
    """Which byte, 0-7, is the first that is marked."""
    return np.int64(trailing_zeros(marks) >> uint64(3))


@inner_kernel
def digits8(digits: uint64) -> uint64:
    """The number that eight bytes of 0-9 spell."""
    pairs = (digits * uint64(10) + (digits >> uint64(8))) & uint64(0x00FF00FF00FF00FF)
    fours = (pairs * uint64(100) + (pairs >> uint64(16))) & uint64(0x0000FFFF0000FFFF)
    return (fours * uint64(10_000) + (fours >> uint64(32))) & uint64(0xFFFFFFFF)
