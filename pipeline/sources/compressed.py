"""Decompresses gzip and zstd files piece by piece, and reports damage with its place in the file.

Formats: RFC 1952 (gzip), RFC 8878 (zstd). A piece is some bytes that follow the last piece, at most 256 KiB.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

from pipeline.errors import InputError
from pipeline.sources.identity import Identity
from pipeline.sources.limits import MAX_WINDOW_BYTES
from pipeline.storage.reading import UnfitFileError, open_readable
from pipeline.wording import counted

PIECE_BYTES = 1 << 18
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_INPUT_BYTES = 1 << 17
_BLOCK_BYTES = 1 << 17  # the longest zstd block
_RLE, _RESERVED = 1, 3


class BrokenStreamError(Exception):
    """What is wrong with a compressed file, and where."""


class RawFile:
    """The bytes of a file, a pipe or a terminal as they are, and how many of them were read.

    It is opened once, and looked at when it is open.

    Attributes:
        seekable: whether it is a file, which can be read twice.
        size: how many bytes it has on disk; 0 if it is no file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_readable(path, _INPUT_BYTES)
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

    def pass_over(self, count: int | None) -> int:
        """Read and drop `count` bytes, or the rest if that is None; returns how many there were."""
        start = self.offset
        while count is None or self.offset - start < count:
            left = PIECE_BYTES if count is None else count - (self.offset - start)
            if not self.read(min(left, PIECE_BYTES)):
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


def _format_of(begin: bytes) -> str:
    """The format of a file that begins with these 4 bytes, or fewer if it is shorter."""
    if begin.startswith(_GZIP):
        return "gzip"
    if _is_skippable(begin) or (len(begin) > 1 and _ZSTD.startswith(begin)):
        return "zstd"
    return "plain"


def _is_skippable(begin: bytes) -> bool:
    return len(begin) >= 4 and begin[0] & 0xF0 == 0x50 and begin[1:4] == b"\x2a\x4d\x18"


def gunzip(file: RawFile) -> Iterator[bytes]:
    """The decompressed pieces of a gzip file.

    Raises:
        BrokenStreamError: the file is damaged; raised after the last piece that could be decompressed.
    """
    held = file.read(_INPUT_BYTES)
    while True:
        inflate = zlib.decompressobj(wbits=31)
        while not inflate.eof:
            start = file.offset - len(held)
            before = inflate.copy()  # takes microseconds, and saves what comes before damage in the same piece
            try:
                piece = inflate.decompress(held, PIECE_BYTES)
            except zlib.error:
                yield from _until_damage(before, held, start)
                raise
            if piece:
                yield piece
            held = inflate.unconsumed_tail or (b"" if inflate.eof else file.read(_INPUT_BYTES))
            if not held and not piece and not inflate.eof:
                raise _cut_short(file)
        held = inflate.unused_data
        end = file.offset - len(held)
        while not held.strip(b"\0"):
            held = file.read(_INPUT_BYTES)
            if not held:
                return
        held = held.lstrip(b"\0")
        if len(held) < len(_GZIP):
            held += file.read(_INPUT_BYTES)
        if held == _GZIP[:1]:
            raise _cut_short(file)
        if not held.startswith(_GZIP):
            raise _garbage(file, end, "gzip")


def _until_damage(inflate: "zlib._Decompress", held: bytes, start: int) -> Iterator[bytes]:
    """Decompress `held`, which begins at byte `start` of the file, byte by byte up to the damage."""
    for place in range(len(held)):
        try:
            piece = inflate.decompress(held[place : place + 1])
        except zlib.error as error:
            what = str(error).rpartition(": ")[2]
            raise BrokenStreamError(f"its gzip stream is damaged near byte {start + place}: {what}") from error
        if piece:
            yield piece


