"""Compiles the operations: the first time in processes of their own, because numba compiles one function at a time.

They run while this process compiles other things, with XLA. What they compile lies in numba's cache on disk, where this
process finds it; whatever is missing there in the end is compiled here.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numba import types

from model.compute.native.operations import OPERATIONS
from pipeline import first_calls
from pipeline.jit import COMPILING, lacks_code
from pipeline.threads import core_count

WAIT_SECONDS = 120.0  # for a process that compiles, which takes some 7 s; after that it is ended
_OPERATIONS: Sequence[Any] = OPERATIONS  # numba's type does not have the methods of its kernels
_HALVES = (slice(0, 2), slice(2, None))  # of the operations: the convolution's take as long as all others
_ROOT = str(Path(__file__).parents[3])  # appended, so that nothing there hides a library
_PROGRAM = "import sys; sys.path.append({!r}); from model.compute.native import compiled; compiled.compile_half({})"
_helpers: list[subprocess.Popen[bytes]] = []


def begin_compiling() -> None:
    """Start processes that compile what is not in the cache on disk, unless there is one core only or no such cache.

    They end with this process, and where none can be started, nothing happens.
    """
    missing = [any(map(_is_missing, _OPERATIONS[half])) for half in _HALVES]
    if _helpers or core_count() == 1 or not any(missing):
        return
    first_calls.tell_once(COMPILING)
    for half, is_missing in enumerate(missing):
        if is_missing:
            # -P: without it Python would import modules from the working folder.
            command = [sys.executable, "-P", "-c", _PROGRAM.format(_ROOT, half)]
            with contextlib.suppress(OSError):  # no process or no memory is left
                _helpers.append(
                    subprocess.Popen(
                        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                    )
                )


def compiled_operations() -> Sequence[int]:
    """The addresses of all operations, in the order of `plan.Kernel`; waits for the processes that compile them."""
    while _helpers:
        with _helpers.pop() as helper:  # whose input stays open until it has ended
            try:
                helper.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                helper.kill()
    return [address_of(operation, 2) for operation in OPERATIONS]


def compile_half(half: int) -> None:
    """Compile what one of the processes has to compile; the process ends when its standard input does."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    for operation in _OPERATIONS[_HALVES[half]]:
        address_of(operation, 2)


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
