"""Thins lines to a width of one pixel, by the algorithm of Guo and Hall.

Source: Z. Guo and R. W. Hall, Parallel thinning with two-subiteration algorithms, Communications of the ACM 32 (1989),
359-373, doi:10.1145/62065.62074, the first of the two algorithms. Ends and connections of 8-connected lines stay.

Images are flat, with a border of one pixel that has no ink, so that every pixel of ink has eight neighbours.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.jit import kernel

BoolArray = NDArray[np.bool_]


@kernel
def thin_pixels(image: UInt8Array, row: int, table: UInt8Array, pixels: Int64Array, count: int) -> int:
    """Thin the ink of `image` in place until nothing changes.

    Args:
        image: (H * W,) uint8, 1 where there is ink, else 0.
        row: W, the pixels of a row.
        table: (2, 256) uint8 of `removal_table`, flat.
        pixels: the places of the ink; on return those that are left come first.
        count: how many there are.

    Returns:
        How many pixels of ink are left.
    """
    marked = 2  # a pixel that a pass removes counts as ink for its neighbours until the pass is over
    changed = True
    while changed:
        changed = False
        for half in range(2):
            for k in range(count):
                p = pixels[k]
                around = (
                    (image[p - row] != 0)
                    + 2 * (image[p - row + 1] != 0)
                    + 4 * (image[p + 1] != 0)
                    + 8 * (image[p + row + 1] != 0)
                    + 16 * (image[p + row] != 0)
                    + 32 * (image[p + row - 1] != 0)
                    + 64 * (image[p - 1] != 0)
                    + 128 * (image[p - row - 1] != 0)
                )
                if table[256 * half + around] != 0:
                    image[p] = marked
            left = 0
            for k in range(count):
                p = pixels[k]
                if image[p] == marked:
                    image[p] = 0
                else:
                    pixels[left] = p
                    left += 1
            changed = changed or left < count
            count = left
    return count


def thin(ink: BoolArray) -> BoolArray:
    """(H, W) bool, the lines of `ink`, (H, W) bool, one pixel wide; a pixel beyond the border counts as no ink."""
    height, width = ink.shape
    image = np.zeros((height + 2, width + 2), np.uint8)
    image[1:-1, 1:-1] = ink
    flat = image.reshape(-1)
    pixels = np.flatnonzero(flat)
    thin_pixels(flat, width + 2, _TABLE, pixels, len(pixels))
    thinned: BoolArray = image[1:-1, 1:-1] != 0
    return thinned


def removal_table() -> UInt8Array:
    """(2, 256) uint8, 1 where a pass removes a pixel with these neighbours.

    Bit k of an index is the neighbour k of eight, clockwise from the one above; the first row is of odd passes, the
    second of even ones, which mirror them.
    """
    table = np.zeros((2, 256), np.uint8)
    for around in range(256):
        n, ne, e, se, s, sw, w, nw = (bool(around >> k & 1) for k in range(8))
        parts = (not n and (ne or e)) + (not e and (se or s)) + (not s and (sw or w)) + (not w and (nw or n))
        pairs = min((nw or n) + (ne or e) + (se or s) + (sw or w), (n or ne) + (e or se) + (s or sw) + (w or nw))
        if parts == 1 and pairs in (2, 3):
            table[0, around] = not ((n or ne or not se) and e)
            table[1, around] = not ((s or sw or not nw) and w)
    return table


_TABLE = removal_table().reshape(-1)
