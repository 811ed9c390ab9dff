"""Makes glibc keep the memory that XLA frees after a step on the CPU, for the next step."""

import ctypes
import os
import shutil

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # parameters of mallopt, from glibc's malloc.h
_USERS_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_heap(device: str) -> None:
    """Make the C library keep freed memory for later allocations, in a process that trains on the CPU.

    XLA allocates the memory of a step, some 40 MB a device, at each step. By default glibc maps that much from the
    system and unmaps it afterwards, and the page faults take a part of each step (docs/benchmarks.md, beside PyTorch).
    After this call the process holds the most memory that it ever used, until it ends or calls `give_heap_back`.

    Call it before any other thread allocates memory. pyarrow starts a thread when it is imported, and glibc would give
    that thread an arena of its own; an arena that is not the first one cannot hold blocks of this size.

    Args:
        device: the value of `--device`. Nothing is done if it is not "cpu" and `nvidia-smi` is installed, if the C
            library is not glibc, or if the environment sets glibc's memory options: existing settings win.
    """
    if any(name in os.environ for name in _USERS_SETTINGS) or (device != "cpu" and shutil.which("nvidia-smi")):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # macOS, musl
        return
    for parameter, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)):  # -1: never trim
        mallopt(parameter, value)


def give_heap_back() -> None:
    """Return the process's free memory to the system; does nothing if the C library is not glibc."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
