"""Turns a JSON array of drawings, or drawings of several lines each, into ndjson: one line a drawing.

A line begins with the same number as in the file, because newlines between drawings stay, and those inside a drawing
become spaces and follow it as blank lines. Only drawings that share a line become a line each. The kernel knows nothing
of drawings: an element of the array becomes a line whatever it is, and the scanner decides about it. It finds the next
element after a broken one by what JSON forbids: a newline in a string, a bracket that closes another kind of bracket,
and an object where none may begin. In addition, an object that begins a line and is not indented more than the element
before it is the next element.
"""

import re
from collections.abc import Iterator

import numpy as np

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.jit import kernel
from pipeline.sources.compressed import BrokenStreamError

SEQUENCE, WRAPPED = 0, 1  # objects and arrays of objects; or an object with arrays of objects under its keys
_BOM = b"\xef\xbb\xbf"
_STRING = rb'"(?:[^"\\\n]|\\.)*"'
_ARRAY = re.compile(rb"\s*\[\s*(?:\{|\]|$)")
_MANY_LINES = re.compile(rb'\s*\{(?:[^\n]*[\[{,:])?[ \t\r]*\n(?:\s+[^{\s]|")')
_UNDER_KEY = re.compile(
    rb"\s*\{\s*(?:" + _STRING + rb"\s*:\s*(?:" + _STRING + rb"|[-+.\w]+)\s*,\s*)*(" + _STRING + rb")\s*:\s*\[\s*\{"
)
_DRAWING = re.compile(rb'(?:[^{}"]|' + _STRING + rb')*?"drawing"\s*:')
_DEPTH, _OPEN, _STRING_IN, _ESCAPED, _BASE, _OWED, _USED, _LAST, _INDENT, _MODE, _COLUMN, _BEGAN = range(12)
_STATE = 12
_NONE = -1  # `_BASE` between elements


def json_mode(begin: bytes) -> int | None:
    """How a file with this beginning is to be converted: `SEQUENCE` or `WRAPPED`; None if it holds no such JSON.

    >>> json_mode(b'[{"word": "cat"'), json_mode(b'{"drawings": [{"drawing": 1'), json_mode(b'{"word": "cat", ')
    (0, 1, None)
    """
    begin = begin.removeprefix(_BOM)
    under_key = _UNDER_KEY.match(begin)
    if under_key and under_key[1] != b'"drawing"' and _DRAWING.match(begin, under_key.end()):
        return WRAPPED
    return SEQUENCE if _ARRAY.match(begin) or _MANY_LINES.match(begin) else None


def json_lines(pieces: Iterator[bytes], mode: int) -> Iterator[bytes]:
    """The lines of the elements of JSON text.

    Raises:
        BrokenStreamError: the text ends inside an array or an object; or whatever ends `pieces`.
    """
    state = np.zeros(_STATE, np.int64)
    state[_BASE], state[_MODE] = _NONE, mode
    offset = 0
    for piece in pieces:
        text = np.frombuffer(piece, np.uint8)
        offset += len(piece)
        lines = np.empty(2 * len(text) + int(state[_OWED]) + 1, np.uint8)
        yield lines[: to_lines(text, lines, state)].tobytes()
    if state[_STRING_IN] or state[_DEPTH]:
        raise BrokenStreamError(f"its JSON is cut short at byte {offset}")


@kernel
def to_lines(text: UInt8Array, lines: UInt8Array, state: Int64Array) -> int:
    """Convert a piece of JSON text into `lines`; returns how many bytes were written.

    `state`, (12,), holds what the next piece needs to know. Of each level of nesting, up to 63, `_OPEN` holds a bit:
    whether it is an object.
    """
    depth, opened, in_string, escaped = state[_DEPTH], state[_OPEN], state[_STRING_IN], state[_ESCAPED]
    base, owed, used, last = state[_BASE], state[_OWED], state[_USED], state[_LAST]
    indent, wrapped = state[_INDENT], state[_MODE] == WRAPPED
    line, began = -state[_COLUMN], state[_BEGAN]  # where this line begins in `text`; the column of the element
    n = 0
    for k in range(len(text)):
        byte = np.int64(text[k])
        if in_string and byte != 10:
            if escaped:
                escaped = 0
            elif byte == 92:
                escaped = 1
            elif byte == 34:
                in_string = 0
            lines[n] = byte if base >= 0 else 32
            n += 1
            continue
        if byte == 10:
            line = k + 1
        ends = False  # whether the element ends before this byte
        if byte == 10:
            if base < 0 or in_string or depth == base:
                ends = base >= 0
                if ends:
                    depth = base
                in_string = escaped = 0
            else:
                owed += 1
                if not indent:
                    lines[n] = 32
                    n += 1
                indent = 1
                continue
        elif byte == 32 or byte == 9 or byte == 13:
            if base < 0 or not indent:
                lines[n] = 32
                n += 1
            continue
        elif base >= 0:
            inside = depth > base
            is_object = (opened >> min(depth, 63)) & 1
            is_next = owed > 0 and indent and k - line <= began
            indent = 0
            if byte == 123 and (is_next or (last != 58 if is_object else last != 91 and last != 44)):
                ends = True
                depth = base
            elif not inside and (byte == 44 or byte == 93 or byte == 125):
                ends = True
            elif byte == 93 or byte == 125:
                lines[n] = byte
                n += 1
                depth = depth - 1 if depth > 63 or is_object == (byte == 125) else base
                last = byte
                if depth > base:
                    continue
                base = np.int64(_NONE)
                if owed:
                    used = 0
                for _ in range(owed):
                    lines[n] = 10
                    n += 1
                owed = 0
                continue
        if ends:
            base = np.int64(_NONE)
            if owed:
                used = 0
            for _ in range(owed):
                lines[n] = 10
                n += 1
            owed = 0
        if base < 0:
            if byte == 10:
                lines[n] = 10
                n += 1
                used = 0
                continue
            in_array = depth > 0 and not (opened >> min(depth, 63)) & 1
            closes = depth > 0 and (byte == 93 or byte == 125) and ((byte == 93) == in_array)
            opens = (byte == 91 and (depth == 0 or wrapped)) or (byte == 123 and wrapped and not in_array)
            if wrapped:
                is_element = byte == 123 and in_array
            else:
                is_mark = depth == 0 and (byte == 239 or byte == 187 or byte == 191)  # of a byte order mark
                is_element = not closes and not opens and not is_mark and byte != 44
            if not is_element:
                lines[n] = 32
                n += 1
                if opens:
                    depth += 1
                    if depth < 64:
                        opened = opened & ~(1 << depth) | (np.int64(byte == 123) << depth)
                elif closes:
                    depth -= 1
                elif byte == 34:
                    in_string = 1
                continue
            if used:
                lines[n] = 10
                n += 1
            used = 1
            base = depth
            last = 0
            indent = 0
            began = k - line
        if byte == 123 or byte == 91:
            depth += 1
            if depth < 64:
                opened = opened & ~(1 << depth) | (np.int64(byte == 123) << depth)
        elif byte == 34:
            in_string = 1
        lines[n] = byte
        n += 1
        last = byte
    state[_DEPTH], state[_OPEN], state[_STRING_IN], state[_ESCAPED] = depth, opened, in_string, escaped
    state[_BASE], state[_OWED], state[_USED], state[_LAST] = base, owed, used, last
    state[_INDENT], state[_COLUMN], state[_BEGAN] = indent, len(text) - line, began
    return n
