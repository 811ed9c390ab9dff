"""Decompresses gzip and zstd files piece by piece, and reports damage with its place in the file.

Formats: RFC 1952 (gzip), RFC 8878 (zstd). A piece is some bytes that follow the last piece, at most 256 KiB. A gzip
file is made of members, a zstd file of frames. The checksum and the length of a member stand at its end, so that its
pieces are proved only there; a frame without a checksum is proved by its structure alone.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import zstandard

from pipeline.errors import InputError
from pipeline.sources.file_bytes import GZIP, INPUT_BYTES, ZSTD, RawFile, is_skippable
from pipeline.sources.limits import MAX_WINDOW_BYTES
from pipeline.wording import counted

PIECE_BYTES = 1 << 18
_BLOCK_BYTES = 1 << 17  # the longest zstd block
_ANY_WINDOW_BYTES = 1 << 31  # the largest that zstd makes
_RLE, _RESERVED = 1, 3


@dataclass(frozen=True)
class Lost:
    """What the damage of a compressed file costs: the member that is not proved, and all after it.

    Attributes:
        what: what is wrong with the file, and where.
        member: what is not proved, such as "gzip member 2", counted from 1.
        start: the byte of the file where that begins.
        members: how many members, frames or arrays before it are proved.
        bytes: how many bytes were decompressed of it.
    """

    what: str
    member: str
    start: int
    members: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"{self.what}; {self.member}, from byte {self.start} on, and all after it are left out "
            f"({counted(self.bytes, 'byte')} of it decompressed)"
        )


class BrokenStreamError(Exception):
    """What is wrong with a compressed or converted file, and where.

    Attributes:
        lost: what that costs, for damage that a converter finds by checksums of its own; None for other damage.
    """

    def __init__(self, what: str, lost: Lost | None = None) -> None:
        super().__init__(what)
        self.lost = lost


def gunzip(file: RawFile) -> Iterator[bytes]:
    """The decompressed pieces of a gzip file.

    Raises:
        BrokenStreamError: the file is damaged; raised after the last piece that could be decompressed.
    """
    held = file.read(INPUT_BYTES)
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
            held = inflate.unconsumed_tail or (b"" if inflate.eof else file.read(INPUT_BYTES))
            if not held and not piece and not inflate.eof:
                raise _cut_short(file)
        held = inflate.unused_data
        file.members, file.proved = file.members + 1, file.offset - len(held)
        while not held.strip(b"\0"):
            held = file.read(INPUT_BYTES)
            if not held:
                return
        held = held.lstrip(b"\0")
        if len(held) < len(GZIP):
            held += file.read(INPUT_BYTES)
        if held == GZIP[:1]:
            raise _cut_short(file)
        if not held.startswith(GZIP):
            raise _garbage(file, file.proved, "gzip")


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
        if is_skippable(begin):
            count = int.from_bytes(_read_whole(file, 4), "little")
            if file.pass_over(count) < count:
                raise _cut_short(file)
            file.proved = file.offset
        elif begin == ZSTD:
            yield from _unzstd_frame(file, start, decompressor)
            file.members, file.proved = file.members + 1, file.offset
        elif len(begin) < 4 and ZSTD.startswith(begin):
            raise _cut_short(file)
        else:
            raise _garbage(file, start, "zstd")


def _unzstd_frame(file: RawFile, start: int, decompressor: zstandard.ZstdDecompressor) -> Iterator[bytes]:
    """The decompressed blocks of the frame that began at byte `start`; its magic number is already read."""
    header = ZSTD + _read_whole(file, 1)
    header += _read_whole(file, _header_bytes(header[4]) - len(header))
    try:
        frame = zstandard.get_frame_parameters(header)
    except zstandard.ZstdError as error:
        raise BrokenStreamError(f"its zstd stream is damaged near byte {start}: {error}") from error
    if frame.window_size > _ANY_WINDOW_BYTES:
        raise BrokenStreamError(f"its zstd stream is damaged near byte {start}: it names a window that no frame has")
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
