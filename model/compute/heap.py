"""Memory that XLA gives back after a step on the CPU, kept for its next one."""

import ctypes
import os
import shutil

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_TOLD = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_heap(device: str) -> None:
    """Let the C library keep what is freed for what is asked for next, in a process that trains on the CPU.

    XLA asks for the room of a step, some 40 MB a device, each time anew. glibc maps that much from the system and gives
    it back, and the faults on its pages take a share of each step (docs/benchmarks.md, beside PyTorch). A process that
    keeps it holds on to the most that it ever used, until it ends or calls `give_heap_back`.

    To be called before threads first ask for memory: pyarrow starts one when it is imported, which gets an arena of its
    own, and an arena that is not the first has no room for so much.

    Args:
        device: as `--device` has it. Where it is not "cpu" and NVIDIA's tool is found nothing is done, as where the
            C library is not glibc or the environment tells it what to do.
    """
    if any(name in os.environ for name in _TOLD) or (device != "cpu" and shutil.which("nvidia-smi")):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # macOS, musl
        return
    for parameter, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)):  # -1: never
        mallopt(parameter, value)


def give_heap_back() -> None:
    """Give the system what is free; where the C library is not glibc, do nothing."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
