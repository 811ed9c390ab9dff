"""How kernels are compiled that only other kernels call: bare, as part of the machine code of their callers.

Such a kernel makes no array and returns none, so numba need not count references to the arrays it is passed. That
counting, two atomic steps an array a call, took half of the scanner's time; numba finds it needless by itself in very
small functions only. An inner kernel cannot be called from Python, but where kernels run without JIT, and has no file
in numba's cache: both took time to compile.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def inner_kernel(function: F) -> F:
    """Compile a function that kernels call and that fills arrays of its caller's."""
    return cast(F, _njit(**_BARE)(function))


def inlined_kernel(function: F) -> F:
    """The same for what runs for every list of a drawing: arrays as arguments are seven numbers each on the stack."""
    return cast(F, _njit(**_BARE, forceinline=True)(function))


_njit: Any = numba.njit  # its type leaves out the options below
_BARE = {"nogil": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
