"""Downloads one file into a partial file, from which a later attempt resumes.

A partial file holds the beginning of one version and is named after it, so that it never mixes two versions. If the
process is killed, the next one requests only the rest. A whole file is checked by the bucket's checksum before it is
put in place; for the first lines of a file there is no checksum. The first bytes of both have to be those of drawings.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path

from pipeline.download.beginnings import HEAD_BYTES, kind_of_other, not_drawings
from pipeline.download.bucket import Checksum, Format, Version
from pipeline.download.remote import CHUNK_BYTES, Remote
from pipeline.errors import DamagedError
from pipeline.storage.files import writing
from pipeline.storage.reading import descriptor_of

KEPT = "what was downloaded is kept: make room and run the command again"
_MARGIN = 1.05  # factor on the estimated bytes of missing lines: one more request would cost more
_LEAST_BYTES = 1 << 14  # of a request for lines
_MOST_MEANS = 200  # the bytes that lines may have: so many times those of as many of Google's


class Partial:
    """A partial file: the first bytes of a file, on disk; if only some lines are wanted, it ends after these.

    Attributes:
        path: the path of the partial file.
        version: the version of which it is the beginning.
        form: the format of the file.
        lines_wanted: how many lines are wanted; None for the whole file.
        size: how many bytes it has.
        lines: how many complete lines it has, counted only if not the whole file is wanted.
    """

    def __init__(self, path: Path, version: Version, form: Format, lines_wanted: int | None) -> None:
        self.path, self.version, self.form, self.lines_wanted = path, version, form, lines_wanted
        self._guess = float(form.bytes_per_line or 0)
        self._least_bytes = _LEAST_BYTES
        self._most_bytes = version.size if lines_wanted is None else int(_MOST_MEANS * lines_wanted * self._guess)
        self.size = self.lines = 0
        self._head = b""
        self._checksum = Checksum(version)
        with writing(path, KEPT):
            self._file = io.FileIO(descriptor_of(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, link=False), "r+")
            self._recall()

    def close(self) -> None:
        """Close the partial file; remove it if it is empty."""
        self._file.close()
        if not self.is_whole and not self.size:
            self.path.unlink()

    @property
    def is_full(self) -> bool:
        """Whether it has all that is wanted."""
        return self.size >= self.version.size or (self.lines_wanted is not None and self.lines >= self.lines_wanted)

    @property
    def is_whole(self) -> bool:
        """Whether it has the whole file."""
        return self.size >= self.version.size

    def next_end(self) -> int:
        """Where the next request should end: at the file's end, or where the missing lines are estimated to end."""
        if self.lines_wanted is None:
            return self.version.size
        mean = self.size / self.lines if self.lines else self._guess
        more = int((self.lines_wanted - self.lines) * mean * _MARGIN) + 1
        return min(self.version.size, self._most_bytes + 1, self.size + max(more, self._least_bytes))

    def append(self, chunk: bytes) -> int:
        """Write those of the next bytes that are wanted; returns how many."""
        chunk = self._wanted(chunk)
        view = memoryview(chunk)
        with writing(self.path, KEPT):
            while view:
                view = view[self._file.write(view) :]
        return self._count(chunk)

    def restart(self) -> None:
        """Empty the partial file; keep only the mean length of its lines."""
        with writing(self.path, KEPT):
            self._file.truncate(0)
        if self.lines:
            self._guess = self.size / self.lines
        # The next request is twice as long: if lines only grow longer, or none ends, the estimate is always too short.
        self._least_bytes = max(self._least_bytes, 2 * self.size)
        self.size = self.lines = 0
        self._head = b""
        self._checksum = Checksum(self.version)

    def sync(self) -> None:
        """Flush the partial file to the disk."""
        with writing(self.path, KEPT):
            os.fsync(self._file.fileno())

    def prove(self) -> str | None:
        """How the whole file differs from its checksum; None if it does not, or if the server gave none."""
        expected, found = self._checksum.expected, self._checksum.found()
        if expected is None or found == expected:
            return None
        return f"its {self._checksum.name} should be {expected.hex()}, but is {found.hex()}"

    def kind_of_other(self) -> str | None:
        """What the file is, judged by its first bytes, if it surely holds no drawings; None if it may."""
        if self.size > self._most_bytes and not self.is_full:
            return f"lines of more than {self._most_bytes // (self.lines_wanted or 1):,} bytes"
        return kind_of_other(self._head, self.form, is_all=self.is_full and self.size == len(self._head))

    def _recall(self) -> None:
        """Read what an earlier attempt left; cut off what is not wanted."""
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
        self._head += chunk[: HEAD_BYTES - len(self._head)]
        if self.lines_wanted is not None:
            self.lines += chunk.count(b"\n")
        self._checksum.update(chunk)
        return len(chunk)


def fetch_file(remote: Remote, url: str, partial: Partial, received: Callable[[int], None]) -> None:
    """Download what is missing of a partial file, until it has all that is wanted, check it and flush it to the disk.

    Args:
        remote: the server.
        url: the address of the file.
        partial: the partial file.
        received: is called with the number of bytes as they are written.

    Raises:
        DamagedError: the bytes did not match the checksum, twice.
        ChangedError: there is another version at `url` now, so the partial file is useless.
        InputError: the server does not give the bytes, even after retries, or gives something other than drawings,
            of which nothing is kept.
        OutputError: the bytes cannot be written.
    """

    def attempt() -> None:
        if partial.size and partial.version.validator is None:
            partial.restart()  # nothing tells whether the rest would be of the same version
        with remote.open_range(url, partial.version, partial.size, partial.next_end()) as chunks:
            for chunk in chunks:
                received(partial.append(chunk))
                if came := partial.kind_of_other():
                    partial.restart()
                    raise not_drawings(url, came)
                if partial.is_full:
                    return

    if partial.kind_of_other():
        partial.restart()  # an earlier version of sketchpipe kept whatever came
    for may_repeat in (True, False):
        while not partial.is_full:
            remote.persist(attempt, reached=lambda: partial.size)
        fault = partial.prove() if partial.is_whole else None
        if fault is None:
            partial.sync()
            return
        partial.restart()
        if not may_repeat:
            raise DamagedError(f"{url}: {fault}, also after a second download; choose a mirror with --source")
