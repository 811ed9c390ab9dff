"""How every kernel is compiled: serial, without the GIL, cached on disk where a cache can be written."""

import functools
from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function with numba as the house does it.

    A kernel fills arrays that its caller made, does not raise and releases the GIL, so that threads run it side by
    side. Its machine code is cached beside the source or in the user's cache folder; where neither can be written,
    it is compiled anew in each process.
    """
    jit = functools.partial(numba.njit, nogil=True)
    try:
        return cast(F, jit(cache=True)(function))
    except RuntimeError:  # numba's "no locator available": neither __pycache__ nor the user's cache is writable
        return cast(F, jit(cache=False)(function))
