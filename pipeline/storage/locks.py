"""Lock files that admit one writer at a time, name the holder, and are free when its process dies."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import LockedError
from pipeline.storage.reading import descriptor_of, open_regular


@contextlib.contextmanager
def locked_file(path: Path, busy: Callable[[str], str]) -> Iterator[None]:
    """Lock `path` for this process; the file is created if it is missing, holds the pid, and is not removed.

    The lock is taken with flock: the kernel releases it when the holder ends, however it ends.

    Args:
        path: the lock file; its folder exists.
        busy: returns the message if another process holds the lock, given its pid ("?" if that is unknown).

    Raises:
        LockedError: another process holds the lock, or has just removed the file with its folder.
        OSError: the file cannot be created, its file system has no locks, or the path is a link or no regular file.
    """
    descriptor = descriptor_of(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, link=False)
    with open(descriptor, "r+", encoding="ascii", errors="replace") as lock:  # noqa: PTH123 - of a descriptor
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise LockedError(busy(lock.read(20).strip() or "?")) from error
        # A holder that failed may have removed its new folder: then this file has no name, and its lock is useless.
        if not _is_at(path, lock.fileno()):
            raise LockedError(busy("?"))
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def holder_of(path: Path) -> int | None:
    """The process of this machine that holds `path`; None if there is none, or no such file.

    The lock is tried only if the process that the file names is alive, so that a new holder is not blocked.
    """
    try:
        with open_regular(path, link=False) as lock:
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
