"""Kernels that recognize the shape of a drawing, or that it is ambiguous, from its brackets or its strokes."""

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel
from pipeline.sources.scanner.faults import (
    LIST_OBJECTS,
    LISTS,
    NO_STROKE,
    NO_STROKE_TRIPLES,
    NOT_INTEGER,
    OUT_OF_RANGE,
    PAIRS,
    POINT_OBJECTS,
    THREE_EACH,
    TRIPLES,
    TWO_EACH,
)
from pipeline.sources.scanner.json_values import (
    CLOSE_LIST,
    COMMA,
    MINUS,
    NEWLINE,
    NINE,
    OPEN_LIST,
    OPEN_OBJECT,
    ZERO,
)


@kernel
def has_times(buf: UInt8Array, i: int) -> bool:
    """Whether the first stroke of the drawing at `i` has a third list; only brackets are examined."""
    depth, lists = 0, 0
    while buf[i] != NEWLINE and lists < 3:
        if buf[i] == OPEN_LIST:
            depth += 1
            lists += depth == 3
        elif buf[i] == CLOSE_LIST:
            depth -= 1
            if depth < 2:
                break
        elif depth == 0:
            break
        i += 1
    return lists == 3


@inner_kernel
def shape_of(buf: UInt8Array, i: int) -> int:
    """The shape of the drawing at `i`, which is not RAW; only brackets, commas and first bytes are examined.

    Strokes of two lists of two numbers, or of three of three, could be either lists or points. So points are recognized
    only where nothing else is possible: every list of the drawing has two numbers (or three), and some stroke has four
    lists or more, or one has two and another three.
    """
    depth, level, lists, commas = 0, 0, 0, 0  # `level` is the depth of numbers: 3, or 2 without strokes
    twos, threes = True, True
    counts = 0  # a bit for each number of lists that a stroke has, up to 4
    while True:
        c = buf[i]
        if c == OPEN_LIST:
            depth += 1
            if depth == 2:
                lists = 0
            commas = 0
        elif c == CLOSE_LIST:
            if depth == level:
                twos, threes = twos and commas == 1, threes and commas == 2
                lists += 1
            if depth == 2:
                counts |= 1 << min(lists, 4)
            depth -= 1
            if depth <= 0:
                break
        elif c == COMMA:
            commas += depth == level
        elif c == OPEN_OBJECT and level == 0:
            return LIST_OBJECTS if depth == 1 else POINT_OBJECTS if depth == 2 else LISTS
        elif (c == MINUS or ZERO <= c <= NINE) and depth in (2, 3):
            if level == 0:
                level = depth
        elif c not in (32, 9, 13, 43, 46, 69, 101):  # spaces and what else is in numbers
            return LISTS
        i += 1
    if level == 2:
        return NO_STROKE_TRIPLES if threes else NO_STROKE
    if level == 0 or not (twos or threes) or counts & 1 or not (counts & 16 or counts & 12 == 12):
        return LISTS
    return PAIRS if twos else TRIPLES


@inner_kernel
def has_other_shape(buf: UInt8Array, i: int, fault: Int64Array) -> bool:
    """Whether `scan_other_drawing` may read the drawing at `i`, which `scan_drawing` refused, or change its `fault`."""
    return has_times(buf, i) or shape_of(buf, i) != LISTS or fault[0] in (NOT_INTEGER, OUT_OF_RANGE)


@inner_kernel
def points_of_each(stroke_end: Int64Array, stroke: int, end: int, point: int) -> int:
    """TWO_EACH or THREE_EACH if all strokes from `stroke` to before `end` have two points, or three; else 0.

    `point` is where the first of them begins.
    """
    points = stroke_end[stroke] - point
    if points < 2 or points > 3:
        return 0
    for k in range(stroke, end):
        if stroke_end[k] - point != points:
            return 0
        point = stroke_end[k]
    return TWO_EACH if points == 2 else THREE_EACH
