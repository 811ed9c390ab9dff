"""Gives the kernels of `model.kernels` to XLA, and calls them in steps of JAX."""

import ctypes
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.compute.native import frames
from model.compute.native.compiled import address_of, compiled_operations
from model.compute.native.plan import Kernel, plan_of
from pipeline.kernel_cache import digest_of
from pipeline.threads import core_count


@functools.cache
def target() -> str:
    """Compile the kernels, give them to XLA, and return the name under which XLA finds them.

    The name has a digest of the kernels' sources and of the CPU, so that a compiled step that lies in the cache on disk
    never calls other kernels than those it was compiled for.
    """
    run = address_of(frames.run_frame, 1)
    frames.run_frame(-(run << 8 | frames.OWN_ADDRESS))
    frames.run_frame(-((core_count() - 1) << 8 | frames.HELPERS))
    for place, address in enumerate(compiled_operations(), start=frames.FIRST_OPERATION):
        frames.run_frame(-(address << 8 | place))
    name = f"sketchpipe_{digest_of(Path(frames.__file__))}"
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(ctypes.c_void_p(run)), platform="cpu")
    return name


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
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in results.values()]
    run = jax.ffi.ffi_call(target(), shapes)
    return list(run(*arguments, plan=np.asarray(plan_of(kernel, *sizes), np.int64)))
