"""Decides which drawings a build takes: filters, then skips, then takes, in the order of the sources."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array
from pipeline.jit import kernel


@dataclass
class Vocabulary:
    """Strings numbered in order of appearance, at most `most` of them; None sets no limit."""

    strings: list[str] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    most: int | None = None

    def number(self, string: str) -> int:
        """The number of `string`; a new string gets the next number."""
        if string not in self.ids:
            self.ids[string] = len(self.strings)
            self.strings.append(string)
        return self.ids[string]

    def numbers(
        self, strings: list[str], column: NDArray[np.int32], keep: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int32]:
        """Translate a column of indices into `strings`, -1 for null, into numbers of this vocabulary.

        Only strings that occur in the column, in rows that `keep` marks, get numbers; the others become -1, and so do
        new strings when there are `most`.
        """
        counted = np.bincount((column if keep is None else column[keep]) + 1, minlength=len(strings) + 1)
        table = np.full(len(strings) + 1, -1, np.int32)
        for k in np.flatnonzero(counted[1:]).tolist():
            if len(self.strings) != self.most or strings[k] in self.ids:
                table[k] = self.number(strings[k])
        return table[column]


@dataclass
class Admission:
    """Decides which drawings to take, and counts them class by class.

    Attributes:
        classes: the selected classes; None selects every word.
        skip: how many drawings of each class to skip.
        take: how many of each class to take after those; None takes all.
        recognized_only: whether to take only drawings that Google's network recognized.
        words: the build's vocabulary of W words.
        passed: (W,) int64, how many drawings passed the filters so far, including those skipped or beyond `take`.
        accepted: (W,) int64, how many drawings were taken so far.
    """

    classes: frozenset[str] | None
    skip: int
    take: int | None
    recognized_only: bool
    words: Vocabulary
    passed: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    accepted: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    _selected: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def admit(
        self,
        word: NDArray[np.int32],
        recognized: NDArray[np.int8],
        declared: int | None,
        left_out: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.bool_], int]:
        """Decide on the next drawings of one source.

        Args:
            word: (N,) int32, numbers of `words`.
            recognized: (N,) int8.
            declared: the number of the only word that the source has held so far, if its name declares that; or None.
            left_out: (N,) bool, which drawings must not be taken; None if all may be.

        Returns:
            (N,) bool, which drawings to keep, and how many were read: fewer than N if reading can stop, because
            `declared` is not selected or enough drawings of it are taken.
        """
        self._grow()
        keep = np.zeros(len(word), np.bool_)
        left_out = np.zeros(len(word), np.bool_) if left_out is None else left_out
        take = np.iinfo(np.int64).max - self.skip if self.take is None else self.take
        read = _admit(
            word, recognized, left_out, -1 if declared is None else declared, self._selected, self.recognized_only,
            self.skip, take, self.passed, self.accepted, keep,
        )  # fmt: skip
        return keep, int(read)

    def is_enough(self, declared: int | None) -> bool:
        """Whether no more drawings are needed from a source that holds only the word with the number `declared`."""
        if declared is None:
            return False
        self._grow()
        return not self._selected[declared] or (
            self.take is not None and bool(self.passed[declared] >= self.skip + self.take)
        )

    def load(self, passed: list[int], accepted: list[int]) -> None:
        """Continue from the counts of an earlier process."""
        self.passed, self.accepted = np.array(passed, np.int64), np.array(accepted, np.int64)

    def _grow(self) -> None:
        """Extend the arrays for new words."""
        new = self.words.strings[len(self._selected) :]
        if new:
            selected = np.array([self.classes is None or word in self.classes for word in new], np.bool_)
            self._selected = np.concatenate([self._selected, selected])
        grown = len(self.words.strings) - len(self.passed)
        if grown:
            self.passed, self.accepted = np.pad(self.passed, (0, grown)), np.pad(self.accepted, (0, grown))


@kernel
def _admit(
    word: NDArray[np.int32], recognized: NDArray[np.int8], left_out: NDArray[np.bool_], declared: int,
    selected: NDArray[np.bool_], recognized_only: bool, skip: int, take: int, passed: Int64Array, accepted: Int64Array,
    keep: NDArray[np.bool_],
) -> int:  # fmt: skip
    """Fill `keep`, and add to `passed` and `accepted`; returns how many drawings were read."""
    for row in range(len(word)):
        w = word[row]
        if w != declared:
            declared = -1
        if selected[w] and not left_out[row] and (not recognized_only or recognized[row] == 1):
            keep[row] = skip <= passed[w] < skip + take
            passed[w] += 1
            accepted[w] += keep[row]
        if declared >= 0 and (not selected[declared] or passed[declared] >= skip + take):
            return row + 1
    return len(word)
