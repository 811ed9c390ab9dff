"""The two 64-bit hashes that order, splits and identities are made of; the same on every machine and version."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from pipeline.drawings import Drawings, Int64Array, UInt8Array
from pipeline.jit import kernel

UInt64Array = NDArray[np.uint64]


def mix64(values: UInt64Array) -> UInt64Array:
    """Mix every bit of each value into every bit of its result; a bijection.

    The finaliser of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Google's
    key_ids have 21 trailing zero bits each, so that nothing weaker will do.
    """
    mixed = np.array(values, np.uint64)
    mixed += np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def salted(salt: str, *numbers: int) -> np.uint64:
    """A 64-bit salt from a name and numbers such as a seed."""
    text = ":".join([salt, *map(str, numbers)]).encode()
    return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))


def content_hash(drawings: Drawings) -> UInt64Array:
    """(N,) uint64, a hash of each drawing's word and strokes: two 32-bit FNV-1a over the points, then `mix64`."""
    words = np.array([salted("word", *word.encode()) for word in drawings.words], np.uint64)
    hashes = words[drawings.word] if len(drawings) else np.empty(0, np.uint64)
    _hash_strokes(drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end, hashes)
    return mix64(hashes)


@kernel
def _hash_strokes(
    x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, hashes: UInt64Array
) -> None:
    """Fold each drawing's strokes into `hashes`, in place: 32-bit halves, so that no product overflows without JIT."""
    low_half = np.uint64(0xFFFFFFFF)
    stroke = 0
    point = 0
    for drawing in range(len(drawing_end)):
        low = hashes[drawing] & low_half
        high = hashes[drawing] >> np.uint64(32)
        while stroke < drawing_end[drawing]:
            while point < stroke_end[stroke]:
                low = ((low ^ np.uint64(x[point])) * np.uint64(0x01000193)) & low_half
                high = ((high ^ np.uint64(y[point])) * np.uint64(0x01000193)) & low_half
                point += 1
            low = ((low ^ np.uint64(0x100)) * np.uint64(0x01000193)) & low_half  # the stroke's end
            high = ((high ^ low) * np.uint64(0x01000193)) & low_half
            stroke += 1
        hashes[drawing] = (high << np.uint64(32)) | low
