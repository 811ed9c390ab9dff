"""Kernels that number the distinct strings of a chunk."""

# In compiled code numpy's int64 and Python's int are the same type.
# mypy: disable-error-code="arg-type"

import numpy as np
from numpy import int64, uint64
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel
from pipeline.sources.scanner.swar import load8


@inner_kernel
def same_bytes(buf: UInt8Array, i: int, j: int, length: int) -> bool:
    """Whether the `length` bytes at `i` equal those at `j`."""
    k = int64(0)
    while k < length:
        if length - k >= 8:
            if load8(buf, i + k) != load8(buf, j + k):
                return False
            k += 8
        else:
            if buf[uint64(i + k)] != buf[uint64(j + k)]:
                return False
            k += 1
    return True


@kernel
def intern_spans(
    buf: UInt8Array, starts: Int64Array, ends: Int64Array, ids: NDArray[np.int32], firsts: Int64Array
) -> int:
    """Number the distinct byte strings `buf[start:end]` in order of appearance; a start of -1 gets id -1.

    `ids`, (N,), receives the numbers, and `firsts`, (N,), the first row of each; returns how many strings there are.
    """
    slots = 16
    while slots < 2 * len(starts):
        slots *= 2
    table = np.full(slots, -1, np.int32)
    count = 0
    for row in range(len(starts)):
        start = starts[row]
        if start < 0:
            ids[row] = -1
            continue
        length = ends[row] - start
        if (
            row > 0
            and starts[row - 1] >= 0
            and ends[row - 1] - starts[row - 1] == length
            and same_bytes(buf, starts[row - 1], start, length)
        ):
            ids[row] = ids[row - 1]
            continue
        code = length
        for k in range(start, start + length):
            code = (code * 31 + int64(buf[uint64(k)])) & 0x3FFFFFFF
        slot = code & (slots - 1)
        while table[slot] >= 0:
            other = firsts[table[slot]]
            if ends[other] - starts[other] == length and same_bytes(buf, starts[other], start, length):
                break
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = row
            count += 1
        ids[row] = table[slot]
    return count
