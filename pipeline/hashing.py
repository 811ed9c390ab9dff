"""64-bit hashes, equal on every machine, that decide order, splits, identities and random choices."""

import hashlib

import numpy as np
from numpy import uint64

from pipeline.arrays import UInt64Array
from pipeline.jit import inlined_kernel


def mix64(values: UInt64Array) -> UInt64Array:
    """Mix every bit of each value into every bit of its result; a bijection.

    The finalizer of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). A weaker
    hash would not be enough, because each of Google's key_ids ends in 21 zero bits.
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
    """`mix64` of one value, callable from kernels."""
    value += uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> uint64(27))) * uint64(0x94D049BB133111EB)
    return value ^ (value >> uint64(31))


def salted(salt: str, *numbers: int) -> np.uint64:
    """A 64-bit salt made of a name and of numbers such as a seed."""
    text = ":".join([salt, *map(str, numbers)]).encode()
    return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))
