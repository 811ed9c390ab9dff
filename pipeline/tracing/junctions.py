"""Joins pieces of thinned lines to strokes: spurs are cut off, and junctions are crossed straight.

Thinning moves the lines that meet in a junction, and splits a crossing into two junctions beside each other. Within the
radius of the line around a junction its pixels tell nothing about the directions of the strokes.
"""

import math
from collections import defaultdict

import numpy as np

from pipeline.arrays import Float64Array
from pipeline.tracing.skeleton import Piece

SPUR = 1.2  # radii of the line: a longer piece with a free end is a stroke, not a spur that thinning left
MERGED = 1.0  # radii of the line: junctions that are not farther apart are one
SIGHT = 3.0  # radii of the line, over which the direction of a piece is measured
LEAST_SIGHT = 5.0  # pixels
STRAIGHT = 60.0  # degrees: the largest bend with which a stroke crosses a junction

End = tuple[int, int]  # a piece, and 0 for its beginning or 1 for its end


def join_pieces(pieces: list[Piece], radius: Float64Array) -> list[Float64Array]:
    """Join pieces to strokes.

    Args:
        pieces: the pieces.
        radius: (H, W) float64, the distance of each pixel of ink from the border of the ink.

    Returns:
        The strokes, each (K, 2) float64, x and y; a stroke that ends where it begins is closed.
    """
    junctions = _Junctions(pieces, radius)
    junctions.merge()
    junctions.prune()
    return junctions.strokes()


class _Junctions:
    """The pieces and what they meet in, a junction or a free end each."""

    def __init__(self, pieces: list[Piece], radius: Float64Array) -> None:
        self.pieces = pieces
        self.lengths = [_length(piece.points) for piece in pieces]
        self.radius = radius
        self.of: dict[int, int] = {}  # the junction of a node, by which it is known: another of its nodes, or itself
        self.reach: dict[int, float] = {}  # the radius of the line at a junction
        self.left = [True] * len(pieces)
        degree: dict[int, int] = defaultdict(int)
        for piece in pieces:
            for node, point in ((piece.first, piece.points[0]), (piece.last, piece.points[-1])):
                if node >= 0:
                    self.of[node] = node
                    self.reach[node] = float(radius[int(point[1]), int(point[0])])
                    degree[node] += 1
        self.degree = degree

    def merge(self) -> None:
        """Make one junction of those that lie within each other's line."""
        for number, piece in enumerate(self.pieces):
            a, b = self.junction(piece.first), self.junction(piece.last)
            if piece.first < 0 or a == b or min(self.degree[piece.first], self.degree[piece.last]) < 3:
                continue
            if self.lengths[number] <= MERGED * max(self.reach[a], self.reach[b]):
                self.of[b] = a
                self.reach[a] = max(self.reach[a], self.reach[b])
                self.left[number] = False

    def prune(self) -> None:
        """Cut off short pieces with a free end, the shortest first, as long as two others meet in their junction."""
        count: dict[int, int] = defaultdict(int)
        for number, side in self.ends():
            count[self.junction_of((number, side))] += 1
        for number in sorted(range(len(self.pieces)), key=self.lengths.__getitem__):
            if not self.left[number]:
                continue
            for side in (0, 1):
                junction, free = self.junction_of((number, side)), self.junction_of((number, 1 - side))
                if junction == free or count[free] != 1 or count[junction] < 3:
                    continue
                if self.lengths[number] <= SPUR * self.reach[junction]:
                    self.left[number] = False
                    count[junction] -= 1
                    break

    def strokes(self) -> list[Float64Array]:
        """The strokes: pieces linked through the junctions."""
        links = self.links()
        found: list[Float64Array] = []
        done: set[int] = set()
        starts = [end for end in self.ends() if end not in links]
        starts += [end for end in self.ends() if end in links]  # what is left then is closed
        for start in starts:
            number, side = start
            if number in done:
                continue
            parts: list[Float64Array] = []
            while number not in done:
                done.add(number)
                parts.append(self.pieces[number].points[:: 1 if side == 0 else -1])
                if (number, 1 - side) not in links:
                    break
                number, side = links[number, 1 - side]
            else:
                parts.append(parts[0][:1])
            found.append(self.crossed(parts))
        found += [piece.points for number, piece in enumerate(self.pieces) if self.left[number] and piece.first < 0]
        return found

    def crossed(self, parts: list[Float64Array]) -> Float64Array:
        """The points of pieces that make one stroke."""
        return np.concatenate(parts)

    def links(self) -> dict[End, End]:
        """The ends that are linked in a junction, each with the other one: the straightest pair first."""
        meeting: dict[int, list[End]] = defaultdict(list)
        for end in self.ends():
            meeting[self.junction_of(end)].append(end)
        links: dict[End, End] = {}
        for junction, ends in meeting.items():
            if len(ends) < 2:
                continue
            headings = [self.heading(end, self.reach[junction]) for end in ends]
            pairs = sorted(
                (abs(math.remainder(headings[a] - headings[b] - math.pi, 2 * math.pi)), ends[a], ends[b])
                for a in range(len(ends))
                for b in range(a + 1, len(ends))
            )
            for bend, a, b in pairs:
                if a not in links and b not in links and (bend <= math.radians(STRAIGHT) or len(ends) == 2):
                    links[a], links[b] = b, a
        return links

    def heading(self, end: End, reach: float) -> float:
        """The direction, in radians, in which a piece leaves the junction at its end."""
        number, side = end
        points = self.pieces[number].points[:: 1 if side == 0 else -1]
        far = np.hypot(*(points - points[0]).T)
        outside = np.flatnonzero(far >= reach)
        first = int(outside[0]) if len(outside) else 0
        sight = max(SIGHT * reach, LEAST_SIGHT)
        beyond = np.flatnonzero(far[first:] >= reach + sight)
        last = first + int(beyond[0]) if len(beyond) else len(points) - 1
        if first == last:
            first = 0
        dx, dy = points[last] - points[first]
        return math.atan2(dy, dx)

    def ends(self) -> list[End]:
        """The ends of all pieces that are left and have nodes."""
        return [
            (number, side)
            for number, piece in enumerate(self.pieces)
            if self.left[number] and piece.first >= 0 and len(piece.points) > 1
            for side in (0, 1)
        ]

    def junction_of(self, end: End) -> int:
        """The junction in which an end lies."""
        piece = self.pieces[end[0]]
        return self.junction(piece.last if end[1] else piece.first)

    def junction(self, node: int) -> int:
        """The junction that a node belongs to."""
        while node >= 0 and self.of[node] != node:
            node = self.of[node]
        return node


def _length(points: Float64Array) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum()) if len(points) > 1 else 0.0
