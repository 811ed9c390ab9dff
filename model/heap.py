"""Memory that XLA gives back after a step, kept for its next one."""

import ctypes

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_MOST = 2**31 - 1


def keep_heap() -> None:
    """Let the C library keep what is freed for what is asked for next, where it is glibc; elsewhere do nothing.

    XLA on the CPU asks for the room of a step, some 40 MB a device, each time anew. glibc maps that much from the
    system and gives it back, and the faults on its pages took a sixth of a training's time. A process that keeps it
    holds on to the most that it ever used at once, up to 2 GB of it.

    To be called before threads first ask for memory: pyarrow starts one when it is imported, which gets an arena of its
    own, and an arena that is not the first has no room for so much.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # macOS, musl
        return
    for parameter, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _MOST)):
        mallopt(parameter, value)
