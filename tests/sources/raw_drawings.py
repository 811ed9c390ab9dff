"""Raw drawings: shapes that try the simplification, JSON that is none and the fault it meets, and legal numbers."""

from pipeline.sources.scanner import faults
from pipeline.sources.scanner import raw_strokes as rk

SHAPES = {
    "a point": [([5], [7])],
    "a point of several equal ones": [([5, 5, 5], [7, 7, 7])],
    "a point beside a line": [([0, 90], [0, 10]), ([45], [5])],
    "a horizontal line": [([-3, 1, 8], [2.5, 2.5, 2.5])],
    "a line there and back": [([0, 100, 0], [0, 100, 0])],
    "a closed square": [([0, 10, 10, 0, 0], [0, 0, 10, 10, 0])],
    "three sides, of which one is parallel to the chord": [([0, 0, 300, 300], [0, 170, 170, 0])],
    "exactly two pixels off": [([0, 100, 255], [0, 2, 0])],
    "halves of pixels": [([0, 255], [0, 0]), ([0.5, 1.5, 2.5], [0, 255, 0])],
    "a whole number of pixels": [([0, 255, 255], [0, 0, 255])],
    "a zigzag": [(list(range(60)), [0, 7] * 30)],
    "smaller than a pixel": [([0, 1e-3, 0], [0, 1e-3, 1e-3]), ([0, 255], [0, 0])],
    "closer than floats can tell": [([0, 1e-320, 0], [0, 0, 1e-320]), ([0, 200], [0, 255])],
    "the smallest float": [([0, 5e-324, 0], [5e-324, 0, 5e-324])],
}

# Of the drawing alone: its JSON, and the fault.
MALFORMED = {
    "an object": (b"{}", (faults.WRONG_TYPE, faults.DRAWING)),
    "a number": (b"7", (faults.WRONG_TYPE, faults.DRAWING)),
    "no strokes": (b"[]", (faults.NO_STROKES,)),
    "a stroke that is a number": (b"[7]", (faults.NOT_STROKE, 1, 2)),
    "a stroke that is null": (b"[[[1],[2],[3]],null]", (faults.NOT_STROKE, 2, 2)),
    "a stroke of no lists": (b"[[]]", (faults.RAW_LISTS, 1, 0)),
    "a stroke of one list": (b"[[[1]]]", (faults.RAW_LISTS, 1, 1)),
    "a simplified stroke among raw ones": (b"[[[1],[2],[3]],[[4],[5]]]", (faults.RAW_LISTS, 2, 2)),
    "a fourth list": (b"[[[1],[2],[3],[4]]]", (faults.RAW_LISTS, 1, 4)),
    "x that is no list": (b'[["1",[2],[3]]]', (faults.NOT_STROKE, 1, 0)),
    "y that is null": (b"[[[1],null,[3]]]", (faults.NOT_STROKE, 1, 1)),
    "times that are null": (b"[[[1],[2],null]]", (faults.NOT_STROKE, 1, rk.TIMES_OF_STROKE)),
    "no points": (b"[[[],[],[]]]", (faults.NO_POINTS, 1)),
    "more x than y": (b"[[[1,2],[3],[0,0]]]", (faults.LENGTHS, 1, 2, 1)),
    "no y": (b"[[[1],[],[0]]]", (faults.LENGTHS, 1, 1, 0)),
    "fewer times than points": (b"[[[1,2],[3,4],[0]]]", (faults.TIMES, 1, 2, 1)),
    "more times than points": (b"[[[1],[2],[0,5]]]", (faults.TIMES, 1, 1, 2)),
    "null for a number": (b"[[[1,null],[2,3],[0,5]]]", (faults.NOT_NUMBER, 1, 0, 5)),
    "a string for a number": (b'[[[1],["2"],[0]]]', (faults.NOT_NUMBER, 1, 1, 7)),
    "a list for a number": (b"[[[1],[2],[[0]]]]", (faults.NOT_NUMBER, 1, 2, 11)),
    "NaN": (b"[[[NaN],[2],[0]]]", (faults.NOT_NUMBER, 1, 0, 3)),
    "minus infinity": (b"[[[-Infinity],[2],[0]]]", (faults.NUMBER, 4)),
    "a plus": (b"[[[+1],[2],[0]]]", (faults.NOT_NUMBER, 1, 0, 3)),
    "a leading zero": (b"[[[01],[2],[0]]]", (faults.NUMBER, 4)),
    "a leading zero behind a minus": (b"[[[-01.5],[2],[0]]]", (faults.NUMBER, 4)),
    "nothing before the point": (b"[[[.5],[2],[0]]]", (faults.NOT_NUMBER, 1, 0, 3)),
    "nothing behind the point": (b"[[[5.],[2],[0]]]", (faults.NUMBER, 4)),
    "no digit in the exponent": (b"[[[5e+],[2],[0]]]", (faults.NUMBER, 4)),
    "1e400": (b"[[[1e400],[2],[0]]]", (faults.NOT_FINITE, 1, 0, 3)),
    "-1e309 for a time": (b"[[[1],[2],[-1e309]]]", (faults.NOT_FINITE, 1, 2, 11)),
    "an exponent without end": (b"[[[1],[1e" + b"9" * 400 + b"],[0]]]", (faults.NOT_FINITE, 1, 1, 7)),
    "400 digits": (b"[[[1],[" + b"9" * 400 + b"],[0]]]", (faults.NOT_FINITE, 1, 1, 7)),
    "a comma too many": (b"[[[1,],[2],[0]]]", (faults.NOT_NUMBER, 1, 0, 5)),
    "a comma too few": (b"[[[1 2],[2],[0]]]", (faults.SYNTAX, 6, 44, ord("2"))),
    "no comma between lists": (b"[[[1][2],[0]]]", (faults.SYNTAX, 6, 44, ord("["))),
    "no comma between strokes": (b"[[[1],[2],[0]][[1],[2],[0]]]", (faults.SYNTAX, 15, 44, ord("["))),
    "another bracket": (b"[[[1],[2],[0]}]", (faults.SYNTAX, 14, 93, ord("}"))),
}

LEGAL_NUMBERS = ["0", "-0", "-0.0", "0e9", "1E2", "1e+2", "-12.5e-1", "1e-400", "0." + "0" * 400 + "5e401", "1e308"]
