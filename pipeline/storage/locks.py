"""Lock files that admit one writer at a time, name the holder, and are free when its process dies."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import LockedError


@contextlib.contextmanager
def locked_file(path: Path, busy: Callable[[str], str]) -> Iterator[None]:
    """Hold `path` for this process; the file is made where it is missing, holds the pid, and stays.

    The lock is flock's: the kernel lets go of it when the holder ends, however it ends.

    Args:
        path: the lock file; its folder exists.
        busy: the message for somebody who comes while another holds it, given the holder's pid ("?" if it is unknown).

    Raises:
        LockedError: another process holds it, or has just removed it with its folder.
        OSError: it cannot be made, or its file system has no locks.
    """
    with path.open("a+", encoding="ascii", errors="replace") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise LockedError(busy(lock.read().strip() or "?")) from error
        # A holder that failed may take its new folder with it: then this is a lock on a file without a name.
        if not _is_at(path, lock.fileno()):
            raise LockedError(busy("?"))
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def holder_of(path: Path) -> int | None:
    """The process of this machine that holds `path`; None where there is none, or no such file.

    The lock is tried only where the process that it names lives, lest somebody be kept from it who comes just now.
    """
    try:
        with path.open(encoding="ascii", errors="replace") as lock:
            pid = int(lock.read(20))
            if not _lives(pid):
                return None
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid
    except (OSError, ValueError):
        return None
    return None


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
