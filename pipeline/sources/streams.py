"""Reads plain, gzip and zstd files as one stream of bytes, which may be converted to lines of ndjson on the way.

Damage raises no error here: the stream ends early, after all bytes that could be decompressed, and its `damage` says
what is wrong and where. Bytes of a compressed file may be wrong although they could be decompressed: `proved` says up
to where they are right. Offsets in `Stream.damage` count the bytes of the file on disk, from 0.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from pipeline.sources.compressed import PIECE_BYTES, BrokenStreamError, Lost, gunzip, unzstd
from pipeline.sources.file_bytes import RawFile
from pipeline.sources.identity import Identity

ALL = 1 << 62  # a `proved` beyond the end of any file
_MEMBER = {"gzip": "gzip member", "zstd": "zstd frame"}
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
        lost: what damage that a checksum or a length shows costs; None without such damage.
        proved: the offset up to which the bytes are proved, because they are made of whole members; `ALL` for a plain
            file, and once the end of an undamaged file was reached. Members that were read may still be counted as
            not proved until the next is.

    Raises:
        InputError: the file cannot be opened or read.
    """

    def __init__(self, path: Path, lost: Lost | None = None) -> None:
        """Open a file; with `lost`, which `find_lost` found, it ends where that begins, with that damage."""
        self.path = path
        self._known = lost
        self._file = RawFile(path)
        self.format, self.size = self._file.format, self._file.size
        self._converter: Converter | None = None
        self._converted: int | None = None
        self.offset = 0
        self._made = self.proved = 0  # `_made` bytes are in all pieces so far
        self.damage: str | None = None
        self.lost: Lost | None = None
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

        self._converter, self.damage, self._made = converter, None, 0
        self.proved = ALL if self.proved == ALL else 0
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

    def prove(self, end: int) -> None:
        """Decompress on, but convert nothing, until all before offset `end` is proved or there is damage.

        Nothing can be read afterwards.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            while self.proved < end and self.lost is None and next(self._raw, None) is not None:
                pass
        except BrokenStreamError as damage:
            self.damage = str(damage)

    @property
    def file_offset(self) -> int:
        """How many bytes of the file on disk were read, for progress against its size on disk."""
        return self._file.offset if self._converted is None else self._converted

    def identity(self) -> Identity:
        """What the file system says of the open file."""
        return self._file.identity()

    def close(self) -> None:
        """Close the file, and free what decompresses it: up to 128 MiB; it cannot be read afterwards."""
        self._pieces = self._raw = _closed()  # these were generators that refer to this object: both stayed alive
        self._piece = memoryview(b"")
        self._file.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _restart(self) -> None:
        self.offset, self.damage, self._piece = 0, None, memoryview(b"")
        self.lost, self._made = None, 0
        self._pieces = self._all_pieces()

    def _all_pieces(self) -> Iterator[bytes]:
        self.proved = ALL if self.format == "plain" else 0
        self._raw = _pieces_of(self._file) if self.format == "plain" else self._decompressed()
        return self._raw if self._converter is None else self._converter(self._raw)

    def _decompressed(self) -> Iterator[bytes]:
        """The decompressed pieces; on the way it notes `proved`, and `lost`."""
        file, known = self._file, self._known
        members = count = begin = 0  # `count` bytes were decompressed; the member that is read began at `begin`
        try:
            for piece in (gunzip if self.format == "gzip" else unzstd)(file):
                if file.members > members:
                    members, begin, self.proved = file.members, count, self._made
                if known is not None and members >= known.members:
                    raise BrokenStreamError(known.what)
                count += len(piece)
                yield piece
            self.proved = ALL
        except BrokenStreamError as damage:
            if file.members > members:
                begin, self.proved = count, self._made
            if known is not None and file.members >= known.members:
                self.lost, self.proved = known, ALL
                raise BrokenStreamError(known.what) from damage
            member = f"{_MEMBER[self.format]} {file.members + 1}"
            self.lost = Lost(str(damage), member, file.proved, file.members, count - begin)
            raise

    def _next(self, count: int) -> memoryview:
        """The next 1 to `count` bytes; empty at the end."""
        while not self._piece and self.damage is None:
            try:
                self._piece = memoryview(next(self._pieces))
                self._made += len(self._piece)
            except StopIteration:
                break
            except BrokenStreamError as damage:
                self.damage = str(damage)
                self.lost = self.lost or damage.lost
        part, self._piece = self._piece[:count], self._piece[count:]
        self.offset += len(part)
        return part


def find_lost(path: Path) -> Lost | None:
    """What is lost of a gzip or zstd file, by decompressing all of it; None if nothing is, or if it is a plain file.

    Raises:
        InputError: the file cannot be read.
    """
    with Stream(path) as stream:
        stream.prove(ALL)
        return stream.lost


def _closed() -> Iterator[bytes]:
    """The pieces of a closed stream."""
    yield from ()
    raise ValueError("the stream is closed")


def _pieces_of(file: RawFile) -> Iterator[bytes]:
    """The pieces of a plain file."""
    while piece := file.read(PIECE_BYTES):
        yield piece
