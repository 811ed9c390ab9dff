"""Writes files whole or reports an error: unbuffered, synced, and renamed into place."""

import contextlib
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import OutputError
from pipeline.storage.reading import descriptor_of, open_regular

if TYPE_CHECKING:
    from hashlib import _Hash

_PART_BYTES = 1 << 20  # read at a time


class Output(io.RawIOBase):
    """A file that is written from byte `keep` on; what it held after that byte is removed.

    Unlike Python's own files it has no buffer, so that a full disk is reported by the write itself. It is never written
    through a link. With `sha256`, the hash of the first `keep` bytes, it hashes what is written.

    Raises:
        UnfitFileError: the path is a link, a pipe, a device, a socket or a folder.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, *, keep: int = 0, sha256: "_Hash | None" = None) -> None:
        super().__init__()
        self._descriptor = descriptor_of(path, os.O_WRONLY | os.O_CREAT, link=False)
        os.ftruncate(self._descriptor, keep)
        self._place = os.lseek(self._descriptor, keep, os.SEEK_SET)
        self._sha256 = sha256

    def write(self, content: Any) -> int:
        """Write all of `content`; returns its length in bytes."""
        view = memoryview(content).cast("B")
        if self._sha256 is not None:
            self._sha256.update(view)
        written = 0
        while written < len(view):
            written += os.write(self._descriptor, view[written:])
        self._place += written
        return written

    def sync(self) -> None:
        """Sync what was written to disk."""
        os.fsync(self._descriptor)

    def tell(self) -> int:
        """The length of the file in bytes, which is where the next write begins."""
        return self._place

    def writable(self) -> bool:
        """True."""
        return True

    @property
    def sha256(self) -> str:
        """SHA-256, in hex, of a file that was opened with `sha256`, as it was written."""
        assert self._sha256 is not None
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file, without a sync."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def hash_of_first(path: Path, length: int) -> "_Hash":
    """The SHA-256 of the first bytes of a file; of fewer if it is shorter or missing."""
    found = hashlib.sha256()
    with contextlib.suppress(FileNotFoundError), open_regular(path, link=False) as file:
        while length and (part := file.read(min(length, _PART_BYTES))):
            found.update(part)
            length -= len(part)
    return found


def sync(path: Path) -> None:
    """Sync a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8, and sync it to disk."""
    with Output(path) as file:
        for start in range(0, len(content), _PART_BYTES):  # encoding all of a long text would take its size once more
            part = content[start : start + _PART_BYTES]
            file.write(part.encode() if isinstance(part, str) else part)
        file.sync()


def partial_path(path: Path) -> Path:
    """Where `write_atomically` prepares a file: a fixed name, so that leftovers of a dead process are reused."""
    return path.with_name(f".{path.name}.partial")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a small file so that a crash leaves the old one or the new one; after an OSError no other file is left."""
    temporary = partial_path(path)
    try:
        write_file(temporary, content)
        os.replace(temporary, path)  # noqa: PTH105 - the call that tests make fail
        sync(path.parent)
    except OSError:
        with contextlib.suppress(OSError):  # a full disk needs the space
            temporary.unlink()
        raise


@contextlib.contextmanager
def writing(path: Path, remedy: str) -> Iterator[None]:
    """Turn a disk error into one that says what cannot be written and what to do.

    Raises:
        OutputError: there was a disk error.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); {remedy}") from error


def disk_free(folder: Path) -> int:
    """How many bytes are free on the disk of a folder, which may not exist yet; if that is unknown, very many."""
    usage = shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists()))
    return usage.free if usage.total else sys.maxsize  # /proc and its like have no size
