"""Opens files for reading: those of sketchpipe's own only if they are regular files, and no more than is allowed.

A pipe or a device where such a file belongs would be waited for, or read until memory ends. Only what the user names to
be read may be a pipe or a terminal.
"""

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
}


class UnfitFileError(OSError):
    """A path names something else than a regular file, or a file that is too long; `strerror` says what."""


def open_regular(path: Path, *, link: bool) -> BinaryIO:
    """Open a regular file for reading, without a buffer.

    Args:
        path: the path of the file.
        link: whether the path itself may be a link to the file; folders above it may always be links.

    Raises:
        UnfitFileError: it is a pipe, a device, a socket, a folder or, without `link`, a link.
        OSError: it cannot be opened.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if link else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not link and path.is_symlink():
            raise _unfit(path, "is a link where a file belongs") from error
        if error.errno == errno.ENXIO:
            raise _unfit(path, "is a socket or a device, not a file") from error
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _unfit(path, f"is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, not a file")
        return open(descriptor, "rb", buffering=0)  # noqa: PTH123 - of a descriptor
    except BaseException:
        os.close(descriptor)
        raise


def open_readable(path: Path, buffer_bytes: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
    """Open a regular file, a pipe or a terminal for reading; of a named pipe without a writer, wait for one.

    Args:
        path: the path, which may be a link.
        buffer_bytes: the size of the buffer.

    Raises:
        UnfitFileError: it is another device or a socket, or became something else while it was opened.
        OSError: it cannot be opened, or is a folder.
    """
    kind = stat.S_IFMT(os.stat(path).st_mode)  # noqa: PTH116 - as `os.open` below
    wait = 0 if kind == stat.S_IFIFO else os.O_NONBLOCK  # a pipe that is opened without waiting may seem to be empty
    if kind in (stat.S_IFSOCK, stat.S_IFBLK):
        raise _unfit(path, f"is {_KINDS[kind]}, not a file")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | wait)
    try:
        opened = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if opened != kind:
            raise _unfit(path, "changed while it was opened")
        if kind == stat.S_IFCHR and not os.isatty(descriptor):
            raise _unfit(path, f"is {_KINDS[kind]}, not a file")
        os.set_blocking(descriptor, True)
        return io.BufferedReader(io.FileIO(descriptor, "rb"), buffer_bytes)
    except BaseException:
        os.close(descriptor)
        raise


def read_named_text(path: Path) -> str:
    """The text of a list that the user names, which may come through a pipe; a byte order mark is dropped.

    Raises:
        OSError: as `open_readable`, or it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    with open_readable(path) as file:
        return file.read().decode("utf-8-sig")


def read_limited(path: Path, limit: int, *, link: bool) -> bytes:
    """The bytes of a regular file, of which there must be at most `limit`.

    Raises:
        UnfitFileError: as `open_regular`, or there are more.
        OSError: it cannot be read.
    """
    with open_regular(path, link=link) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise _unfit(path, f"has {size:,} bytes, more than the {limit:,} that such a file may have")
        content = bytearray()
        while part := file.read(limit + 1 - len(content)):
            content += part
            if len(content) > limit:  # it grew, or lies in /proc, where sizes are 0
                raise _unfit(path, f"has more than the {limit:,} bytes that such a file may have")
        return bytes(content)


def _unfit(path: Path, why: str) -> UnfitFileError:
    return UnfitFileError(errno.EINVAL, why, str(path))
