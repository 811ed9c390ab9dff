"""Compiles all numba kernels with the project's options: serial, without the GIL, cached on disk.

Kernels that only other kernels call are compiled without wrappers and without reference counting, as part of the
machine code of their callers: they create and return no array, so numba need not count references to their array
arguments. The counting, two atomic operations for each array and call, took half of the scanner's time; numba omits it
by itself in very small functions only. Such a kernel can be called from Python only without JIT, and it has no file in
numba's cache.
"""

import inspect
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.extending import register_jitable

from pipeline import first_calls
from pipeline.inner_code import InnerCompiler
from pipeline.kernel_cache import SealedFiles, cache_folder, not_kept

COMPILING = "compiling kernels, the first time only; this may take half a minute"

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function with numba, with the project's options.

    A kernel fills arrays that its caller made, does not raise and releases the GIL, so that several threads can run it
    at once. Its machine code is stored in the user's cache folder (`kernel_cache.py`); if that cannot be written or
    read, each process compiles it again.
    """
    folder = cache_folder(Path(inspect.getfile(function)))
    if folder is None:
        compiled = _njit(nogil=True)(function)
    else:
        with _setting:
            before = _config.CACHE_DIR
            try:
                _config.CACHE_DIR = str(folder)  # numba reads it only while it creates the function
                compiled = _njit(nogil=True, cache=True)(function)
            finally:
                _config.CACHE_DIR = before
    if hasattr(compiled, "_cache"):  # without JIT it is the function itself
        if folder is not None:
            line = function.__code__.co_firstlineno
            compiled._cache._cache_file = SealedFiles(folder, f"{function.__module__}.{function.__name__}-{line}")
        _follow_cache(compiled._cache, is_kept=folder is not None)
    return cast(F, compiled)


def lacks_code(kernel: object) -> bool:
    """Whether the cache on disk keeps the machine code of a kernel, but has none yet."""
    files = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    return isinstance(files, SealedFiles) and not files.has_any()


def inner_kernel(function: F) -> F:
    """Compile a function that only kernels call and that fills arrays of its caller."""
    return cast(F, _njit(**_BARE)(function))


def inlined_kernel(function: F) -> F:
    """Compile an inner kernel that LLVM inlines: for every list of a drawing a call would cost too much.

    Each array argument of a call is seven numbers on the stack. With bounds checks, which are for tests, LLVM decides:
    it would compile the scanner for a minute longer.
    """
    return cast(F, _njit(**_BARE, forceinline=not _config.BOUNDSCHECK)(function))


def merged_kernel(function: F) -> F:
    """Compile an inner kernel as a part of the source of each kernel that calls it: one that is called in one place."""
    return cast(F, _njit(**_BARE, inline="always")(function))


def formula(function: F) -> F:
    """Let kernels call a function of numbers too; from Python it is called as any other."""
    return register_jitable(function)


def _follow_cache(cache: Any, *, is_kept: bool) -> None:
    """Note first calls, and let a kernel be compiled and used if the cache cannot be written, where numba raises.

    numba calls both functions of its cache with its compiler lock held, so that no two first calls are mixed up.

    Args:
        cache: numba's cache of one kernel.
        is_kept: whether there is a folder for it.
    """
    load, save, began = cache.load_overload, cache.save_overload, 0.0

    def load_overload(*arguments: Any) -> Any:
        nonlocal began
        began = time.monotonic()
        found = _load_without_registries(cache, *arguments)
        if found is None:
            found = load(*arguments)
        if found is None:
            first_calls.tell_once(COMPILING if is_kept else f"compiling kernels; {not_kept()}")
        else:
            first_calls.note(time.monotonic() - began)
        return found

    def save_overload(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError as error:
            first_calls.tell_once(f"compiled kernels are not kept: {not_kept(error.strerror)}")
        first_calls.note(time.monotonic() - began)

    cache.load_overload, cache.save_overload = load_overload, save_overload


def _load_without_registries(cache: Any, signature: Any, target: Any) -> Any:
    """A compiled kernel from the cache, without numba's registries, which only compiling needs; None if there is none.

    numba's own `load_overload` first imports all implementations that a kernel could call and enters them into tables,
    which takes 0.1 s.
    """
    if not hasattr(cache, "_load_overload"):  # a kernel that is not cached; a later numba
        return None
    from numba.core.runtime import rtsys  # type: ignore[attr-defined] # it is not exported

    rtsys.initialize(target)  # its functions are called by the machine code
    return cache._load_overload(signature, target)


_njit: Any = numba.njit  # numba's type does not have the options below
_setting = threading.Lock()  # held while numba's setting is another than the program's
_config: Any = numba.config  # numba's type does not have the settings
_BARE = {
    "nogil": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": InnerCompiler
}  # fmt: skip