def unzstd(file: RawFile) -> Iterator[bytes]:
    """The decompressed pieces of a zstd file, block by block.

    zstandard's own readers drop what they have decompressed when they find damage, and do not distinguish a frame that
    is cut short from a whole one. So this function walks frames and blocks, and zstandard only decompresses them.

    Raises:
        BrokenStreamError: the file is damaged; raised after the last whole block.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    while True:
        start = file.offset
        begin = file.read(4)
        if not begin:
            return
        if _is_skippable(begin):
            count = int.from_bytes(_read_whole(file, 4), "little")
            if file.pass_over(count) < count:
                raise _cut_short(file)
        elif begin == _ZSTD:
            yield from _unzstd_frame(file, start, decompressor)
        elif len(begin) < 4 and _ZSTD.startswith(begin):
            raise _cut_short(file)
        else:
            raise _garbage(file, start, "zstd")


def _unzstd_frame(file: RawFile, start: int, decompressor: zstandard.ZstdDecompressor) -> Iterator[bytes]:
    """The decompressed blocks of the frame that began at byte `start`; its magic number is already read."""
    header = _ZSTD + _read_whole(file, 1)
    header += _read_whole(file, _header_bytes(header[4]) - len(header))
    try:
        frame = zstandard.get_frame_parameters(header)
    except zstandard.ZstdError as error:
        raise BrokenStreamError(f"its zstd stream is damaged near byte {start}: {error}") from error
    if frame.window_size > MAX_WINDOW_BYTES:
        needs = f"needs a window of {frame.window_size >> 20:,} MiB, more than {MAX_WINDOW_BYTES >> 20}"
        raise InputError(
            f"{file.path}: its zstd frame at byte {start} {needs}; compress it anew with --long=27 or less"
        )
    if frame.dict_id:
        raise BrokenStreamError(f"its zstd frame at byte {start} needs a dictionary; compress it anew without one")
    contents = decompressor.decompressobj()
    fed, last = header, False
    while not last:
        at = file.offset
        head = _read_whole(file, 3)
        bits = int.from_bytes(head, "little")
        last, kind, length = bool(bits & 1), bits >> 1 & 3, bits >> 3
        if kind == _RESERVED or length > _BLOCK_BYTES:
            raise BrokenStreamError(f"its zstd stream is damaged near byte {at}: not the header of a block")
        fed += head + _read_whole(file, 1 if kind == _RLE else length)
        piece = _feed(contents, fed, at)
        fed = b""
        if piece:
            yield piece
    if frame.has_checksum:
        at = file.offset
        _feed(contents, _read_whole(file, 4), at)
    if not contents.eof:
        raise BrokenStreamError(
            f"its zstd stream is damaged near byte {file.offset}: the frame does not end after its last block"
        )


def _header_bytes(descriptor: int) -> int:
    """The length of a frame's header, including its magic number, from its fifth byte (RFC 8878, 3.1.1.1)."""
    one_segment = descriptor >> 5 & 1
    size_bytes = (one_segment, 2, 4, 8)[descriptor >> 6]
    return 5 + (1 - one_segment) + (0, 1, 2, 4)[descriptor & 3] + size_bytes


def _feed(contents: "zstandard.ZstdDecompressionObj", fed: bytes, at: int) -> bytes:
    try:
        return contents.decompress(fed)
    except zstandard.ZstdError as error:
        what = str(error).rpartition(": ")[2]
        raise BrokenStreamError(f"its zstd stream is damaged near byte {at}: {what}") from error


def _read_whole(file: RawFile, count: int) -> bytes:
    read = file.read(count)
    if len(read) < count:
        raise _cut_short(file)
    return read


def _cut_short(file: RawFile) -> BrokenStreamError:
    return BrokenStreamError(f"its {file.format} stream is cut short at byte {file.offset}")


def _garbage(file: RawFile, end: int, what: str) -> BrokenStreamError:
    file.pass_over(None)
    count = file.offset - end
    are = "is" if count == 1 else "are"
    return BrokenStreamError(
        f"{counted(count, 'byte')} after the end of the {what} stream at byte {end} {are} not {what}"
    )
