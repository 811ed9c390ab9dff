"""Writes files that a user names, such as a picture or a report: checked before the work, written after it."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import OutputError, UsageError
from pipeline.storage.files import partial_path, write_atomically

_MARK_WITHIN = 4096  # bytes of the beginning of a file


def check_picture_path(path: Path, suffix: str) -> None:
    """Raise an error unless `path` can be written and has the suffix `suffix` or none.

    Raises:
        OutputError: it is a folder, or nothing can be written there.
        UsageError: its suffix is that of another format.
    """
    check_output_path(path, ("", suffix), "picture")


def check_output_path(path: Path, suffixes: Sequence[str], noun: str) -> None:
    """Raise an error unless `path` can be written and has one of `suffixes`, before there is anything to write.

    Args:
        path: the path of the file.
        suffixes: those that its name may have, such as "" and ".gif"; .htm is another name of .html.
        noun: what the file is.

    Raises:
        OutputError: it is a folder, or nothing can be written there.
        UsageError: its suffix is that of another format, or it is `-`.
    """
    named = [suffix for suffix in suffixes if suffix not in ("", ".htm")]
    usual = " or ".join(named)
    if str(path) == "-":
        raise UsageError(f"-: the {noun} goes to a file; give it a name that ends in {usual}")
    if not path.name or path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file for the {noun}")
    if path.suffix.lower() not in suffixes:
        kind = " or ".join(suffix[1:].upper() for suffix in named)
        raise UsageError(
            f"{path}: the {noun} is {'an' if kind[0] in 'HO' else 'a'} {kind} file; let its name end in {usual}"
        )
    check_place(path)


def check_place(path: Path) -> None:
    """Raise an error unless a file can be written at `path`, before hours are spent on its content.

    A nameless file is created for a moment in its folder, or the nearest one that exists: permissions do not tell all.

    Raises:
        OutputError: no file can be written there.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        return  # a pipe
    folder = next(parent for parent in place.parents if parent.exists())
    if not folder.is_dir():
        raise OutputError(f"{path}: cannot be written ({folder} is not a folder); choose another place")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written (no file can be created in {folder}: {error.strerror}); choose another place"
        ) from error


def check_own(path: Path, mark: bytes, maker: str) -> None:
    """Raise an error if `path` is a file that we did not make: one that is not empty and does not begin with our mark.

    Args:
        path: the path of the file.
        mark: bytes that are among the first 4,096 of every file of this kind that we make.
        maker: what makes such files.

    Raises:
        OutputError: it is somebody else's file, or cannot be read.
    """
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            head = file.read(_MARK_WITHIN)
    except OSError as error:
        raise OutputError(
            f"{path}: already exists, and cannot be read ({error.strerror}); name another file"
        ) from error
    if head and mark not in head:
        raise OutputError(f"{path}: already exists, and {maker} did not write it; name another file, or move it")


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user named, all of its bytes or none; its folder is made where it is missing.

    A link is kept, and the file that it points to is replaced. A pipe or a device is written to directly.

    Raises:
        OutputError: it cannot be written.
    """
    target = Path(os.path.realpath(path))  # Path.resolve raises another error if links form a cycle
    try:
        if path.exists() and not target.is_file():  # such as /dev/stdout, if that is a pipe
            path.write_bytes(content)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_atomically(target, content)
        finally:
            with contextlib.suppress(OSError):
                partial_path(target).unlink()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
