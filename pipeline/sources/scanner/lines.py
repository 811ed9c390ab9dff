"""The strict scanner of Quick, Draw! ndjson: parses every line of a chunk in one pass over its bytes."""

import numpy as np
from numpy import int64, uint64

from pipeline.arrays import Int64Array, UInt8Array, UInt64Array
from pipeline.jit import inlined_kernel, inner_kernel, kernel
from pipeline.sources.limits import MAX_COUNTRYCODE_BYTES, MAX_LINE_BYTES, MAX_WORD_BYTES
from pipeline.sources.scanner.columns import (
    COUNTRY_END,
    COUNTRY_START,
    END,
    LINE,
    NO_KEY,
    NUMBER_KEY,
    ROW_KEY,
    ROW_NOTES,
    ROW_RECOGNIZED,
    ROW_TIMESTAMP,
    START,
    WORD_END,
    WORD_START,
)
from pipeline.sources.scanner.faults import (
    DRAWING,
    EMPTY_WORD,
    KEY_ID,
    LONG_COUNTRYCODE,
    LONG_WORD,
    MISSING,
    NOT_OBJECT,
    OTHER_FORM,
    RECOGNIZED,
    TIMESTAMP,
    TOO_LONG,
    TWICE,
    UNKNOWN,
    WORD,
)
from pipeline.sources.scanner.fields import (
    NAME_BYTES,
    NO_TIMESTAMP,
    field_of,
    is_longer,
    plain_name,
    scan_key_id,
    scan_plain_timestamp,
)
from pipeline.sources.scanner.json_values import (
    CLOSE_OBJECT,
    COMMA,
    NEWLINE,
    OPEN_OBJECT,
    QUOTE,
    fail,
    fail_at,
    fail_type,
    scan_key,
    scan_literal,
    scan_scalar,
    scan_string,
    skip_space,
    skip_value,
)
from pipeline.sources.scanner.metadata import scan_other_value
from pipeline.sources.scanner.other_strokes import scan_other_drawing
from pipeline.sources.scanner.raw_strokes import Scratch
from pipeline.sources.scanner.shapes import has_other_shape, points_of_each
from pipeline.sources.scanner.strokes import scan_drawing

# The bytes of the shortest valid line: {"drawing":[[[0],[0]]]} and its newline.
MIN_LINE_BYTES = 25


@inner_kernel
def scan_field(
    buf: UInt8Array, i: int, start: int, name: int, rows: Int64Array, key_ids: UInt64Array, row: int, fault: Int64Array
) -> int:
    """Read the value of a known field other than `word` and `drawing`, as Google writes it or null, into `row`.

    A legal value in another form is OTHER_FORM.
    """
    c = buf[uint64(i)]
    if name == KEY_ID:
        j = scan_key_id(buf, i, key_ids, row)
        if j >= 0:
            rows[ROW_KEY, row] = NUMBER_KEY
            return j
    elif name == TIMESTAMP:
        if c == QUOTE:
            j = scan_plain_timestamp(buf, i, rows[ROW_TIMESTAMP], row)
            if j >= 0:
                return j
    elif name == RECOGNIZED:
        if c in (116, 102):  # t, f
            j = scan_literal(buf, i)
            if j >= 0:
                rows[ROW_RECOGNIZED, row] = c == 116
                return j
    elif c == QUOTE:
        j = scan_string(buf, i, start, fault)
        if j >= 0 and is_longer(buf, i + 1, j - 1, MAX_COUNTRYCODE_BYTES):
            rows[ROW_NOTES, row] |= LONG_COUNTRYCODE
        elif j >= 0:
            rows[COUNTRY_START, row] = i + 1
            rows[COUNTRY_END, row] = j - 1
        return j
    if c == 110:  # n
        return scan_scalar(buf, i, start, fault)
    return -1 if skip_value(buf, i, start, fault) < 0 else fail(fault, OTHER_FORM)


