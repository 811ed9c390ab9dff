"""Lists what is below a folder: links to folders are followed, each folder is searched once, and nothing is opened."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError

_BROKEN = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def entries_below(folder: Path) -> Iterator[tuple[Path, int | None]]:
    """What is below a folder except folders, each entry with its kind as `kind_at` tells it.

    Hidden entries, and what is in hidden folders, are left out. A folder that several paths reach, as by a link, is
    searched under the first of them in sorted order.

    Raises:
        InputError: a folder or an entry cannot be read.
    """
    searched = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            found = path.stat()
            if (place := (found.st_dev, found.st_ino)) in searched:
                continue
            searched.add(place)
            with os.scandir(path) as entries:
                names = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda one: one.name)
            folders = []
            for entry in names:
                one = path / entry.name
                kind = stat.S_IFREG if entry.is_file(follow_symlinks=False) else kind_at(one)
                if kind == stat.S_IFDIR:
                    folders.append(one)
                else:
                    yield one, kind
        except OSError as error:
            raise InputError(
                f"{path}: this folder cannot be read ({error.strerror}); change its permissions, or name other files"
            ) from error
        waiting += reversed(folders)


def kind_at(path: Path) -> int | None:
    """The kind of what is at a path or where its links lead, such as `stat.S_IFDIR`; None if it is a broken link.

    Raises:
        InputError: it cannot be told.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        if error.errno in _BROKEN:
            return None
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); change the permissions, or name other files"
        ) from error


def broken_link(path: Path) -> InputError:
    """The error for a link that leads nowhere, or a file that was removed."""
    try:
        target = f"is a link to {path.readlink()}, which leads to no file"
    except OSError:
        target = "was removed while it was looked for"
    return InputError(f"{path}: {target}; restore the file, or remove the link")
