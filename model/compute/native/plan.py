"""Plans of calls of kernels: which kernel, on which shapes, in how many phases and shares.

A plan is a tuple of integers; XLA passes it to the native function (`frames.py`), which finds the same numbers at the
same places.
"""

from enum import IntEnum

SHARES = 8  # of a phase, on any number of cores, because results depend on it
KERNEL, PHASE_COUNT, SHARE_COUNT, SIZES = range(4)  # places in a plan; the sizes are its rest


class Kernel(IntEnum):
    """The kernels, by the names and in the order of `operations.OPERATIONS`."""

    CONVOLUTION_FORWARD = 0
    CONVOLUTION_BACKWARD = 1
    POINTWISE_FORWARD = 2
    POINTWISE_BACKWARD = 3
    JOIN_FORWARD = 4
    JOIN_BACKWARD = 5
    FIRST_FORWARD = 6
    FIRST_BACKWARD = 7
    ROWS_FORWARD = 8
    ROWS_BACKWARD = 9


PHASES = {
    Kernel.CONVOLUTION_FORWARD: 4,
    Kernel.CONVOLUTION_BACKWARD: 4,
    Kernel.POINTWISE_FORWARD: 2,
    Kernel.POINTWISE_BACKWARD: 3,
    Kernel.JOIN_FORWARD: 1,
    Kernel.JOIN_BACKWARD: 1,
    Kernel.FIRST_FORWARD: 2,
    Kernel.FIRST_BACKWARD: 2,
    Kernel.ROWS_FORWARD: 1,
    Kernel.ROWS_BACKWARD: 2,
}


def plan_of(kernel: Kernel, *sizes: int) -> tuple[int, ...]:
    """The plan of a kernel for some sizes."""
    return (kernel, PHASES[kernel], SHARES, *sizes)
