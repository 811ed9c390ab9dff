"""`Drawings`, a columnar batch of drawings, and the functions that take, slice, join and hash them.

Axes: N drawings, S strokes, P points. `stroke_end` and `drawing_end` are ends: they rise, and have one entry per
stroke and per drawing; the first stroke and the first drawing begin at 0.
"""

import builtins
import dataclasses
import itertools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int32Array, Int64Array, UInt8Array, UInt64Array
from pipeline.errors import UsageError
from pipeline.hashing import mix64, salted
from pipeline.jit import kernel
from pipeline.wording import counted

_COLUMNS = ("key_id", "word", "recognized", "countrycode", "timestamp")  # of `Drawings`, one entry a drawing


@dataclass(frozen=True, repr=False)
class Drawing:
    """One drawing as plain Python values, for people to look at.

    Attributes:
        word: the word that was to be drawn.
        key_id: Google's identifier, or a hash of word and strokes where the source has none.
        recognized: whether Google's network recognized it; None where that is not known.
        strokes: as Google writes them, each a list of x and a list of y, 0-255.
    """

    word: str
    key_id: int
    recognized: bool | None
    strokes: list[list[list[int]]]

    def __repr__(self) -> str:
        points = sum(len(x) for x, _ in self.strokes)
        strokes = counted(len(self.strokes), "stroke")
        return f'Drawing("{self.word}", key_id={self.key_id}, {strokes}, {counted(points, "point")})'


