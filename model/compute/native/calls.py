"""Gives the kernels of `model.kernels` to XLA, and calls them in steps of JAX.

XLA knows one function, which is compiled when a step is traced. It finds the kernels in its table when the step runs,
so that XLA can compile the step while other processes compile the kernels.
"""

import contextlib
import ctypes
import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.compute.native import frames
from model.compute.native.compiled import address_of, compiled_operation
from model.compute.native.plan import Kernel, plan_of
from pipeline.kernel_cache import digest_of
from pipeline.threads import core_count

_called: set[Kernel] = set()  # by the steps that have been traced
_in_table: set[Kernel] = set()
_compiling = threading.local()  # `only`: whether this thread only compiles


@functools.cache
def target() -> str:
    """Compile the function that runs the kernels, and return the name under which XLA finds it.

    The name has a digest of the kernels' sources and of the CPU, so that a compiled step that lies in the cache on disk
    never calls other kernels than those it was compiled for.
    """
    run = address_of(frames.run_frame, 1)
    frames.run_frame(-(run << 8 | frames.OWN_ADDRESS))
    frames.run_frame(-((core_count() - 1) << 8 | frames.HELPERS))
    name = f"sketchpipe_{digest_of(Path(frames.__file__))}"
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(ctypes.c_void_p(run)), platform="cpu")
    return name


@contextlib.contextmanager
def only_compiling() -> Iterator[None]:
    """A context in which this thread traces and compiles steps, but runs none; it ends when they can be run."""
    _compiling.only = True
    try:
        yield
        _fill_table()
    except BaseException:
        jax.clear_caches()  # what has been traced would run without its kernels
        raise
    finally:
        _compiling.only = False


def _fill_table() -> None:
    for kernel in sorted(_called - _in_table):
        frames.run_frame(-(compiled_operation(kernel) << 8 | frames.FIRST_OPERATION + kernel))
        _in_table.add(kernel)


def call(kernel: Kernel, sizes: tuple[int, ...], results: dict[str, tuple[int, ...]], *arguments: Any) -> list[Any]:
    """Call a kernel, which would take any memory for what it expects; returns its results, named here to be read.

    Raises:
        TypeError: an argument is neither float32 nor, the first one of a first layer, uint8.
    """
    for place, argument in enumerate(arguments):
        is_image = place == 0 and kernel in (Kernel.FIRST_FORWARD, Kernel.FIRST_BACKWARD)
        expected = jnp.uint8 if is_image else jnp.float32
        if argument.dtype != expected:
            raise TypeError(f"{kernel.name}: expected {jnp.dtype(expected)}, found {argument.dtype}")
    _called.add(kernel)
    if not getattr(_compiling, "only", False):
        _fill_table()
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in results.values()]
    run = jax.ffi.ffi_call(target(), shapes)
    return list(run(*arguments, plan=np.asarray(plan_of(kernel, *sizes), np.int64)))
