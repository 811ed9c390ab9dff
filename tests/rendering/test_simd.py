"""Vectors compiled against the NumPy that says what they do."""

from typing import Any

import numpy as np
import pytest

from pipeline.jit import kernel
from pipeline.rendering import simd

BYTES = np.arange(20, dtype=np.uint8) * 13


@kernel
def shorts_kernel(a: Any, out: Any) -> None:
    first, second = simd.load(a, np.uint64(1)), simd.load(a, np.uint64(11))
    mixed = first * second + simd.shorts(np.uint16(300)) - first
    simd.store(out, np.uint64(3), mixed >> simd.shorts(np.uint16(8)))


def test_shorts_are_loaded_combined_and_stored() -> None:
    first, second = BYTES[1:9].astype(np.uint16), BYTES[11:19].astype(np.uint16)
    expected = np.zeros(12, np.uint8)
    expected[3:11] = (first * second + np.uint16(300) - first) >> 8
    out = np.zeros(12, np.uint8)
    shorts_kernel(BYTES, out)
    np.testing.assert_array_equal(out, expected)


@kernel
def floats_kernel(offset: np.float32, scale: np.float32, out: Any) -> None:
    v = simd.floats(offset) + simd.floats(scale) * simd.count_up()
    w = simd.quotient(v, simd.floats(np.float32(4))) - simd.floats(np.float32(1))
    v = simd.greatest(simd.least(simd.magnitude(v), simd.floats(np.float32(200.9))), w)
    simd.store(out, np.uint64(0), simd.truncated(v))


@pytest.mark.parametrize(("offset", "scale"), [(-20.0, 7.3), (255.0, -3.0), (0.0, 0.0), (-300.0, 60.0), (800.0, 30.0)])
def test_floats_are_combined_and_truncated(offset: float, scale: float) -> None:
    v = np.float32(offset) + np.float32(scale) * np.arange(8, dtype=np.float32)
    w = v / np.float32(4) - np.float32(1)
    expected = np.maximum(np.minimum(np.abs(v), np.float32(200.9)), w).astype(np.uint8)
    out = np.zeros(9, np.uint8)
    floats_kernel(np.float32(offset), np.float32(scale), out)
    np.testing.assert_array_equal(out[:8], expected)
    assert out[8] == 0
