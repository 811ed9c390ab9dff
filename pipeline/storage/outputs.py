"""Writes files that a user names, such as a picture or a report: checked before the work, written after it."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import OutputError, UsageError
from pipeline.storage.files import partial_path, write_atomically


def check_picture_path(path: Path, suffix: str) -> None:
    """Make sure that `path` can name a picture of the format that `suffix` stands for; it needs no suffix.

    Raises:
        OutputError: it is a folder, or lies where nothing can be written.
        UsageError: it promises another format.
    """
    check_output_path(path, ("", suffix), "picture")


def check_output_path(path: Path, suffixes: Sequence[str], noun: str) -> None:
    """Make sure that `path` can be written and names what it should, before there is anything to write.

    Args:
        path: of the file.
        suffixes: that its name may have, the first that is not empty the usual one.
        noun: what the file is.

    Raises:
        OutputError: it is a folder, or lies where nothing can be written.
        UsageError: it promises another format, or is `-`.
    """
    usual = next(suffix for suffix in suffixes if suffix)
    if str(path) == "-":
        raise UsageError(f"-: the {noun} goes to a file; give it a name that ends in {usual}")
    if not path.name or path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file for the {noun}")
    if path.suffix.lower() not in suffixes:
        kind = usual[1:].upper()
        raise UsageError(
            f"{path}: the {noun} is {'an' if kind[0] in 'HO' else 'a'} {kind} file; let its name end in {usual}"
        )
    check_place(path)


def check_place(path: Path) -> None:
    """Make sure that a file can be written at `path`, before hours are spent on what it is to hold.

    A nameless file is made for a moment where it would lie, or where its folder would: permissions do not tell all.

    Raises:
        OutputError: it cannot.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        return  # a pipe
    folder = next(parent for parent in place.parents if parent.exists())
    if not folder.is_dir():
        raise OutputError(f"{path}: cannot be written ({folder} is no folder); choose another place")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({folder} takes no file: {error.strerror}); choose another place"
        ) from error


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user named, all of its bytes or none; its folder is made where it is missing.

    A link stays, and the file that it leads to is replaced. What is no file, such as a pipe, is written into.

    Raises:
        OutputError: it cannot be written.
    """
    target = Path(os.path.realpath(path))  # Path.resolve raises something else where links go round
    try:
        if path.exists() and not target.is_file():  # nor is the target of /dev/stdout, where that is a pipe
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
