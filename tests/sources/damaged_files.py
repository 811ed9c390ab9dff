"""Compressed files of drawings with damage: flipped bits and files cut short."""

import gzip
import random
from collections.abc import Sequence

from tests.sources.compressed_files import zstd

SKIPPED = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + bytes(4)  # a skippable frame, as pzstd writes before each


def packed(kind: str, parts: Sequence[bytes]) -> list[bytes]:
    """Each part as a gzip member or as a zstd frame with a checksum."""
    if kind == "gzip":
        return [gzip.compress(part, mtime=0) for part in parts]
    return [SKIPPED + zstd(part) for part in parts] if kind == "pzstd" else [zstd(part) for part in parts]


def flipped(content: bytes, dice: random.Random, start: int = 0, end: int | None = None) -> tuple[bytes, int]:
    """The content with one bit flipped between two places, and the byte of that bit."""
    place = dice.randrange(start, len(content) if end is None else end)
    damaged = bytearray(content)
    damaged[place] ^= 1 << dice.randrange(8)
    return bytes(damaged), place
