"""Kernels that examine eight bytes at a time in one uint64, which makes the ndjson scanner fast.

The technique is known as SWAR ("SIMD within a register"). A word holds eight bytes of `buf`, the first in its lowest
bits. Marks are a word in which the highest bit of a byte is set where a condition is true for that byte, and all other
bits are clear. No sum or product here exceeds 64 bits, so numpy warns of no overflow when kernels run without JIT.
"""

# In compiled code numpy's int64 and Python's int are the same type.
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
_ABOVE_NINE = uint64(0x7676767676767676)  # 9 plus this is 0x7f, so a larger value sets the highest bit
_PRINTABLE = uint64(0x6060606060606060)  # a space (0x20) plus this is 0x80
_QUOTES = uint64(0x2222222222222222)
_BACKSLASHES = uint64(0x5C5C5C5C5C5C5C5C)


def trailing_zeros(word: uint64) -> uint64:
    """The number of zero bits below the lowest set bit of a word that is not 0."""
    return uint64((int(word) & -int(word)).bit_length() - 1)


def swap_bytes(word: uint64) -> uint64:
    """The word with its bytes in the opposite order."""
    return uint64(int.from_bytes(int(word).to_bytes(8, "little"), "big"))


# Each of the two is one machine instruction that numba does not offer; without JIT the functions above are called.
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
    """Marks of the bytes above 9; after an xor with `ZERO_DIGITS` these are the bytes that are not digits."""
    return (((word & _LOW) + _ABOVE_NINE) | word) & _HIGH


@inner_kernel
def not_plain(word: uint64) -> uint64:
    """Marks of the bytes in a string that are not plain: quotes, backslashes, control characters, bytes above 127."""
    quote, backslash = word ^ _QUOTES, word ^ _BACKSLASHES
    neither = (((quote & _LOW) + _LOW) | quote) & (((backslash & _LOW) + _LOW) | backslash)
    return (word | ~(((word & _LOW) + _PRINTABLE) & neither)) & _HIGH


@inner_kernel
def first_mark(marks: uint64) -> int:
    """The index, 0-7, of the first marked byte."""
    return np.int64(trailing_zeros(marks) >> uint64(3))


@inner_kernel
def digits8(digits: uint64) -> uint64:
    """The number whose eight decimal digits are the bytes, each 0-9."""
    pairs = (digits * uint64(10) + (digits >> uint64(8))) & uint64(0x00FF00FF00FF00FF)
    fours = (pairs * uint64(100) + (pairs >> uint64(16))) & uint64(0x0000FFFF0000FFFF)
    return (fours * uint64(10_000) + (fours >> uint64(32))) & uint64(0xFFFFFFFF)