@dataclass(frozen=True, repr=False)
class Drawings:
    """N drawings as flat arrays.

    Attributes:
        x: (P,) uint8, from left to right, 0-255.
        y: (P,) uint8, from top to bottom, 0-255.
        stroke_end: (S,) int64, the end of each stroke in `x` and `y`.
        drawing_end: (N,) int64, the end of each drawing in `stroke_end`.
        key_id: (N,) uint64, Google's identifier, or a hash of word and strokes where the source has none.
        word: (N,) int32, index into `words`.
        recognized: (N,) int8, 0 or 1; -1 where it is not known.
        countrycode: (N,) int32, index into `countrycodes`; -1 where it is not known.
        timestamp: (N,) datetime64[us], UTC; NaT where it is not known.
        words: the vocabulary of `word`.
        countrycodes: the vocabulary of `countrycode`.
    """

    x: UInt8Array
    y: UInt8Array
    stroke_end: Int64Array
    drawing_end: Int64Array
    key_id: NDArray[np.uint64]
    word: NDArray[np.int32]
    recognized: NDArray[np.int8]
    countrycode: NDArray[np.int32]
    timestamp: NDArray[np.datetime64]
    words: list[str] = field(default_factory=list)
    countrycodes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.drawing_end)

    def __repr__(self) -> str:
        words = counted(len(np.unique(self.word)), "word")
        return f"Drawings({counted(len(self), 'drawing')}, {words}, {counted(len(self.x), 'point')})"

    @overload
    def __getitem__(self, index: int) -> Drawing: ...
    @overload
    def __getitem__(self, index: builtins.slice) -> "Drawings": ...
    def __getitem__(self, index: int | builtins.slice) -> "Drawing | Drawings":
        """One `Drawing`, or those of a slice as `Drawings`; negative indices count from the end."""
        if isinstance(index, builtins.slice):
            return self.take(np.arange(*index.indices(len(self))))
        place = place_of(index, len(self))
        recognized = None if self.recognized[place] < 0 else bool(self.recognized[place])
        return Drawing(self.words[self.word[place]], int(self.key_id[place]), recognized, self.strokes(place))

    def __iter__(self) -> Iterator[Drawing]:
        return (self[place] for place in range(len(self)))

    def strokes(self, drawing: int) -> list[list[list[int]]]:
        """One drawing as Google writes it: a list of strokes, each a list of x and a list of y.

        Raises:
            IndexError: there is no such drawing.
        """
        drawing = place_of(drawing, len(self))
        first = int(self.drawing_end[drawing - 1]) if drawing > 0 else 0
        ends = [int(self.stroke_end[first - 1]) if first > 0 else 0]
        ends += self.stroke_end[first : self.drawing_end[drawing]].tolist()
        return [[self.x[a:b].tolist(), self.y[a:b].tolist()] for a, b in itertools.pairwise(ends)]

    def slice(self, start: int, stop: int) -> "Drawings":
        """Drawings `start` to `stop`, 0 <= start <= stop <= N; points and columns are views, not copies."""
        s0, s1 = (int(self.drawing_end[k - 1]) if k > 0 else 0 for k in (start, stop))
        p0, p1 = (int(self.stroke_end[k - 1]) if k > 0 else 0 for k in (s0, s1))
        return dataclasses.replace(
            self,
            x=self.x[p0:p1],
            y=self.y[p0:p1],
            stroke_end=self.stroke_end[s0:s1] - p0,
            drawing_end=self.drawing_end[start:stop] - s0,
            **{name: getattr(self, name)[start:stop] for name in _COLUMNS},
        )

    def take(self, rows: Int64Array) -> "Drawings":
        """The drawings at `rows`, (M,) int64 in 0..N-1, in that order; the vocabularies are shared."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows must lie in 0..{len(self) - 1}")
        strokes, points = taken_sizes(self.stroke_end, self.drawing_end, rows)
        x, y = np.empty(points, np.uint8), np.empty(points, np.uint8)
        stroke_end, drawing_end = np.empty(strokes, np.int64), np.empty(len(rows), np.int64)
        take_strokes(self.x, self.y, self.stroke_end, self.drawing_end, rows, x, y, stroke_end, drawing_end)
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return dataclasses.replace(self, x=x, y=y, stroke_end=stroke_end, drawing_end=drawing_end, **columns)


def concat(parts: Sequence[Drawings]) -> Drawings:
    """The drawings of one or more `parts`, in order; their vocabularies are merged if they differ."""
    words, word = _merged([part.words for part in parts], [part.word for part in parts])
    countrycodes, countrycode = _merged([part.countrycodes for part in parts], [part.countrycode for part in parts])
    points = np.cumsum([0, *(len(part.x) for part in parts)])
    strokes = np.cumsum([0, *(len(part.stroke_end) for part in parts)])
    joined = ("x", "y", "key_id", "recognized", "timestamp")
    return dataclasses.replace(
        parts[0],
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in joined},
        stroke_end=np.concatenate([part.stroke_end + start for part, start in zip(parts, points, strict=False)]),
        drawing_end=np.concatenate([part.drawing_end + start for part, start in zip(parts, strokes, strict=False)]),
        word=word,
        countrycode=countrycode,
        words=words,
        countrycodes=countrycodes,
    )


def renumbered(column: Int32Array, strings: Sequence[str], to: Sequence[str]) -> Int32Array:
    """(N,) int32, indices into `strings`, -1 for null, translated into indices into `to`, -1 for strings not in it."""
    number = {string: k for k, string in enumerate(to)}
    return np.array([*(number.get(string, -1) for string in strings), -1], np.int32)[column]


def place_of(index: int, count: int) -> int:
    """The place from 0 of an index into `count` drawings; negative indices count from the end.

    Raises:
        IndexError: there is no such drawing.
    """
    place = operator.index(index)
    if not -count <= place < count:
        raise IndexError(f"drawing {place}: there are {counted(count, 'drawing')}")
    return place % count


def _merged(vocabularies: Sequence[list[str]], columns: Sequence[Int32Array]) -> tuple[list[str], Int32Array]:
    """One vocabulary for columns of indices into several, in order of appearance, and the columns joined."""
    if all(vocabulary == vocabularies[0] for vocabulary in vocabularies):
        return vocabularies[0], np.concatenate(columns)
    merged = list(dict.fromkeys(itertools.chain.from_iterable(vocabularies)))
    parts = zip(columns, vocabularies, strict=True)
    return merged, np.concatenate([renumbered(column, vocabulary, merged) for column, vocabulary in parts])


def from_strokes(drawings: Sequence[Sequence[Sequence[Sequence[int]]]], words: Sequence[str]) -> Drawings:
    """Drawings from nested lists, as the lines of Google's simplified files hold them; for small inputs.

    Args:
        drawings: for each drawing its strokes, each a list of x and a list of y of the same length, 0-255.
        words: the word of each drawing; any text if it is unknown.

    >>> from_strokes([[[[0, 255], [10, 20]]]], ["line"]).x
    array([  0, 255], dtype=uint8)

    Raises:
        UsageError: a stroke is not two lists of the same length, or a value is not a whole number from 0 to 255.
    """
    strokes = [stroke for drawing in drawings for stroke in drawing]
    for stroke in strokes:
        if len(stroke) != 2 or len(stroke[0]) != len(stroke[1]):
            raise UsageError(f"expected strokes of a list of x and a list of y of the same length, found {stroke}")
        values = np.asarray(stroke, np.float64)
        if not ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():
            raise UsageError(
                f"expected whole numbers from 0 to 255, found {stroke}; `pipeline.sources.raw.simplify` scales any"
            )
    vocabulary = sorted(set(words))
    count = len(drawings)
    return Drawings(
        x=np.array([value for stroke in strokes for value in stroke[0]], np.uint8),
        y=np.array([value for stroke in strokes for value in stroke[1]], np.uint8),
        stroke_end=np.cumsum([len(stroke[0]) for stroke in strokes], dtype=np.int64),
        drawing_end=np.cumsum([len(drawing) for drawing in drawings], dtype=np.int64),
        key_id=np.arange(1, count + 1, dtype=np.uint64) << np.uint64(21),
        word=np.array([vocabulary.index(word) for word in words], np.int32),
        recognized=np.full(count, -1, np.int8),
        countrycode=np.full(count, -1, np.int32),
        timestamp=np.full(count, "NaT", "datetime64[us]"),
        words=vocabulary,
    )


def content_hash(drawings: Drawings, salts: UInt64Array | None = None) -> UInt64Array:
    """(N,) uint64, a hash of each drawing's word and strokes: two 32-bit FNV-1a hashes of the points, then `mix64`.

    It is the key_id of a drawing whose source has none. A caller that hashes drawings of the same vocabulary again and
    again makes its `salts`, by `word_salts`, once.
    """
    salts = word_salts(drawings.words) if salts is None else salts
    hashes = salts[drawings.word] if len(drawings) else np.empty(0, np.uint64)
    _hash_strokes(drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end, hashes)
    return mix64(hashes)


def word_salts(words: Sequence[str]) -> UInt64Array:
    """(W,) uint64, what `content_hash` begins with for a drawing of each word."""
    return np.array([salted("word", *word.encode()) for word in words], np.uint64)


@kernel
def taken_sizes(stroke_end: Int64Array, drawing_end: Int64Array, rows: Int64Array) -> tuple[int, int]:
    """The number of strokes and of points in the drawings at `rows`."""
    strokes = 0
    points = 0
    for row in rows:
        first = drawing_end[row - 1] if row > 0 else 0
        last = drawing_end[row]
        if last > first:
            strokes += last - first
            points += stroke_end[last - 1] - (stroke_end[first - 1] if first > 0 else 0)
    return strokes, points


@kernel
def take_strokes(
    x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, rows: Int64Array,
    out_x: UInt8Array, out_y: UInt8Array, out_stroke_end: Int64Array, out_drawing_end: Int64Array,
) -> None:  # fmt: skip
    """Copy the strokes of the drawings at `rows` into the four output arrays, sized by `taken_sizes`."""
    stroke = 0
    point = 0
    for place in range(len(rows)):
        row = rows[place]
        first = drawing_end[row - 1] if row > 0 else 0
        start = stroke_end[first - 1] if first > 0 else 0
        shift = point - start
        for s in range(first, drawing_end[row]):
            end = stroke_end[s]
            out_stroke_end[stroke] = end + shift
            stroke += 1
        stop = stroke_end[drawing_end[row] - 1] if drawing_end[row] > 0 else 0
        for p in range(start, stop):
            out_x[point] = x[p]
            out_y[point] = y[p]
            point += 1
        out_drawing_end[place] = stroke


@kernel
def _hash_strokes(
    x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array, hashes: UInt64Array
) -> None:
    """Fold each drawing's strokes into `hashes`, in place, as 32-bit halves: no product overflows without JIT."""
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
