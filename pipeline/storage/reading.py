"""Opens files for reading: those of sketchpipe's own only if they are regular files, and no more than is allowed.

A pipe or a device where such a file belongs would be waited for, or read until memory ends; through a link a file of
somebody else would be written. Only what the user names to be read may be a pipe or a terminal.
"""

import errno
import io
import os
import stat
from pathlib import Path

OWN_BYTES = 1 << 28  # the most that a manifest or a file in `.build/` that is read whole may have
LIST_BYTES = 1 << 28  # the most that a list of words or key_ids may have

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


def read_list(path: Path) -> list[str]:
    """The lines of a list that the user names, which may come through a pipe; UTF-8, perhaps with a byte order mark.

    Raises:
        OSError: as `open_readable`, or it cannot be read, or is longer than `LIST_BYTES`.
        ValueError: it is not UTF-8; the error names the first line that is not.
    """
    with open_readable(path) as file:
        content = read_at_most(file, LIST_BYTES)
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line:,} is not UTF-8") from error


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


def read_at_most(file: io.RawIOBase | io.BufferedIOBase, limit: int) -> bytes:
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
