"""Joins pieces of thinned lines to strokes: spurs are cut off, and junctions are crossed straight.

Thinning moves the lines that meet in a junction, and splits a crossing into two junctions beside each other. Within the
radius of the line around a junction its pixels tell nothing about the directions of the strokes.
"""

import math
from collections import defaultdict

import numpy as np

from pipeline.arrays import Float64Array
from pipeline.tracing.order import length_of
from pipeline.tracing.skeleton import Piece

SPUR = 1.2  # radii of the line: a longer piece with a free end is a stroke, not a spur that thinning left
MERGED = 1.0  # radii of the line: junctions that are not farther apart are one
BRIDGE = 8.0  # radii of the line: the longest piece that two strokes share where they cross at a flat angle
CROSSING = 25.0  # degrees: the largest bend of each of them there
SIGHT = 3.0  # radii of the line, over which the direction of a piece is measured
LEAST_SIGHT = 5.0  # pixels
CUT = 1.0  # radii of the line: points of a stroke that are not farther from a junction are left out
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
        self.lengths = [length_of(piece.points) for piece in pieces]
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
        self.count: dict[int, int] = defaultdict(int)  # the ends that meet in a junction; `prune` counts them

    def merge(self) -> None:
        """Make one junction of those that lie within each other's line, and of the two of a flat crossing."""
        for number, piece in enumerate(self.pieces):
            a, b = self.junction(piece.first), self.junction(piece.last)
            if piece.first < 0 or a == b or min(self.degree[piece.first], self.degree[piece.last]) < 3:
                continue
            if self.lengths[number] <= MERGED * max(self.reach[a], self.reach[b]):
                self.unite(number, a, b)
        meeting = self.meeting()
        for number, piece in enumerate(self.pieces):
            a, b = self.junction(piece.first), self.junction(piece.last)
            if self.left[number] and a != b and len(meeting[a]) == 3 and len(meeting[b]) == 3:
                sides = [[end for end in meeting[one] if end[0] != number] for one in (a, b)]
                if self.lengths[number] <= BRIDGE * max(self.reach[a], self.reach[b]) and self.is_crossing(*sides):
                    self.unite(number, a, b)
                    meeting[a] = meeting[b] = []

    def unite(self, number: int, a: int, b: int) -> None:
        """Make one junction of `a` and `b`, between which a piece lies."""
        self.of[b] = a
        self.reach[a] = max(self.reach[a], self.reach[b])
        self.left[number] = False

    def is_crossing(self, sides: list[End], others: list[End]) -> bool:
        """Whether two strokes run straight from these two ends to those two, side by side between them."""
        if len({number for number, _ in sides + others}) < 4:
            return False
        return any(
            all(self.bend(one, other) <= math.radians(CROSSING) for one, other in zip(sides, pair, strict=True))
            for pair in (others, others[::-1])
        )

    def bend(self, one: End, other: End) -> float:
        """The larger angle, in radians, between two pieces and a straight line from where one ends to the other."""
        here, there = (self.points_from(end)[0] for end in (one, other))
        dx, dy = there - here
        line = math.atan2(dy, dx)
        turns = (self.heading(one) - line - math.pi, self.heading(other) - line)
        return max(abs(math.remainder(turn, 2 * math.pi)) for turn in turns)

    def prune(self) -> None:
        """Cut off short pieces with a free end, the shortest first, as long as two others meet in their junction."""
        count = self.count
        for junction, ends in self.meeting().items():
            count[junction] = len(ends)
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
        for number, side in starts:
            parts: list[Float64Array] = []
            while number not in done:
                done.add(number)
                parts.append(self.cut(number, links)[:: 1 if side == 0 else -1])
                if (number, 1 - side) not in links:
                    break
                number, side = links[number, 1 - side]
            else:
                parts += [parts[0][:1]] if parts else []
            if parts:
                found.append(np.concatenate(parts))
        found += [piece.points for number, piece in enumerate(self.pieces) if self.is_alone(number)]
        return found

    def cut(self, number: int, links: dict[End, End]) -> Float64Array:
        """The points of a piece without those in junctions that it crosses: the rest is joined by straight lines."""
        points = self.pieces[number].points
        keep = np.ones(len(points), bool)
        for side in (0, 1):
            junction = self.junction_of((number, side))
            if (number, side) in links and self.count[junction] > 2:
                keep &= np.hypot(*(points - points[-side]).T) >= CUT * self.reach[junction]
        return points[keep] if keep.any() else points[len(points) // 2 :][:1]

    def is_alone(self, number: int) -> bool:
        """Whether a piece meets no other: a closed line or a single point."""
        piece = self.pieces[number]
        return self.left[number] and (piece.first < 0 or len(piece.points) == 1)

    def links(self) -> dict[End, End]:
        """The ends that are linked in a junction, each with the other one: the straightest pair first."""
        links: dict[End, End] = {}
        for ends in self.meeting().values():
            headings = [self.heading(end) for end in ends]
            pairs = sorted(
                (abs(math.remainder(headings[a] - headings[b] - math.pi, 2 * math.pi)), ends[a], ends[b])
                for a in range(len(ends))
                for b in range(a + 1, len(ends))
            )
            for bend, a, b in pairs:
                if a not in links and b not in links and (bend <= math.radians(STRAIGHT) or len(ends) == 2):
                    links[a], links[b] = b, a
        return links

    def meeting(self) -> dict[int, list[End]]:
        """The ends that meet in each junction."""
        meeting: dict[int, list[End]] = defaultdict(list)
        for end in self.ends():
            meeting[self.junction_of(end)].append(end)
        return meeting

    def points_from(self, end: End) -> Float64Array:
        """The points of a piece, from one of its ends on."""
        return self.pieces[end[0]].points[:: 1 if end[1] == 0 else -1]

    def heading(self, end: End) -> float:
        """The direction, in radians, in which a piece leaves the junction at its end."""
        points, reach = self.points_from(end), self.reach[self.junction_of(end)]
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