@inner_kernel
def scan_word(
    buf: UInt8Array, i: int, start: int, needs_word: bool, rows: Int64Array, row: int, fault: Int64Array
) -> int:
    """Read the word into `row`; null and an empty string are words of no letters, unless `needs_word`."""
    if buf[uint64(i)] == 110 and not needs_word:
        rows[WORD_START, row] = i
        rows[WORD_END, row] = i
        return scan_scalar(buf, i, start, fault)
    if buf[uint64(i)] != QUOTE:
        return fail_type(buf, i, WORD, fault)
    j = scan_string(buf, i, start, fault)
    if j == i + 2 and needs_word:
        return fail(fault, EMPTY_WORD)
    if j >= 0 and is_longer(buf, i + 1, j - 1, MAX_WORD_BYTES):
        return fail(fault, LONG_WORD, MAX_WORD_BYTES)
    rows[WORD_START, row] = i + 1
    rows[WORD_END, row] = j - 1
    return j


@inlined_kernel
def scan_line(
    buf: UInt8Array, i: int, needs_word: bool, row: int, rows: Int64Array, key_ids: UInt64Array, x: UInt8Array,
    y: UInt8Array, stroke_end: Int64Array, size: Int64Array, fault: Int64Array, raw: Scratch | None,
) -> int:  # fmt: skip
    """Read the line at `i` into `row` of `rows` and `key_ids`, and its strokes into the arrays after them.

    Without `raw` a line that is not as Google's simplified ones may be OTHER_FORM.

    Returns the position after the line, or -1 with the error in `fault`.
    """
    start = i
    rows[COUNTRY_START, row] = -1
    rows[ROW_RECOGNIZED, row] = -1
    rows[ROW_TIMESTAMP, row] = NO_TIMESTAMP
    rows[ROW_KEY, row] = NO_KEY
    rows[ROW_NOTES, row] = 0
    key_ids[row] = 0
    i = skip_space(buf, i)
    if buf[i] != OPEN_OBJECT:
        return fail(fault, NOT_OBJECT, int64(buf[i]))
    i = skip_space(buf, i + 1)
    if buf[i] == CLOSE_OBJECT:
        return fail(fault, MISSING, WORD if needs_word else DRAWING)
    seen = 0
    guess = WORD
    while True:
        name = plain_name(buf, i, guess)
        if name != UNKNOWN:
            i = skip_space(buf, i + NAME_BYTES[name])
        else:
            quote = i
            i = scan_key(buf, i, start, fault)
            if i < 0:
                return -1
            name = field_of(buf, quote)
        if name == UNKNOWN:
            i = skip_value(buf, i, start, fault)
        else:
            if seen & (1 << name):
                return fail(fault, TWICE, name)
            seen |= 1 << name
            guess = name + 1 if name < DRAWING else WORD
            if name == DRAWING:
                quoted = buf[uint64(i)] == QUOTE  # a string of JSON, as in Kaggle's files
                stroke, point, drawing = size[0], size[1], skip_space(buf, i + 1) if quoted else i
                i = scan_drawing(buf, drawing, start, x, y, stroke_end, size, fault)
                if i < 0:
                    if raw is not None:
                        i = scan_other_drawing(
                            buf, drawing, start, x, y, stroke_end, size, fault, raw, rows[ROW_NOTES, row : row + 1]
                        )
                    elif has_other_shape(buf, drawing, fault):
                        fail(fault, OTHER_FORM)
                elif stroke_end[uint64(stroke)] - point < 4:
                    rows[ROW_NOTES, row] |= points_of_each(stroke_end, stroke, size[0], point)
                if quoted and i >= 0:
                    i = skip_space(buf, i)
                    if buf[i] != QUOTE:
                        return fail_at(buf, i, start, QUOTE, fault)
                    i += 1
            elif name == WORD:
                i = scan_word(buf, i, start, needs_word, rows, row, fault)
            else:
                value = i
                i = scan_field(buf, value, start, name, rows, key_ids, row, fault)
                if raw is not None and i < 0 and fault[0] == OTHER_FORM:
                    fault[0] = 0
                    i = scan_other_value(buf, value, start, name, rows, key_ids, row, fault)
        if i < 0:
            return -1
        i = skip_space(buf, i)
        if buf[uint64(i)] == CLOSE_OBJECT:
            break
        if buf[uint64(i)] != COMMA:
            return fail_at(buf, i, start, COMMA, fault)
        i = skip_space(buf, i + 1)
    i = skip_space(buf, i + 1)
    if buf[i] != NEWLINE:
        return fail_at(buf, i, start, NEWLINE, fault)
    if not seen & (1 << WORD):
        if needs_word:
            return fail(fault, MISSING, WORD)
        rows[WORD_START, row] = start
        rows[WORD_END, row] = start
    if not seen & (1 << DRAWING):
        return fail(fault, MISSING, DRAWING)
    return i + 1


