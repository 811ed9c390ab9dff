"""Lists what is below a folder or matches a glob, without opening it.

Links to folders are followed, and each folder is searched once.
"""

import errno
import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError

_BY_EFFECTIVE_IDS = os.access in os.supports_effective_ids
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
            raise _unreadable_folder(path, error.strerror or str(error)) from error
        waiting += reversed(folders)


def matches_of(text: str) -> list[str]:
    """The path that a text is, or those that it matches as a glob, in sorted order.

    Raises:
        InputError: a folder in which the glob looks for matches cannot be read.
    """
    if os.path.lexists(text):
        return [text]
    parts = Path(text).parts
    for count in range(1 if Path(text).is_absolute() else 0, len(parts) if glob.has_magic(text) else 0):
        needed = os.X_OK | (os.R_OK if glob.has_magic(parts[count]) else 0)
        for folder in _glob(str(Path(*parts[:count]))):
            is_folder = os.path.isdir(folder)  # noqa: PTH112 - Path.is_dir raises for what may not be looked at
            if is_folder and not os.access(folder, needed, effective_ids=_BY_EFFECTIVE_IDS):
                raise _unreadable_folder(Path(folder), os.strerror(errno.EACCES))
    return _glob(text)


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


def _glob(text: str) -> list[str]:
    return sorted(glob.glob(text))  # noqa: PTH207 - Path.glob takes no absolute pattern


def _unreadable_folder(folder: Path, why: str) -> InputError:
    return InputError(f"{folder}: this folder cannot be read ({why}); change its permissions, or name other files")
