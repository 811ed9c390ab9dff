"""The two hashes in plain Python integers: the oracle of `pipeline.hashing`."""

import hashlib

M64 = (1 << 64) - 1
M32 = (1 << 32) - 1
PRIME = 0x01000193


def mix64(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & M64
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & M64
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & M64
    return value ^ value >> 31


def content_hash(word: str, drawing: list[list[list[int]]]) -> int:
    salt = ":".join(["word", *map(str, word.encode())]).encode()
    start = int.from_bytes(hashlib.blake2b(salt, digest_size=8).digest(), "little")
    low, high = start & M32, start >> 32
    for x, y in drawing:
        for value in x:
            low = (low ^ value) * PRIME & M32
        for value in y:
            high = (high ^ value) * PRIME & M32
        low = (low ^ 0x100) * PRIME & M32
        high = (high ^ low) * PRIME & M32
    return mix64(high << 32 | low)
