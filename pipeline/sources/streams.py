"""Reads plain, gzip and zstd files as one stream of bytes, which may be converted to lines of ndjson on the way.

Damage raises no error here: the stream ends early, after all undamaged bytes before, and its `damage` says what is
wrong and where. Offsets in `Stream.damage` count the bytes of the file on disk, from 0.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from pipeline.sources.compressed import PIECE_BYTES, BrokenStreamError, RawFile, gunzip, unzstd
from pipeline.sources.identity import Identity

Converter = Callable[[Iterator[bytes]], Iterator[bytes]]
"""Makes other bytes of the pieces of a file, and raises `BrokenStreamError` where these are damaged."""


class Stream:
    """The bytes of a plain, gzip or zstd file, whatever its name; opened for reading and decompressed.

    A gzip file of several members (also with zeros after the last, as on tapes) and a zstd file of several frames are
    read as one stream.

    Attributes:
        path: the file.
        format: "plain", "gzip" or "zstd".
        size: how many bytes the file had on disk when it was opened; 0 if it is a pipe or a terminal.
        offset: how many decompressed and converted bytes were read or skipped.
        damage: what is wrong with the compressed file, once reading has reached the damage; None until then. zstd
            detects changed bytes only in files with checksums, which the `zstd` command writes by default.

    Raises:
        InputError: the file cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = RawFile(path)
        self.format, self.size = self._file.format, self._file.size
        self._converter: Converter | None = None
        self._converted: int | None = None
        self.offset = 0
        self.damage: str | None = None
        self._piece = memoryview(b"")
        self._pieces = self._all_pieces()

    @property
    def is_plain(self) -> bool:
        """Whether its bytes are those of the file on disk."""
        return self.format == "plain" and self._converter is None

    def peek(self, count: int) -> bytes:
        """The first `count` decompressed bytes, fewer only at the end; they stay to be read.

        Raises:
            InputError: the file cannot be read.
        """
        if self.is_plain:
            return self._file.peek(count)
        begin = self.read(count)
        self.offset, self._piece = 0, memoryview(begin + self._piece)
        return begin

    def convert(self, converter: Converter) -> None:
        """Read what `converter` makes of the bytes from here on; nothing was read yet, but perhaps looked at."""
        pieces, begin, damage = self._pieces, bytes(self._piece), self.damage

        def all_pieces() -> Iterator[bytes]:
            yield begin
            if damage is not None:
                raise BrokenStreamError(damage)
            yield from pieces

        self._converter, self.damage = converter, None
        self._pieces, self._piece = converter(all_pieces()), memoryview(b"")

    def note_converted(self, count: int) -> None:
        """For a converter that reads the whole file first: how many bytes of the file its lines are made of so far."""
        self._converted = count

    def read(self, count: int) -> bytes:
        """The next `count` (0 or more) decompressed bytes, or as many as are left.

        Raises:
            InputError: the file cannot be read; damage of its content is reported in `damage` instead.
        """
        if self.is_plain:
            read = self._file.read(count)
            self.offset += len(read)
            return read
        taken = io.BytesIO()  # its `getvalue` does not copy the bytes
        missing = count
        while missing > 0 and (part := self._next(missing)):
            taken.write(part)
            missing -= len(part)
        return taken.getvalue()

    def read_into(self, view: memoryview) -> int:
        """Fill `view` with the next bytes, or only its first part at the end; returns how many bytes were written.

        Raises:
            InputError: as `read`.
        """
        if self.is_plain:
            count = self._file.read_into(view)
            self.offset += count
            return count
        count = 0
        while count < len(view) and (part := self._next(len(view) - count)):
            view[count : count + len(part)] = part
            count += len(part)
        return count

    def seek_to(self, offset: int) -> None:
        """Go to an offset, or to the end if that comes before; a plain file seeks, others read up to it.

        Raises:
            InputError: the file cannot be read, or is a pipe and the offset has been passed.
        """
        if self.is_plain and self._file.seekable:
            self._file.seek(offset)
            self.offset = offset
            return
        if offset < self.offset:
            self._file.seek(0)
            self._restart()
        while self.offset < offset and self.read(min(offset - self.offset, PIECE_BYTES)):
            pass

    @property
    def file_offset(self) -> int:
        """How many bytes of the file on disk were read, for progress against its size on disk."""
        return self._file.offset if self._converted is None else self._converted

    def identity(self) -> Identity:
        """What the file system says of the open file."""
        return self._file.identity()

    def close(self) -> None:
        """Close the file; it cannot be read afterwards."""
        self._file.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _restart(self) -> None:
        self.offset, self.damage, self._piece = 0, None, memoryview(b"")
        self._pieces = self._all_pieces()

    def _all_pieces(self) -> Iterator[bytes]:
        pieces = {"gzip": gunzip, "zstd": unzstd}.get(self.format, _pieces_of)(self._file)
        return pieces if self._converter is None else self._converter(pieces)

    def _next(self, count: int) -> memoryview:
        """The next 1 to `count` bytes; empty at the end."""
        while not self._piece and self.damage is None:
            try:
                self._piece = memoryview(next(self._pieces))
            except StopIteration:
                break
            except BrokenStreamError as damage:
                self.damage = str(damage)
        part, self._piece = self._piece[:count], self._piece[count:]
        self.offset += len(part)
        return part


def _pieces_of(file: RawFile) -> Iterator[bytes]:
    """The pieces of a plain file."""
    while piece := file.read(PIECE_BYTES):
        yield piece
