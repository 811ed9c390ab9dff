"""What is noted of drawings that are taken: fields read as null, canvas coordinates, and strokes that may be points."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import InputError
from pipeline.sources.chunks import Scanned
from pipeline.sources.limits import MAX_COUNTRYCODE_BYTES, MAX_COUNTRYCODES, MAX_KEY_ID_BYTES
from pipeline.sources.rejects import POINTS_OF_THREE, Reject
from pipeline.sources.scanner import faults
from pipeline.wording import counted

CANVAS = "canvas-coordinates"
UNSURE = "files-of-unsure-strokes"
CROWDED = f"countrycode-beyond-{MAX_COUNTRYCODES}-others"
_WHY = {
    faults.UNREADABLE: "unreadable",
    faults.EMPTY: "empty",
    faults.NOT_A_NUMBER: "NaN",
    faults.OTHER_TYPE: "of-another-type",
}
_KINDS = {  # the name of each bit that is counted, and what `--strict` says of the line
    **{
        1 << (4 * k + reason): (f"{faults.FIELDS[faults.COUNTRYCODE + k]}-{why}", message)
        for k, message in enumerate(
            (
                '"countrycode" is not a string or null',
                '"timestamp" is not like "2017-03-02 23:25:10.07453 UTC"',
                '"recognized" is not true, false or null',
                '"key_id" is not a text, a whole number below 2**64 or null',
            )
        )
        for reason, why in _WHY.items()
    },
    faults.LONG_COUNTRYCODE: ("countrycode-too-long", f'"countrycode" is longer than {MAX_COUNTRYCODE_BYTES} bytes'),
    faults.LONG_KEY_ID: ("key_id-too-long", f'"key_id" is a text longer than {MAX_KEY_ID_BYTES} bytes'),
    faults.CANVAS: (CANVAS, "a coordinate is not a whole number from 0 to 255, and the strokes have no times"),
}
_COUNTED = sum(_KINDS)
_THREES = 1 << 20  # a reject: strokes that are lists of three numbers a point
_SURE = 0  # a drawing whose strokes can be read in one way only
_ENOUGH = 10  # drawings; of fewer, all may well be straight lines


def count_notes(scanned: Scanned, read: int, into: Counter[str]) -> None:
    """Add what is noted of the first `read` drawings of a chunk, by kind."""
    notes = scanned.notes[:read] & _COUNTED
    if notes.any():
        for bit, (kind, _) in _KINDS.items():
            if number := np.count_nonzero(notes & bit):
                into[kind] += int(number)


def told(notes: Mapping[str, int]) -> list[str]:
    """Sentences that say what was noted, from the counts by kind.

    >>> told({"timestamp-unreadable": 200, "canvas-coordinates": 1})
    ['fields read as null: timestamp unreadable in 200 lines', 'simplified: 1 drawing in canvas coordinates']
    """
    fields = [
        f"{kind.replace('-', ' ')} in {counted(count, 'line')}"
        for kind, count in notes.items()
        if kind not in (CANVAS, UNSURE)
    ]
    sentences = [f"fields read as null: {', '.join(fields)}"] if fields else []
    if notes.get(CANVAS):
        sentences.append(f"simplified: {counted(notes[CANVAS], 'drawing')} in canvas coordinates")
    if notes.get(UNSURE):
        sentences.append(
            f"in {counted(notes[UNSURE], 'file')} each stroke has two points (or each three), and was read as Google "
            "writes it, a list of x and a list of y; if they are [x, y] points, the drawings are wrong: look at them "
            "with `sketchpipe render sheet`"
        )
    return sentences


def first_fault(scanned: Scanned, read: int, end: int | None, name: str, lines: int) -> str | None:
    """The first line of a chunk that `--strict` refuses, with its fault: it is rejected, or something is noted of it.

    Args:
        scanned: the chunk.
        read: how many of its drawings are read.
        end: where reading stops in the file; None if it does not.
        name: the file's name.
        lines: how many lines the file has before the chunk.
    """
    reject = next(iter(scanned.rejects(name, lines)), None)
    if reject is not None and end is not None and reject.offset >= end:
        reject = None
    noted = np.flatnonzero(scanned.notes[:read] & _COUNTED)
    if len(noted):
        line, bits = lines + int(scanned.places[noted[0]]) + 1, int(scanned.notes[noted[0]])
        if reject is None or line < reject.line:
            message = next(message for bit, (_, message) in _KINDS.items() if bits & bit)
            return f"{name}:{line}: {message}"
    return None if reject is None else str(reject)


@dataclass
class StrokeForms:
    """Where a source first has strokes that are points, and where strokes that may be points or lists of x and of y.

    A drawing in which every stroke has two points can be read in both ways, and is read as Google's. So a source that
    has such drawings and also some whose strokes can only be points is refused: the former may be misread.

    Attributes:
        first: the line of the first drawing of each kind, by its bit.
    """

    first: dict[int, int] = field(default_factory=dict)

    def is_unsure(self, drawings: int) -> bool:
        """Whether all of a file's `drawings` can be read in both ways, and there are enough to be a sign."""
        return drawings >= _ENOUGH and bool(self.first) and _SURE not in self.first

    def look(self, scanned: Scanned, read: int, name: str, lines: int) -> None:
        """Look at the first `read` drawings of the next chunk of the file called `name`, which begins after `lines`.

        Raises:
            InputError: the file has both kinds.
        """
        notes = scanned.notes[:read]
        either = faults.TWO_EACH | faults.THREE_EACH
        if read and _SURE not in self.first and not (len(notes) and (notes & either).all()):
            self.first[_SURE] = lines + 1
        for bit in (faults.TWO_EACH, faults.THREE_EACH, faults.POINTS):
            if bit not in self.first and (notes & bit).any():
                self._see(bit, lines + int(scanned.places[np.argmax(notes & bit != 0)]) + 1, name)

    def look_at_reject(self, reject: Reject) -> None:
        """Look at a reject of the file, as `look` does at drawings.

        Raises:
            InputError: as `look`.
        """
        if reject.reason == POINTS_OF_THREE and _THREES not in self.first:
            self._see(_THREES, reject.line, reject.file)

    def _see(self, bit: int, line: int, name: str) -> None:
        self.first[bit] = line
        for points, either in ((faults.POINTS, faults.TWO_EACH), (_THREES, faults.THREE_EACH)):
            if points in self.first and either in self.first:
                raise InputError(
                    f"{name}:{self.first[points]}: its strokes are lists of points, and then those of line "
                    f"{self.first[either]} may be too, which were read as lists of x and of y; write each stroke of "
                    "the file as a list of x and a list of y, in Python [list(zip(*stroke)) for stroke in drawing]"
                )
