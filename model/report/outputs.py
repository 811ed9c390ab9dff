"""Collects a network's predictions for the drawings of a split, 37 bytes for each."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.scoring.evaluate import Predictions
from model.scoring.metrics import ranks
from pipeline.arrays import Int64Array
from pipeline.shards.read import ShardSplit


@dataclass(frozen=True)
class Outputs:
    """The predictions for N drawings, in the order of their rows.

    Attributes:
        splits: the splits that the drawings are from.
        part: (N,) uint8, the index in `splits` of each drawing's split.
        row: (N,) int64, the drawing's row in that split.
        label: (N,) uint16, the true label, as the run numbers its classes.
        best: (N,) uint16, the most probable label, which is the predicted one.
        second: (N,) uint16, the second most probable label.
        confidence: (N,) float32, the probability of the best label.
        of_second: (N,) float32, the probability of the second label.
        of_true: (N,) float32, the probability of the true label.
        plain: (N,) float32, the confidence at temperature 1.
        rank: (N,) uint16, the number of labels that are more probable than the true one.
        strokes: (N,) uint16, the number of strokes.
    """

    splits: tuple[ShardSplit, ...]
    part: NDArray[np.uint8]
    row: Int64Array
    label: NDArray[np.uint16]
    best: NDArray[np.uint16]
    second: NDArray[np.uint16]
    confidence: NDArray[np.float32]
    of_second: NDArray[np.float32]
    of_true: NDArray[np.float32]
    plain: NDArray[np.float32]
    rank: NDArray[np.uint16]
    strokes: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,) bool, whether the predicted label is the true one."""
        return self.rank == 0


@dataclass
class Collector:
    """Keeps the predictions that `evaluate_run` calls its `visit` with, for a report."""

    _splits: list[ShardSplit] = field(default_factory=list)
    _columns: dict[str, list[NDArray[Any]]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, split: ShardSplit, found: Predictions) -> None:
        """Take note of what the network makes of some drawings."""
        if not self._splits or self._splits[-1] is not split:
            self._splits.append(split)
        every = np.arange(len(found.labels))
        ranked, probabilities = found.ranked, found.probabilities
        best = ranked.argmax(axis=1)
        others = ranked.copy()
        others[every, best] = -np.inf
        second = others.argmax(axis=1)
        plain = probabilities if found.temperature == 1 else found.probabilities_at(1.0)
        columns: dict[str, NDArray[Any]] = {
            "part": np.full(len(every), len(self._splits) - 1, np.uint8),
            "row": found.rows,
            "label": found.labels.astype(np.uint16),
            "best": best.astype(np.uint16),
            "second": second.astype(np.uint16),
            "confidence": probabilities[every, best],
            "of_second": probabilities[every, second],
            "of_true": probabilities[every, found.labels],
            "plain": plain[every, best],
            "rank": ranks(ranked, found.labels).astype(np.uint16),
        }
        for name, column in columns.items():
            self._columns[name].append(column)

    def outputs(self) -> Outputs:
        """The predictions for all the drawings that were evaluated, one or more.

        Raises:
            ShardError: the shards, which are read to count strokes, are damaged.
        """
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        order = np.lexsort((columns["row"], columns["part"]))
        columns = {name: column[order] for name, column in columns.items()}
        strokes = np.empty(len(order), np.uint16)
        for part, split in enumerate(self._splits):
            mine = columns["part"] == part
            strokes[mine] = _strokes_of(split)[columns["row"][mine]]
        return Outputs(splits=tuple(self._splits), strokes=strokes, **columns)


def _strokes_of(split: ShardSplit) -> NDArray[np.uint16]:
    """(N,) uint16, the number of strokes of each drawing of a split."""
    counts = [np.diff(split.read_packed(group).first_stroke) for group in range(len(split.row_groups))]
    return np.concatenate(counts).astype(np.uint16)
