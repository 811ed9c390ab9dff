"""How every kernel is compiled: serial, without the GIL, cached on disk where a cache can be written.

Kernels that only other kernels call are compiled bare, as part of the machine code of their callers: they make no
array and return none, so numba need not count references to the arrays they are passed. That counting, two atomic
steps an array a call, took half of the scanner's time; numba finds it needless by itself in very small functions only.
Such a kernel cannot be called from Python, but where kernels run without JIT, and has no file in numba's cache.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from pipeline.kernel_cache import cache_folder

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function with numba, with the project's options.

    A kernel fills arrays that its caller made, does not raise and releases the GIL, so that threads run it side by
    side. Its machine code is kept in the user's cache folder (`kernel_cache.py`); where that cannot be written, it is
    compiled anew in each process.
    """
    folder = cache_folder(Path(inspect.getfile(function)))
    before = _config.CACHE_DIR
    try:
        _config.CACHE_DIR = str(folder or "")  # numba reads it when it makes the function, and only then
        return cast(F, _njit(nogil=True, cache=folder is not None)(function))
    finally:
        _config.CACHE_DIR = before


def inner_kernel(function: F) -> F:
    """Compile a function that kernels call and that fills arrays of its caller's."""
    return cast(F, _njit(**_BARE)(function))


def inlined_kernel(function: F) -> F:
    """The same for what runs for every list of a drawing: arrays as arguments are seven numbers each on the stack."""
    return cast(F, _njit(**_BARE, forceinline=True)(function))


def _load_numba_without_scipy() -> None:
    """Load the part of numba that looks for scipy's BLAS, which no kernel needs and takes a fifth of a second."""
    if "scipy.linalg" in sys.modules:
        return
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment] # which makes an import of it fail
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules["scipy.linalg"]


_load_numba_without_scipy()
_njit: Any = numba.njit  # its type leaves out the options below
_config: Any = numba.config  # its type leaves out its settings
_BARE = {"nogil": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
