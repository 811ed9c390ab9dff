"""The spill: accepted drawings between the two passes, on disk, by fine ranges of their place in the final order.

Partition p holds the drawings of split p // RANGES whose hash lies in part p % RANGES of all hashes, so that pass 2
takes partitions one by one and needs memory for a few of them, however large the build.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.drawings import Drawings, Int64Array, concat, from_strokes
from pipeline.shards.shuffle import SPLITS

RANGES = 256
PARTITIONS = RANGES * len(SPLITS)
FLUSH_POINTS = 16 << 20  # about 50 MB of drawings are gathered before they are sorted by partition and written

_POINT = ("x", "y")
_DRAWING = ("key_id", "word", "recognized", "countrycode", "timestamp", "source")
_COLUMNS: dict[str, np.dtype[Any]] = {
    "x": np.dtype(np.uint8),
    "y": np.dtype(np.uint8),
    "points_of_stroke": np.dtype(np.uint16),
    "strokes_of_drawing": np.dtype(np.uint16),
    "key_id": np.dtype(np.uint64),
    "word": np.dtype(np.int32),
    "recognized": np.dtype(np.int8),
    "countrycode": np.dtype(np.int32),
    "timestamp": np.dtype("datetime64[us]"),
    "source": np.dtype(np.int32),
}


@dataclasses.dataclass(frozen=True)
class Spilled:
    """Drawings and the number of the source of each, (N,) int32."""

    drawings: Drawings
    source: NDArray[np.int32]

    def take(self, rows: Int64Array) -> "Spilled":
        """Those at `rows`, in that order."""
        return Spilled(self.drawings.take(rows), self.source[rows])


@dataclasses.dataclass(frozen=True)
class _Flush:
    """Where one flush lies: the file offset of each column, and the partitions' ends in drawings, strokes, points."""

    offsets: dict[str, int]
    ends: dict[str, Int64Array]


class Spill:
    """A file of flushes, written in pass 1 by one thread and read in pass 2 by many."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._flushes: list[_Flush] = []
        self._gathered: list[tuple[Spilled, Int64Array]] = []
        self._points = 0
        self.rows = np.zeros(PARTITIONS, np.int64)
        self.like = from_strokes([], [])

    def add(self, drawings: Drawings, source: int, partition: Int64Array) -> None:
        """Append drawings of one source, each into its `partition`, (N,) int64."""
        self._gathered.append((Spilled(drawings, np.full(len(drawings), source, np.int32)), partition))
        self._points += len(drawings.x)
        if self._points >= FLUSH_POINTS:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if not self._gathered:
            return
        drawings = concat([spilled.drawings for spilled, _ in self._gathered])
        source = np.concatenate([spilled.source for spilled, _ in self._gathered])
        partition = np.concatenate([part for _, part in self._gathered])
        self._gathered, self._points = [], 0
        ordered = Spilled(drawings, source).take(np.argsort(partition, kind="stable"))
        counts = np.bincount(partition, minlength=PARTITIONS)
        self.rows += counts
        self._flushes.append(self._write(ordered, np.cumsum(counts)))

    def finish(self, words: list[str], classes: list[str], countrycodes: list[str]) -> None:
        """End pass 1: from here on, `read` gives `word` as a label of `classes`, and countrycodes in UTF-8 order.

        `words` and `countrycodes` are the vocabularies that the drawings came with.
        """
        self.flush()
        label = {word: k for k, word in enumerate(classes)}
        self._labels = np.array([label.get(word, -1) for word in words], np.int32)
        codes = sorted(countrycodes)
        self._codes = np.array([*(codes.index(code) for code in countrycodes), -1], np.int32)
        self.like = dataclasses.replace(self.like, words=classes, countrycodes=codes)

    def read(self, partition: int) -> Spilled:
        """All drawings of a partition, in the order they were added."""
        parts = [self._read(flush, partition) for flush in self._flushes]
        return Spilled(concat([part.drawings for part in parts]), np.concatenate([part.source for part in parts]))

    def close(self) -> None:
        """Close the file; its folder is removed by the build."""
        self._file.close()

    def _write(self, spilled: Spilled, drawing_ends: Int64Array) -> _Flush:
        drawings = spilled.drawings
        strokes = np.concatenate([[0], drawings.drawing_end])[drawing_ends]
        points = np.concatenate([[0], drawings.stroke_end])[strokes]
        arrays = {name: getattr(drawings, name) for name in (*_POINT, *_DRAWING[:-1])}
        arrays["source"] = spilled.source
        arrays["points_of_stroke"] = np.diff(drawings.stroke_end, prepend=0)
        arrays["strokes_of_drawing"] = np.diff(drawings.drawing_end, prepend=0)
        offsets = {}
        for name, dtype in _COLUMNS.items():
            offsets[name] = self._file.tell()
            view = np.ascontiguousarray(arrays[name], dtype).view(np.uint8).data
            while len(view):
                view = view[self._file.write(view) :]
        ends = {"drawing": drawing_ends, "stroke": strokes, "point": points}
        return _Flush(offsets, ends)

    def _read(self, flush: _Flush, partition: int) -> Spilled:
        columns: dict[str, NDArray[Any]] = {}
        for name, dtype in _COLUMNS.items():
            axis = "point" if name in _POINT else "stroke" if name == "points_of_stroke" else "drawing"
            end = int(flush.ends[axis][partition])
            start = int(flush.ends[axis][partition - 1]) if partition > 0 else 0
            columns[name] = self._read_column(flush.offsets[name] + start * dtype.itemsize, end - start, dtype)
        source = columns.pop("source")
        stroke_end = np.cumsum(columns.pop("points_of_stroke"), dtype=np.int64)
        drawing_end = np.cumsum(columns.pop("strokes_of_drawing"), dtype=np.int64)
        columns["word"] = self._labels[columns["word"]]
        columns["countrycode"] = self._codes[columns["countrycode"]]
        columns |= {"stroke_end": stroke_end, "drawing_end": drawing_end}
        return Spilled(Drawings(**columns, words=self.like.words, countrycodes=self.like.countrycodes), source)

    def _read_column(self, offset: int, count: int, dtype: np.dtype[np.generic]) -> NDArray[Any]:
        out = np.empty(count, dtype)
        if count:
            view, place = out.view(np.uint8).data, 0
            while place < len(view):
                # Not preadv, which macOS has not had for long.
                got = os.pread(self._file.fileno(), len(view) - place, offset + place)
                if not got:
                    raise OSError("the spill file ends early")
                view[place : place + len(got)] = got
                place += len(got)
        return out
