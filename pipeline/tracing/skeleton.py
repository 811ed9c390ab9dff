"""Cuts thinned lines into pieces: from an end or a junction to the next one, pixel by pixel.

Two pixels are linked if they share a side, or a corner where no pixel beside both links them already. A pixel with two
links is inside a piece; any other one is a node. Images are flat, with a border of one empty pixel.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Float64Array, Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel
from pipeline.tracing.thinning import BoolArray

MOST_LINKS = 8


@dataclass(frozen=True)
class Piece:
    """A line of pixels between two nodes.

    Attributes:
        points: (K, 2) float64, x and y of its pixels in their order; one point for a pixel without links. The first
            and the last are the nodes; of a closed line without a node they are equal.
        first: the node at its beginning, as the number of its pixel; -1 for a closed line without a node.
        last: the node at its end.
    """

    points: Float64Array
    first: int
    last: int


@inner_kernel
def find_links(image: UInt8Array, row: int, p: int, links: Int64Array) -> int:
    """Write the pixels that are linked with pixel `p` to `links`, and return how many there are."""
    count = 0
    for step in (-row, 1, row, -1):
        if image[p + step] != 0:
            links[count] = p + step
            count += 1
    for side in (-row, row):
        for step in (-1, 1):
            if image[p + side + step] != 0 and image[p + side] == 0 and image[p + step] == 0:
                links[count] = p + side + step
                count += 1
    return count


@inner_kernel
def walk_piece(
    image: UInt8Array, row: int, degree: UInt8Array, seen: UInt8Array, links: Int64Array, path: Int64Array,
    start: int, before: int, p: int,
) -> int:  # fmt: skip
    """Follow a line from `before` through `p` to the next node or seen pixel.

    Writes the pixels from `before` on to `path` at `start`, marks those inside as `seen`, and returns the end.
    """
    path[start] = before
    end = start + 1
    while degree[p] == 2 and seen[p] == 0:
        seen[p] = 1
        path[end] = p
        end += 1
        find_links(image, row, p, links)
        after = links[1] if links[0] == before else links[0]
        before, p = p, after
    path[end] = p
    return end + 1


@kernel
def walk_pieces(
    image: UInt8Array, row: int, pixels: Int64Array, degree: UInt8Array, seen: UInt8Array, links: Int64Array,
    onward: Int64Array, path: Int64Array, piece_end: Int64Array,
) -> int:  # fmt: skip
    """Walk all pieces of thinned lines.

    Args:
        image: (H * W,) uint8, not 0 where there is a line.
        row: W.
        pixels: (P,) int64, the places of the lines' pixels, which rise.
        degree: (H * W,) uint8, receives how many links a pixel has.
        seen: (H * W,) uint8, zeros; receives 1 inside of pieces.
        links: scratch of `MOST_LINKS` int64.
        onward: the same.
        path: (9 P,) int64 or longer, receives the pixels of the pieces one after another.
        piece_end: (5 P,) int64 or longer, receives the end of each piece in `path`.

    Returns:
        The number of pieces.
    """
    for p in pixels:
        degree[p] = find_links(image, row, p, links)
    count = end = 0
    for p in pixels:
        if degree[p] == 2:
            continue
        if degree[p] == 0:
            path[end] = p
            end += 1
            piece_end[count] = end
            count += 1
            continue
        found = find_links(image, row, p, links)
        for k in range(found):
            q = links[k]
            if seen[q] == 0 and (degree[q] == 2 or p < q):  # two nodes side by side are one piece, not two
                end = walk_piece(image, row, degree, seen, onward, path, end, p, q)
                piece_end[count] = end
                count += 1
    for p in pixels:
        if degree[p] == 2 and seen[p] == 0:  # a closed line
            find_links(image, row, p, links)
            seen[p] = 1
            end = walk_piece(image, row, degree, seen, onward, path, end, p, links[0])
            piece_end[count] = end
            count += 1
    return count


def cut_pieces(thinned: BoolArray, most: int) -> list[Piece]:
    """The pieces of thinned lines, (H, W) bool, in the order of their first pixels; closed ones come last.

    If there are more than `most`, those after `most` + 1 are left out.
    """
    height, width = thinned.shape
    row = width + 2
    image = np.zeros((height + 2, row), np.uint8)
    image[1:-1, 1:-1] = thinned
    flat = image.reshape(-1)
    pixels = np.flatnonzero(flat)
    degree, seen = np.zeros_like(flat), np.zeros_like(flat)
    path, piece_end = np.empty(9 * len(pixels), np.int64), np.empty(5 * len(pixels), np.int64)
    links, onward = np.empty(MOST_LINKS, np.int64), np.empty(MOST_LINKS, np.int64)
    count = walk_pieces(flat, row, pixels, degree, seen, links, onward, path, piece_end)
    pieces = []
    start = 0
    for end in piece_end[: min(count, most + 1)].tolist():
        places = path[start:end]
        points = np.stack([places % row - 1, places // row - 1], axis=1).astype(np.float64)
        is_closed = len(places) > 1 and degree[places[0]] == 2
        first, last = (-1, -1) if is_closed else (int(places[0]), int(places[-1]))
        pieces.append(Piece(points, first, last))
        start = end
    return pieces
