"""Compiles the operations: the first time in processes of their own, because numba compiles one function at a time.

They run while this process compiles other things, with XLA. What they compile lies in numba's cache on disk, where this
process finds it; whatever is missing there in the end is compiled here.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from numba import types

from model.compute.native.operations import OPERATIONS
from model.compute.native.plan import Kernel
from pipeline import first_calls
from pipeline.jit import COMPILING, lacks_code
from pipeline.threads import core_count

WAIT_SECONDS = 120.0  # for the processes that compile, which take some 10 s; after that they are ended
_OPERATIONS: Sequence[Any] = OPERATIONS  # numba's type does not have the methods of its kernels
_HALVES = (  # of the kernels, those that share inner kernels together; each process compiles the others' anew
    (
        Kernel.CONVOLUTION_FORWARD, Kernel.CONVOLUTION_BACKWARD, Kernel.POINTWISE_FORWARD, Kernel.POINTWISE_BACKWARD,
        Kernel.ROWS_FORWARD, Kernel.ROWS_BACKWARD,
    ),
    (Kernel.FIRST_FORWARD, Kernel.FIRST_BACKWARD, Kernel.JOIN_FORWARD, Kernel.JOIN_BACKWARD),
)  # fmt: skip
_ROOT = str(Path(__file__).parents[3])  # appended, so that nothing there hides a library
_PROGRAM = "import sys; sys.path.append({!r}); from model.compute.native import compiled; compiled.compile_all({})"
_helpers: list[subprocess.Popen[bytes]] = []


def begin_compiling(kernels: Collection[Kernel]) -> None:
    """Start processes that compile those of the kernels that are not in the cache on disk.

    With one core only or no such cache none is started. They end with this process, and where none can be started,
    nothing happens.
    """
    missing = [kernel for kernel in kernels if _is_missing(_OPERATIONS[kernel])]
    if _are_busy() or core_count() == 1 or not missing:
        return
    first_calls.tell_once(COMPILING)
    for half in _HALVES:
        if wanted := [int(kernel) for kernel in half if kernel in missing]:
            # -P: without it Python would import modules from the working folder.
            command = [sys.executable, "-P", "-c", _PROGRAM.format(_ROOT, wanted)]
            with contextlib.suppress(OSError):  # no process or no memory is left
                _helpers.append(
                    subprocess.Popen(
                        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                    )
                )


def compiled_operation(kernel: Kernel) -> int:
    """The address of an operation, which the processes have compiled, or else this one does."""
    operation, end = _OPERATIONS[kernel], time.monotonic() + WAIT_SECONDS
    while _are_busy() and _is_missing(operation):
        if time.monotonic() > end:
            for helper in _helpers:
                helper.kill()
        time.sleep(0.02)
    return address_of(operation, 2)


def _are_busy() -> bool:
    """Whether a process still compiles; the input of one stays open until it has ended."""
    for helper in [one for one in _helpers if one.poll() is not None]:
        _helpers.remove(helper)
        with helper:
            pass
    return bool(_helpers)


def compile_all(kernels: Sequence[int]) -> None:
    """Compile what one of the processes has to compile; the process ends when its standard input does."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    for kernel in kernels:
        address_of(_OPERATIONS[kernel], 2)
    os._exit(0)  # without waiting for the thread, which reads


def address_of(function: Any, arguments: int) -> int:
    """The address of a kernel of integers as a C function."""
    signature = (types.int64,) * arguments
    function.compile(signature)
    compiled = function.overloads[signature]
    address: int = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
    return address


def _is_missing(operation: Any) -> bool:
    """Whether an operation is neither compiled in this process nor in the cache that would keep it."""
    return not getattr(operation, "overloads", None) and lacks_code(operation)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
