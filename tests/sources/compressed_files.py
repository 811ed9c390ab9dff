"""Plain, gzip and zstd files of all legal kinds, and all that a stream gives of a file."""

import gzip
import random
import zlib
from pathlib import Path

import zstandard

from pipeline.sources.streams import Stream

TEXT = b"".join(b'{"word":"cat","key_id":"%d"}\n' % (k * 7919) for k in range(40))
NOISE = random.Random(0).randbytes(400_000)
LARGE = b"".join(b"%d %d\n" % (k, k * k % 7919) for k in range(120_000))  # 1.3 MB, several pieces and blocks


def zstd(content: bytes, *, checksum: bool = True, **settings: int) -> bytes:
    """One frame with a checksum, as the command zstd writes it."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, write_checksum=checksum, **settings)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(content)


def flushed(content: bytes, piece: int) -> bytes:
    """A gzip member that can be decompressed up to each `piece`, wherever it is cut behind that."""
    deflate = zlib.compressobj(wbits=31)
    parts = [content[k : k + piece] for k in range(0, len(content), piece)]
    return b"".join(deflate.compress(part) + deflate.flush(zlib.Z_FULL_FLUSH) for part in parts) + deflate.flush()


SKIPPABLE = b"\x5a\x2a\x4d\x18" + (300_000).to_bytes(4, "little") + bytes(300_000)
LEGAL = {
    "plain": TEXT,
    "empty": b"",
    "one gzip byte": b"\x1f",
    "gzip": gzip.compress(TEXT),
    "gzip of nothing": gzip.compress(b""),
    "gzip of two members": gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:]),
    "gzip with an empty member": gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(b""),
    "gzip with zeros behind": gzip.compress(TEXT) + bytes(700_000),
    "gzip with zeros between": gzip.compress(TEXT[:500]) + bytes(5) + gzip.compress(TEXT[500:]),
    "gzip in flushed parts": flushed(TEXT, 100),
    "large gzip": gzip.compress(LARGE),
    "gzip of members": b"".join(gzip.compress(LARGE[k : k + 997]) for k in range(0, len(LARGE), 997)),
    "zstd": zstd(TEXT),
    "zstd of nothing": zstd(b""),
    "zstd of two frames": zstd(TEXT[:500]) + zstd(TEXT[500:], checksum=False),
    "zstd with skippable frames": SKIPPABLE + zstd(TEXT) + SKIPPABLE[:4] + bytes(4),
    "large zstd": zstd(LARGE),
    "zstd of small windows": zstd(LARGE, window_log=10),
    "zstd of raw blocks": zstd(NOISE),
}
CONTENT = {
    "empty": b"",
    "one gzip byte": b"\x1f",
    "gzip of nothing": b"",
    "zstd of nothing": b"",
    "large gzip": LARGE,
    "gzip of members": LARGE,
    "large zstd": LARGE,
    "zstd of small windows": LARGE,
    "zstd of raw blocks": NOISE,
}


def read_all(path: Path, count: int = 1 << 16) -> tuple[bytes, str | None, str]:
    """The whole stream, its damage and its format."""
    with Stream(path) as stream:
        content = b"".join(iter(lambda: stream.read(count), b""))
        assert stream.read(count) == b""
        assert stream.offset == len(content)
        return content, stream.damage, stream.format