@inner_kernel
def end_of_line(buf: UInt8Array, i: int) -> int:
    """The position after the line that contains `i`."""
    while buf[i] != NEWLINE:
        i += 1
    return i + 1


@kernel
def scan_lines(
    buf: UInt8Array, needs_word: bool, x: UInt8Array, y: UInt8Array, stroke_end: Int64Array, drawing_end: Int64Array,
    rows: Int64Array, key_ids: UInt64Array, rejects: Int64Array, place: Int64Array, raw: Scratch | None,
) -> int:  # fmt: skip
    """Read the lines of `buf` into the other arrays, until `buf` ends or `rejects` is full; returns how many rejects.

    `place`, (5,), says where to begin and is updated in place: a position in `buf`, and the numbers of lines, drawings,
    strokes and points before it. `rows`, (ROW_COLUMNS, R), and `key_ids`, (R,), have one row more than there can be
    drawings, because a row is filled before it is known whether its line is valid. `rejects`, (K, 6), receives the
    line, the start and the error of each rejected line. Blank lines are skipped. Without `needs_word` a line's word may
    be missing, null or empty.

    `raw` is scratch for drawings whose points are not taken as they are. Without it the kernel stops before the first
    line in another form than Google's simplified one, and takes a third of the time to compile: numba compiles it with
    `raw` only when it is called with it, so that files without such a line never wait for the rest.
    """
    fault = np.zeros(4, np.int64)
    size = np.zeros(3, np.int64)
    i = place[0]
    line = place[1]
    drawings = place[2]
    size[0] = place[3]
    size[1] = place[4]
    rejected = int64(0)
    while i < len(buf) and rejected < len(rejects):
        start = i
        strokes = size[0]
        points = size[1]
        fault[0] = 0
        blank = buf[skip_space(buf, i)] == NEWLINE
        if not blank:
            i = scan_line(buf, i, needs_word, drawings, rows, key_ids, x, y, stroke_end, size, fault, raw)
        if fault[0] == OTHER_FORM:
            size[0], size[1], i = strokes, points, start
            break
        if blank or i < 0:
            i = end_of_line(buf, start)
        if i - start > MAX_LINE_BYTES + 1:
            fail(fault, TOO_LONG, MAX_LINE_BYTES)
        if fault[0] != 0:
            size[0] = strokes
            size[1] = points
            rejects[rejected, 0] = line
            rejects[rejected, 1] = start
            for k in range(4):
                rejects[rejected, 2 + k] = fault[k]
            rejected += 1
        elif not blank:
            rows[LINE, drawings] = line
            rows[START, drawings] = start
            rows[END, drawings] = i
            drawing_end[drawings] = size[0]
            drawings += 1
        line += 1
    place[0] = i
    place[1] = line
    place[2] = drawings
    place[3] = size[0]
    place[4] = size[1]
    return rejected
