"""Why a line or a record was rejected: a short reason to count by, and a message for the user."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.sources.scanner import faults
from pipeline.wording import counted

DAMAGED = "damaged-file"  # the reason of the one reject of a compressed file's damaged end, which is no line
POINTS_OF_THREE = "points-of-three"
_TYPES = {faults.WORD: "a string", faults.DRAWING: "a list of strokes"}
_WANTED = "write each stroke as a list of x and a list of y, as in [[[0, 255], [10, 20]]]"


@dataclass(frozen=True)
class Reject:
    """A line or a record of a source that is in no shard; its attributes are the columns of `rejects.ndjson`.

    Attributes:
        file: the source's name in the manifest.
        offset: where the line begins, in bytes of the (decompressed) file.
        line: its number, from 1.
        reason: a short name, by which rejects are counted.
        message: what is wrong with the line, for the user.
    """

    file: str
    offset: int
    line: int
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def reason_and_message(code: int, a: int, b: int, c: int) -> tuple[str, str]:
    """The reason and the message of a reject, from the code and the three numbers that a kernel wrote to `fault`."""
    name, sentence = REASONS[code]
    return name, sentence(a, b, c)


def _char(code: int) -> str:
    if code == 10:
        return "the end of the line"
    if code == 34:
        return "a quotation mark"
    return f'"{chr(code)}"' if 32 <= code < 127 else f"byte 0x{code:02x}"


def _axis(axis: int) -> str:
    return "xy"[axis]


def _syntax(column: int, expected: int, found: int) -> str:
    wanted = f"expected {_char(expected)}" if expected else "expected a value"
    return f"column {column}: {wanted}, found {_char(found)}"


def _raw_axis(axis: int) -> str:
    return ("x", "y", "time")[axis]


def _not_stroke(stroke: int, axis: int, _c: int) -> str:
    if axis == 2:
        return f"stroke {stroke} is not a list"
    return f"stroke {stroke}: its {('x', 'y', '', 'times')[axis]} are not a list"


_SHAPES = {
    faults.NO_STROKE: "the drawing is a list of lists of numbers, without strokes",
    faults.NO_STROKE_TRIPLES: "the drawing is a list of three numbers a point, as in stroke-3, [dx, dy, pen]",
}


def _missing(name: int) -> str:
    if name != faults.WORD:
        return f'"{faults.FIELDS[name]}" is missing'
    return '"word" is missing: give each line the class of its drawing, as in "word": "cat"'


def _wrong_type(name: int) -> str:
    return f'"{faults.FIELDS[name]}" is not {_TYPES[name]}'


_Sentence = Callable[[int, int, int], str]
REASONS: dict[int, tuple[str, _Sentence]] = {
    faults.SYNTAX: ("syntax", _syntax),
    faults.TRUNCATED: ("truncated", lambda *_: "the line ends before its JSON is complete"),
    faults.NOT_UTF8: ("not-utf8", lambda a, b, _: f"column {a}: byte 0x{b:02x} is not UTF-8"),
    faults.CONTROL: ("control-character", lambda a, b, _: f"column {a}: control character 0x{b:02x} in a string"),
    faults.ESCAPE: ("bad-escape", lambda a, *_: f"column {a}: not a valid JSON escape"),
    faults.SURROGATE: ("lone-surrogate", lambda a, *_: f"column {a}: half of a surrogate pair"),
    faults.NUMBER: ("bad-number", lambda a, *_: f"column {a}: not a JSON number"),
    faults.DEPTH: ("too-deep", lambda a, b, _: f"column {a}: nested deeper than {b} levels"),
    faults.NOT_OBJECT: ("not-an-object", lambda a, *_: f"expected a JSON object, found {_char(a)}"),
    faults.TWICE: ("field-twice", lambda a, *_: f'"{faults.FIELDS[a]}" appears twice'),
    faults.MISSING: ("field-missing", lambda a, *_: _missing(a)),
    faults.WRONG_TYPE: ("wrong-type", lambda a, *_: _wrong_type(a)),
    faults.EMPTY_WORD: ("empty-word", lambda *_: '"word" is empty'),
    faults.LONG_WORD: ("word-too-long", lambda a, *_: f'"word" is longer than {a} bytes'),
    faults.NO_STROKES: ("no-strokes", lambda *_: "the drawing has no strokes"),
    faults.NOT_STROKE: ("not-a-stroke", _not_stroke),
    faults.LIST_COUNT: ("list-count", lambda a, b, _: f"stroke {a}: expected two lists, x and y, found {b}"),
    faults.RAW_STROKE: (
        "raw-stroke",
        lambda a, *_: f"stroke {a} has more than the two lists x and y that the strokes before it have",
    ),
    faults.NO_POINTS: ("no-points", lambda a, *_: f"stroke {a} has no points"),
    faults.LENGTHS: ("xy-lengths", lambda a, b, c: f"stroke {a} has {b} x but {counted(c, 'y value')}"),
    faults.OTHER_SHAPE: ("other-shape", lambda a, *_: f"{_SHAPES[a]}; {_WANTED}"),
    faults.THREES: (POINTS_OF_THREE, lambda *_: f"the points of the strokes are lists of three numbers; {_WANTED}"),
    faults.FIELD: (
        "field-of-point",
        lambda a, b, c: f'stroke {a}: "{_axis(b)}" {"appears twice" if c else "is missing"}',
    ),
    faults.TOO_MANY: ("too-many-points", lambda a, *_: f"the drawing has more than {a} points"),
    faults.NOT_NUMBER: (
        "not-a-number",
        lambda a, b, c: f"stroke {a}: {_raw_axis(b)} at column {c + 1} is not a number",
    ),
    faults.NOT_FINITE: (
        "not-finite",
        lambda a, b, c: f"stroke {a}: {_raw_axis(b)} at column {c + 1} is larger than any float64",
    ),
    faults.TIMES: ("time-count", lambda a, b, c: f"stroke {a} has {counted(b, 'point')} but {counted(c, 'time')}"),
    faults.RAW_LISTS: (
        "raw-list-count",
        lambda a, b, _: f"stroke {a}: expected the three lists of a raw drawing, found {'more' if b > 3 else b}",
    ),
    faults.LONG_PATH: (
        "path-too-long",
        lambda a, *_: f"the drawing's strokes are longer than {a} pixels once it is scaled to 255",
    ),
    faults.TOO_LONG: ("line-too-long", lambda a, *_: f"the line is longer than {a} bytes"),
}
