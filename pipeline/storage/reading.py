"""Opens files of sketchpipe's own: regular files only, never waiting for one, and reads no more than is allowed.

A pipe or a device where such a file belongs would be waited for, or read until memory ends; through a link a file of
somebody else would be written.
"""

import errno
import io
import os
import stat
from pathlib import Path

OWN_BYTES = 1 << 28  # the most that a manifest or a file in `.build/` that is read whole may have

_PART_BYTES = 1 << 20  # read at a time: a pipe's whole limit would be set aside in memory

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


def open_regular(path: str | Path, *, link: bool) -> io.FileIO:
    """Open a regular file for reading, without a buffer.

    Args:
        path: the path of the file.
        link: whether the path itself may be a link to the file; folders above it may always be links.

    Raises:
        UnfitFileError: it is a pipe, a device, a socket, a folder or, without `link`, a link.
        OSError: it cannot be opened.
    """
    return io.FileIO(descriptor_of(path, os.O_RDONLY, link=link))


def descriptor_of(path: str | Path, flags: int, *, link: bool) -> int:
    """A descriptor of a regular file that is opened with these flags of `os.open`; the caller closes it.

    Raises:
        UnfitFileError: it is a pipe, a device, a socket, a folder or, without `link`, a link.
        OSError: it cannot be opened.
    """
    flags |= os.O_NONBLOCK | os.O_CLOEXEC | (0 if link else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and not link and os.path.islink(path):  # noqa: PTH114 - a text makes no Path of millions of names
            raise _unfit(path, "is a link where a file belongs") from error
        if error.errno == errno.ENXIO:  # a pipe that nobody reads, opened for writing
            raise _unfit(path, "is a pipe, a socket or a device, not a file") from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise _unfit(path, f"is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, not a file")


def refuse_unfit_folder(folder: Path) -> None:
    """Refuse a path that is a link or something else than a folder.

    Raises:
        UnfitFileError: it is.
        OSError: there is nothing, or it cannot be looked at.
    """
    mode = folder.lstat().st_mode
    if not stat.S_ISDIR(mode):
        raise _unfit(folder, f"is {_KINDS.get(stat.S_IFMT(mode), 'a file')}, not a folder")


def refuse_unfit_entries(folder: Path) -> None:
    """Refuse an entry of a folder, or of the folders in it, that is neither a regular file nor a folder.

    Raises:
        UnfitFileError: there is a link, a pipe, a device or a socket.
        OSError: the folder cannot be listed.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            _refuse_unfit_entry(entry)
            if entry.is_dir(follow_symlinks=False):
                with os.scandir(entry) as below:
                    for each in below:
                        _refuse_unfit_entry(each)


def _refuse_unfit_entry(entry: os.DirEntry[str]) -> None:
    if entry.is_symlink() or not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
        mode = entry.stat(follow_symlinks=False).st_mode
        raise _unfit(Path(entry), f"is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, not a file")


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
        return read_at_most(file, limit)  # it may grow, or lie in /proc, where sizes are 0


def read_at_most(file: io.RawIOBase, limit: int) -> bytes:
    """The bytes of an open file or pipe, of which there must be at most `limit`.

    Raises:
        UnfitFileError: there are more.
        OSError: it cannot be read.
    """
    content = bytearray()
    while part := file.read(min(limit + 1 - len(content), _PART_BYTES)):
        content += part
        if len(content) > limit:
            raise UnfitFileError(errno.EINVAL, f"has more than the {limit:,} bytes that such a file may have")
    return bytes(content)


def _unfit(path: str | Path, why: str) -> UnfitFileError:
    return UnfitFileError(errno.EINVAL, why, str(path))
