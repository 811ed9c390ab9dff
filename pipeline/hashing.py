"""The 64-bit hashes that order, splits, identities and blocks of sources are told by; the same on every machine."""

import hashlib

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from pipeline.drawings import Drawings, Int64Array, UInt8Array
from pipeline.jit import inlined_kernel, kernel

UInt64Array = NDArray[np.uint64]

_P1, _P2 = uint64(0x9E3779B185EBCA87), uint64(0xC2B2AE3D27D4EB4F)
_P3, _P4, _P5 = uint64(0x165667B19E3779F9), uint64(0x85EBCA77C2B2AE63), uint64(0x27D4EB2F165667C5)


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


@inlined_kernel
def mixed(value: np.uint64) -> np.uint64:
    """`mix64` of one value, for kernels."""
    value += uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> uint64(27))) * uint64(0x94D049BB133111EB)
    return value ^ (value >> uint64(31))


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


def xxh64(buf: UInt8Array) -> int:
    """XXH64 with seed 0 of (B,) uint8: it tells every change that is no forgery, in a fraction of the time of SHA-256.

    By Yann Collet (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md).

    >>> f"{xxh64(np.frombuffer(b'abc', np.uint8)):016x}"
    '44bc2cf5ad770999'
    """
    with np.errstate(over="ignore"):  # where kernels run without JIT: products are meant to wrap
        return int(_xxh64(buf))


@inlined_kernel
def _rotated(value: np.uint64, bits: np.uint64) -> np.uint64:
    return (value << bits) | (value >> (uint64(64) - bits))


@inlined_kernel
def _word(buf: UInt8Array, i: np.uint64, count: np.uint64) -> np.uint64:
    """The `count` bytes at `i` as a little-endian number."""
    word = uint64(0)
    for k in range(count):  # merged into one load by the compiler
        word |= uint64(buf[i + uint64(k)]) << (uint64(k) << uint64(3))
    return word


@inlined_kernel
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotated(lane + word * _P2, uint64(31)) * _P1


@kernel
def _xxh64(buf: UInt8Array) -> np.uint64:
    size, i = uint64(len(buf)), uint64(0)
    code = _P5
    if size >= uint64(32):
        a, b, c, d = _P1 + _P2, _P2, uint64(0), uint64(0) - _P1
        while i + uint64(32) <= size:
            a = _round(a, _word(buf, i, uint64(8)))
            b = _round(b, _word(buf, i + uint64(8), uint64(8)))
            c = _round(c, _word(buf, i + uint64(16), uint64(8)))
            d = _round(d, _word(buf, i + uint64(24), uint64(8)))
            i += uint64(32)
        code = _rotated(a, uint64(1)) + _rotated(b, uint64(7)) + _rotated(c, uint64(12)) + _rotated(d, uint64(18))
        for lane in (a, b, c, d):
            code = (code ^ _round(uint64(0), lane)) * _P1 + _P4
    code += size
    while i + uint64(8) <= size:
        code = _rotated(code ^ _round(uint64(0), _word(buf, i, uint64(8))), uint64(27)) * _P1 + _P4
        i += uint64(8)
    if i + uint64(4) <= size:
        code = _rotated(code ^ _word(buf, i, uint64(4)) * _P1, uint64(23)) * _P2 + _P3
        i += uint64(4)
    while i < size:
        code = _rotated(code ^ uint64(buf[i]) * _P5, uint64(11)) * _P1
        i += uint64(1)
    code = (code ^ (code >> uint64(33))) * _P2
    code = (code ^ (code >> uint64(29))) * _P3
    return code ^ (code >> uint64(32))


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
