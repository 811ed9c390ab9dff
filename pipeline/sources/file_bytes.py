"""The bytes of a file, a pipe or a terminal, and the format that its first bytes show: plain, gzip or zstd."""

import os
from pathlib import Path

from pipeline.errors import InputError
from pipeline.sources.identity import Identity
from pipeline.storage.reading import UnfitFileError, open_readable

INPUT_BYTES = 1 << 17  # read from the disk at a time
PASSED_BYTES = 1 << 18  # dropped at a time
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"


class RawFile:
    """The bytes of a file, a pipe or a terminal as they are, and how many of them were read.

    It is opened once, and looked at when it is open.

    Attributes:
        seekable: whether it is a file, which can be read twice.
        size: how many bytes it has on disk; 0 if it is no file.
        members: how many gzip members or zstd frames are proved; skippable frames are not counted.
        proved: the byte after the last of them.
    """

    members = proved = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_readable(path, INPUT_BYTES)
            self.size = os.fstat(self._file.fileno()).st_size
        except UnfitFileError as error:
            raise InputError(f"{path}: {error.strerror}; expected a file, a pipe or a terminal") from error
        except OSError as error:
            raise self._unreadable(error) from error
        self.seekable = self._file.seekable()
        self._ended = False  # a terminal can be read on after its end
        self.offset, self._ahead = 0, b""  # `_ahead` was looked at and not read yet: a pipe cannot seek back
        try:
            self.format = _format_of(self.peek(4))
        except InputError:
            self._file.close()
            raise

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end."""
        ahead, self._ahead = self._ahead[:count], self._ahead[count:]
        try:
            read = b"" if self._ended else self._file.read(count - len(ahead))
        except OSError as error:
            raise self._unreadable(error) from error
        self._ended = self._ended or (len(read) < count - len(ahead) and not self.seekable)
        read = ahead + read if ahead else read
        self.offset += len(read)
        return read

    def read_into(self, view: memoryview) -> int:
        """Fill `view`, or only its first part at the end; returns how many bytes were written."""
        ahead, self._ahead = self._ahead[: len(view)], self._ahead[len(view) :]
        view[: len(ahead)] = ahead
        try:
            count = 0 if self._ended else self._file.readinto(view[len(ahead) :])
        except OSError as error:
            raise self._unreadable(error) from error
        self._ended = self._ended or (count < len(view) - len(ahead) and not self.seekable)
        count += len(ahead)
        self.offset += count
        return count

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end; they stay to be read."""
        begin = self.read(count)
        self.offset, self._ahead = self.offset - len(begin), begin + self._ahead
        return begin

    def seek(self, offset: int) -> None:
        """Go to a byte of the file."""
        if not self.seekable:
            raise InputError(f"{self.path}: is a pipe, which can be read only once; give a file")
        self._file.seek(offset)
        self.offset, self._ahead = offset, b""
        self.members = self.proved = 0

    def pass_over(self, count: int | None) -> int:
        """Read and drop `count` bytes, or the rest if that is None; returns how many there were."""
        start = self.offset
        while count is None or self.offset - start < count:
            left = PASSED_BYTES if count is None else count - (self.offset - start)
            if not self.read(min(left, PASSED_BYTES)):
                break
        return self.offset - start

    def identity(self) -> Identity:
        """What the file system says of the open file."""
        return Identity.of(os.fstat(self._file.fileno()))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(f"{self.path}: cannot be read ({error.strerror or error}); is it a file that you may read?")


def is_skippable(begin: bytes) -> bool:
    """Whether these 4 bytes begin a skippable frame of a zstd file."""
    return len(begin) >= 4 and begin[0] & 0xF0 == 0x50 and begin[1:4] == b"\x2a\x4d\x18"


def _format_of(begin: bytes) -> str:
    """The format of a file that begins with these 4 bytes, or fewer if it is shorter."""
    if begin.startswith(GZIP):
        return "gzip"
    if is_skippable(begin) or (len(begin) > 1 and ZSTD.startswith(begin)):
        return "zstd"
    return "plain"
