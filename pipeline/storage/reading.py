"""Opens files of sketchpipe's own for reading: regular files only, never waiting for one, and no more than is allowed.

A pipe or a device where such a file belongs would be waited for, or read until memory ends.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_LIST_BYTES = 256 << 20  # of a list of words or key_ids
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


def read_list(path: Path) -> list[str]:
    """The lines of a list that the user names, UTF-8 with or without a byte order mark; pipes are read too.

    Raises:
        ValueError: it is not UTF-8, or has more than `MOST_LIST_BYTES`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MOST_LIST_BYTES + 1)
    if len(content) > MOST_LIST_BYTES:
        raise ValueError(f"it has more than {MOST_LIST_BYTES:,} bytes")
    return content.decode("utf-8-sig").splitlines()


def _unfit(path: Path, why: str) -> UnfitFileError:
    return UnfitFileError(errno.EINVAL, why, str(path))
