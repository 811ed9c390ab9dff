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


def xxh64(text: bytes) -> int:
    """XXH64 with seed 0, step by step as doc/xxhash_spec.md of https://github.com/Cyan4973/xxHash tells it."""
    whole = (1 << 64) - 1
    p1, p2, p3 = 11400714785074694791, 14029467366897019727, 1609587929392839161
    p4, p5 = 9650029242287828579, 2870177450012600261

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> 64 - bits) & whole

    def one_round(lane: int, word: int) -> int:
        return rotated((lane + word * p2) & whole, 31) * p1 & whole

    rest, code = text, p5
    if len(text) >= 32:
        lanes = [p1 + p2 & whole, p2, 0, -p1 & whole]
        while len(rest) >= 32:
            words = [int.from_bytes(rest[k : k + 8], "little") for k in (0, 8, 16, 24)]
            lanes = [one_round(lane, word) for lane, word in zip(lanes, words, strict=True)]
            rest = rest[32:]
        code = sum(rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & whole
        for lane in lanes:
            code = ((code ^ one_round(0, lane)) * p1 + p4) & whole
    code = (code + len(text)) & whole
    while rest:
        steps = [(8, 27, p1, p4), (4, 23, p2, p3), (1, 11, p1, 0)]
        count, bits, factor, added = next(step for step in steps if len(rest) >= step[0])
        word = int.from_bytes(rest[:count], "little")
        word = one_round(0, word) if count == 8 else word * (p1 if count == 4 else p5) & whole
        code = (rotated(code ^ word, bits) * factor + added) & whole
        rest = rest[count:]
    code = (code ^ code >> 33) * p2 & whole
    code = (code ^ code >> 29) * p3 & whole
    return code ^ code >> 32
