"""Downloads one file into a partial file, from which a later attempt resumes.

A partial file is named after the version that it is the beginning of, so that two versions never meet in one; whatever
kills the process leaves a beginning, and only the rest is asked for again. A whole file is proved by the bucket's
checksum before it is handed over; of the first lines of a file no checksum is known.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.download.bucket import Checksum, Version
from pipeline.download.remote import CHUNK_BYTES, Remote
from pipeline.errors import DamagedError, OutputError

_MARGIN = 1.05  # of the bytes that missing lines are guessed to have: one request more costs more than this
_LEAST_BYTES = 1 << 14


class Partial:
    """The first bytes of a file, on disk; they end where enough of its lines are there, if not all are wanted.

    Attributes:
        path: the partial file.
        version: of which it is the beginning.
        lines_wanted: how many lines; None for all.
        size: bytes that are there.
        lines: line ends among them.
    """

    def __init__(self, path: Path, version: Version, lines_wanted: int | None, bytes_per_line: float) -> None:
        self.path, self.version, self.lines_wanted = path, version, lines_wanted
        self._guess = bytes_per_line
        self._least_bytes = _LEAST_BYTES
        self.size = self.lines = 0
        self._checksum = Checksum(version)
        with _writing(path):
            self._file = path.open("a+b", buffering=0)
            self._recall()

    def close(self) -> None:
        """Leave the partial file as it is; one of which nothing came is removed."""
        self._file.close()
        if not self.is_whole and not self.size:
            self.path.unlink()

    @property
    def is_full(self) -> bool:
        """Whether all that is wanted is there."""
        return self.size >= self.version.size or (self.lines_wanted is not None and self.lines >= self.lines_wanted)

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole file."""
        return self.size >= self.version.size

    def next_end(self) -> int:
        """Up to where to ask next: the file's end, or where the missing lines are guessed to end."""
        if self.lines_wanted is None:
            return self.version.size
        mean = self.size / self.lines if self.lines else self._guess
        more = int((self.lines_wanted - self.lines) * mean * _MARGIN) + 1
        return min(self.version.size, self.size + max(more, self._least_bytes))

    def append(self, chunk: bytes) -> int:
        """Write the next bytes, as far as they are wanted; returns how many were."""
        chunk = self._wanted(chunk)
        view = memoryview(chunk)
        with _writing(self.path):
            while view:
                view = view[self._file.write(view) :]
        return self._count(chunk)

    def restart(self) -> None:
        """Forget everything that is there, but for how long its lines are."""
        with _writing(self.path):
            self._file.truncate(0)
        if self.lines:
            self._guess = self.size / self.lines
        # Twice as far as this time: of lines that only grow longer, or none that ends, the guess alone would never do.
        self._least_bytes = max(self._least_bytes, 2 * self.size)
        self.size = self.lines = 0
        self._checksum = Checksum(self.version)

    def sync(self) -> None:
        """Force it to the disk."""
        with _writing(self.path):
            os.fsync(self._file.fileno())

    def prove(self) -> str | None:
        """Why the whole file is not what its checksum promises; None where it is, or where none was given."""
        expected, found = self._checksum.expected, self._checksum.found()
        if expected is None or found == expected:
            return None
        return f"its {self._checksum.name} should be {expected.hex()}, but is {found.hex()}"

    def _recall(self) -> None:
        """Read what an earlier attempt left; drop what is more than was wanted."""
        self._file.seek(0)
        while not self.is_full and (chunk := self._file.read(CHUNK_BYTES)):
            self._count(self._wanted(chunk))
        self._file.truncate(self.size)

    def _wanted(self, chunk: bytes) -> bytes:
        chunk = chunk[: self.version.size - self.size]
        if self.lines_wanted is None or self.lines + chunk.count(b"\n") < self.lines_wanted:
            return chunk
        end = 0
        for _ in range(self.lines_wanted - self.lines):
            end = chunk.index(b"\n", end) + 1
        return chunk[:end]

    def _count(self, chunk: bytes) -> int:
        self.size += len(chunk)
        if self.lines_wanted is not None:
            self.lines += chunk.count(b"\n")
        self._checksum.update(chunk)
        return len(chunk)


def fetch_file(remote: Remote, url: str, partial: Partial, received: Callable[[int], None]) -> None:
    """Fetch what is missing of a partial file; it is full, proved and on the disk then.

    Args:
        remote: the server.
        url: whose bytes.
        partial: what is there of them.
        received: is told of bytes as they are written.

    Raises:
        DamagedError: the bytes are not those of the checksum, twice.
        ChangedError: another version lies at `url` now; the partial file is of no use any more.
        InputError: the server does not give them, and has been asked often enough.
        OutputError: they cannot be written.
    """

    def attempt() -> None:
        if partial.size and partial.version.validator is None:
            partial.restart()  # nothing would tell whether the rest is of the same version
        with remote.open_range(url, partial.version, partial.size, partial.next_end()) as chunks:
            for chunk in chunks:
                received(partial.append(chunk))
                if partial.is_full:
                    return

    for may_repeat in (True, False):
        while not partial.is_full:
            remote.persist(attempt, reached=lambda: partial.size)
        fault = partial.prove() if partial.is_whole else None
        if fault is None:
            partial.sync()
            return
        partial.restart()
        if not may_repeat:
            raise DamagedError(f"{url}: {fault}, fetched anew as well; choose a mirror with --source")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that says so."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); what has come is kept: make room, run again"
        ) from error
