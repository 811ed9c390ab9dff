"""Exchanges two folders in one step, so that whoever looks finds the old one or the new one."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD = -100  # paths are relative to the current folder
ASIDE = ".aside"  # added to the name of the first folder, it is the second one's between two renames
_SWAP = 2  # RENAME_EXCHANGE of Linux's renameat2(2), RENAME_SWAP of macOS's renamex_np(2)


def exchange(first: Path, second: Path) -> None:
    """Give each of two folders, which are beside each other, the name of the other.

    A file system that has no exchange, such as NFS, gets three renames instead, between which `second` is missing.

    Raises:
        OSError: a folder is missing, or the folder that they are in cannot be written.
    """
    if _swap_of_system(os.fsencode(first), os.fsencode(second)):
        return
    aside = first.with_name(f"{first.name}{ASIDE}")
    second.rename(aside)
    try:
        first.rename(second)
    except BaseException:
        aside.rename(second)
        raise
    aside.rename(first)


def _swap_of_system(first: bytes, second: bytes) -> bool:
    """Whether the system has exchanged them."""
    libc = ctypes.CDLL(None)
    call: Callable[..., int] | None
    if sys.platform == "darwin":
        call = getattr(libc, "renamex_np", None)
        return call is not None and call(first, second, _SWAP) == 0
    call = getattr(libc, "renameat2", None)  # glibc has it from 2.28 on
    return call is not None and call(_AT_FDCWD, first, _AT_FDCWD, second, _SWAP) == 0
