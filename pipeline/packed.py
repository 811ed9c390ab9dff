"""`PackedDrawings`, the compact form of drawings for training: strokes and labels only.

It is close to the form in which shards store drawings. The ends of strokes take a quarter of the memory that they take
in `Drawings`, and the fields that only describe a drawing, such as its key_id, are left out, so whole epochs are
permuted at the speed of copying. Axes as in `Drawings`: N drawings, S strokes, P points. `first_point` and
`first_stroke` are offsets: they rise, have N + 1 entries, and need not begin at 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Int64Array, UInt8Array, UInt16Array
from pipeline.drawings import Drawings
from pipeline.jit import kernel

_UNKNOWN_TIME = np.datetime64("NaT", "us")


@dataclass(frozen=True)
class PackedDrawings:
    """N drawings in the compact form for training.

    Attributes:
        x: (P,) uint8, from left to right, 0-255.
        y: (P,) uint8, from top to bottom, 0-255.
        first_point: (N + 1,) int64, offsets of the drawings in `x` and `y`.
        end_in_drawing: (S,) uint16, the end of each stroke, counted from its drawing's first point.
        first_stroke: (N + 1,) int64, offsets of the drawings in `end_in_drawing`.
        label: (N,) uint16.
    """

    x: UInt8Array
    y: UInt8Array
    first_point: Int64Array
    end_in_drawing: UInt16Array
    first_stroke: Int64Array
    label: UInt16Array

    def __len__(self) -> int:
        return len(self.label)

    def slice(self, start: int, stop: int) -> "PackedDrawings":
        """Drawings `start` to `stop`, 0 <= start <= stop <= N, as views."""
        points, strokes = self.first_point[start : stop + 1], self.first_stroke[start : stop + 1]
        return PackedDrawings(self.x, self.y, points, self.end_in_drawing, strokes, self.label[start:stop])

    def is_sound(self) -> bool:
        """Whether every drawing has strokes, every stroke points, and every point a stroke."""
        return bool(_is_sound(self.first_point, self.end_in_drawing, self.first_stroke))

    def unpack(self, words: Sequence[str]) -> Drawings:
        """The same drawings as `Drawings` with these `words`; points are views, and all fields left out are unknown."""
        count = len(self)
        point, points = int(self.first_point[0]), int(self.first_point[-1])
        stroke, strokes = int(self.first_stroke[0]), int(self.first_stroke[-1])
        stroke_end = np.empty(strokes - stroke, np.int64)
        _rebase(self.first_point, self.end_in_drawing, self.first_stroke, stroke_end)
        return Drawings(
            x=self.x[point:points],
            y=self.y[point:points],
            stroke_end=stroke_end,
            drawing_end=self.first_stroke[1:] - stroke,
            key_id=np.zeros(count, np.uint64),
            word=self.label.astype(np.int32),
            recognized=np.full(count, -1, np.int8),
            countrycode=np.full(count, -1, np.int32),
            timestamp=np.full(count, _UNKNOWN_TIME),
            words=list(words),
        )


def without_strokes(count: int) -> PackedDrawings:
    """`count` drawings without strokes and with label 0, which keep the places of drawings that cannot be read."""
    points, offsets = np.empty(0, np.uint8), np.zeros(count + 1, np.int64)
    return PackedDrawings(points, points, offsets, np.empty(0, np.uint16), offsets, np.zeros(count, np.uint16))


def assemble(parts: Iterable[tuple[PackedDrawings, Int64Array, Int64Array]], count: int) -> PackedDrawings:
    """Gather rows of several parts into one, each at a given place; every point is copied once.

    Args:
        parts: for each part its drawings, (M,) int64 rows of them, and (M,) int64 the places of these rows in the
            result. No place may occur twice; a place that does not occur becomes a drawing without strokes.
        count: the number of places.
    """
    parts = list(parts)
    first_point, first_stroke = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    for part, rows, places in parts:
        _sizes(part.first_point, part.first_stroke, rows, places, first_point, first_stroke)
    np.cumsum(first_point, out=first_point)
    np.cumsum(first_stroke, out=first_stroke)
    x, y, end_in_drawing = _allocate(int(first_point[-1]), int(first_stroke[-1]))
    label = np.zeros(count, np.uint16)
    for part, rows, places in parts:
        _copy(
            part.x, part.y, part.first_point, part.end_in_drawing, part.first_stroke, part.label,
            rows, places, first_point, first_stroke, x, y, end_in_drawing, label,
        )  # fmt: skip
    return PackedDrawings(x, y, first_point, end_in_drawing, first_stroke, label)


def join(parts: Iterable[PackedDrawings]) -> PackedDrawings:
    """The drawings of one or more parts, concatenated."""
    parts = list(parts)
    places = np.cumsum([0, *map(len, parts)]).tolist()
    rows = [np.arange(len(part)) for part in parts]
    behind = (own + place for own, place in zip(rows, places[:-1], strict=True))
    return assemble(zip(parts, rows, behind, strict=True), places[-1])


def _allocate(points: int, strokes: int) -> tuple[UInt8Array, UInt8Array, UInt16Array]:
    """`x`, `y` and `end_in_drawing` in one allocation.

    Mapping three fresh allocations page by page took as long as filling them; a single one of some megabytes gets huge
    pages if the system has them.
    """
    memory = np.empty(2 * strokes + 2 * points, np.uint8)
    x, y = np.split(memory[2 * strokes :], 2)
    return x, y, memory[: 2 * strokes].view(np.uint16)


@kernel
def _is_sound(first_point: Int64Array, end_in_drawing: UInt16Array, first_stroke: Int64Array) -> bool:
    for drawing in range(len(first_point) - 1):
        before = np.int64(0)
        for stroke in range(first_stroke[drawing], first_stroke[drawing + 1]):
            end = np.int64(end_in_drawing[stroke])
            if end <= before:
                return False
            before = end
        if before == 0 or before != first_point[drawing + 1] - first_point[drawing]:
            return False
    return True


@kernel
def _rebase(
    first_point: Int64Array, end_in_drawing: UInt16Array, first_stroke: Int64Array, out_stroke_end: Int64Array
) -> None:
    """Write the ends of all strokes, counted from the first point of the first drawing."""
    for drawing in range(len(first_point) - 1):
        start = first_point[drawing] - first_point[0]
        for stroke in range(first_stroke[drawing], first_stroke[drawing + 1]):
            out_stroke_end[stroke - first_stroke[0]] = start + np.int64(end_in_drawing[stroke])


@kernel
def _sizes(
    first_point: Int64Array, first_stroke: Int64Array, rows: Int64Array, places: Int64Array,
    points: Int64Array, strokes: Int64Array,
) -> None:  # fmt: skip
    """Write each row's numbers of points and of strokes to the entry after its place."""
    for k in range(len(rows)):
        row, behind = rows[k], places[k] + 1
        points[behind] = first_point[row + 1] - first_point[row]
        strokes[behind] = first_stroke[row + 1] - first_stroke[row]


@kernel
def _copy(
    x: UInt8Array, y: UInt8Array, first_point: Int64Array, end_in_drawing: UInt16Array, first_stroke: Int64Array,
    label: UInt16Array, rows: Int64Array, places: Int64Array, to_point: Int64Array, to_stroke: Int64Array,
    out_x: UInt8Array, out_y: UInt8Array, out_end_in_drawing: UInt16Array, out_label: UInt16Array,
) -> None:  # fmt: skip
    """Copy the drawings at `rows` to their places, at the given offsets."""
    for k in range(len(rows)):
        # Unsigned, because numba checks whether signed indices are negative.
        row, place = np.uint64(rows[k]), np.uint64(places[k])
        out_label[place] = label[row]
        start, to = np.uint64(first_point[row]), np.uint64(to_point[place])
        count = np.uint64(first_point[row + np.uint64(1)]) - start
        for i in range(count):
            out_x[to + i] = x[start + i]
        for i in range(count):
            out_y[to + i] = y[start + i]
        start, to = np.uint64(first_stroke[row]), np.uint64(to_stroke[place])
        count = np.uint64(first_stroke[row + np.uint64(1)]) - start
        for i in range(count):
            out_end_in_drawing[to + i] = end_in_drawing[start + i]
