"""Turns a JSON array of drawings, or drawings of several lines each, into ndjson: one line a drawing.

A line begins with the same number as in the file, because newlines between drawings stay, and those inside a drawing
become spaces and follow it as blank lines. Only drawings that share a line become a line each. The kernel knows nothing
of drawings: an element of the array becomes a line whatever it is, and the scanner decides about it. It finds the next
element after a broken one by what JSON forbids: a newline in a string, a bracket that closes another kind of bracket,
and an object where none may begin. A value right after a string shows that a quotation mark is missing: then the next
element is the next object after a comma. In addition, an object that begins a line and is not indented more than the
element before it is the next element.
"""

import re
from collections.abc import Iterator

import numpy as np

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel
from pipeline.sources.compressed import BrokenStreamError

SEQUENCE, WRAPPED = 0, 1  # objects and arrays of objects; or an object with arrays of objects under its keys
_BOM = b"\xef\xbb\xbf"
_STRING = rb'"(?:[^"\\\n]|\\.)*"'
_ARRAY = re.compile(rb"\s*\[\s*(?:\{|\]|$)")
_MANY_LINES = re.compile(rb'\s*\{(?:[^\n]*[\[{,:])?[ \t\r]*\n(?:\s+[^{\s]|")')
_UNDER_KEY = re.compile(
    rb"\s*\{\s*(?:" + _STRING + rb"\s*:\s*(?:" + _STRING + rb"|[-+.\w]+)\s*,\s*)*(" + _STRING + rb")\s*:\s*\[\s*\{"
)
_FIELD = re.compile(rb'(?:[^{}"]|' + _STRING + rb')*?"(?:drawing|word|key_id)"\s*:')
_DEPTH, _OPEN, _STRING_IN, _ESCAPED, _BASE, _OWED, _USED, _LAST, _INDENT, _MODE, _COLUMN, _BEGAN, _LOST = range(13)
_STATE = 13
_TAB, _NEWLINE, _RETURN, _SPACE, _QUOTE, _COMMA, _COLON, _BACKSLASH = 9, 10, 13, 32, 34, 44, 58, 92
_PLAIN = np.ones(256, np.bool_)
_PLAIN[np.frombuffer(b'[]{}"\n\r\t ', np.uint8)] = False
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_NONE = -1  # `_BASE` between elements


def json_mode(begin: bytes) -> int | None:
    """How a file with this beginning is to be converted: `SEQUENCE` or `WRAPPED`; None if it holds no such JSON.

    >>> json_mode(b'[{"word": "cat"'), json_mode(b'{"drawings": [{"drawing": 1'), json_mode(b'{"word": "cat", ')
    (0, 1, None)
    """
    begin = begin.removeprefix(_BOM)
    under_key = _UNDER_KEY.match(begin)
    if under_key and under_key[1] != b'"drawing"' and _FIELD.match(begin, under_key.end()):
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


@inner_kernel
def in_object(state: Int64Array) -> bool:
    """Whether the innermost level is an object; `_OPEN` holds a bit for each level up to 63."""
    return bool(state[_DEPTH] > 0 and (state[_OPEN] >> min(state[_DEPTH], 63)) & 1 == 1)


@inner_kernel
def open_level(byte: int, state: Int64Array) -> None:
    """Note the bracket that opens a level."""
    state[_DEPTH] += 1
    depth = state[_DEPTH]
    if depth < 64:
        state[_OPEN] = state[_OPEN] & ~(1 << depth) | (np.int64(byte == _OPEN_OBJECT) << depth)


@inner_kernel
def end_element(lines: UInt8Array, n: int, state: Int64Array) -> int:
    """Write the newlines that were inside the element after it; returns the place after them."""
    state[_BASE] = _NONE
    if state[_OWED]:
        state[_USED] = 0
    for _ in range(state[_OWED]):
        lines[n] = _NEWLINE
        n += 1
    state[_OWED] = 0
    return n


@inner_kernel
def take_newline(lines: UInt8Array, n: int, state: Int64Array) -> int:
    """Write a newline, or owe it if it is inside an element; in a string it ends the element."""
    base = state[_BASE]
    if base >= 0 and not state[_STRING_IN] and not state[_LOST] and state[_DEPTH] > base:
        state[_OWED] += 1
        if not state[_INDENT]:
            lines[n] = _SPACE
            n += 1
        state[_INDENT] = 1
        return n
    state[_STRING_IN] = state[_ESCAPED] = state[_LOST] = 0
    if base >= 0:
        state[_DEPTH] = base
        n = end_element(lines, n, state)
    state[_USED] = 0
    lines[n] = _NEWLINE
    return n + 1


@inner_kernel
def take_in_string(byte: int, state: Int64Array) -> None:
    """Note whether this byte ends the string."""
    if state[_ESCAPED]:
        state[_ESCAPED] = 0
    elif byte == _BACKSLASH:
        state[_ESCAPED] = 1
    elif byte == _QUOTE:
        state[_STRING_IN] = 0


@inner_kernel
def take_inside(byte: int, column: int, lines: UInt8Array, n: int, state: Int64Array) -> int:
    """Write a byte of an element; returns the place after it, or -1 if the element ends before this byte."""
    is_object, base, last = in_object(state), state[_BASE], state[_LAST]
    is_next = state[_OWED] > 0 and state[_INDENT] and column <= state[_BEGAN]
    state[_INDENT] = 0
    closes = byte in (_CLOSE_LIST, _CLOSE_OBJECT)
    if byte == _OPEN_OBJECT and (is_next or (last != _COLON if is_object else last != _OPEN_LIST and last != _COMMA)):
        state[_DEPTH] = base
        return -1
    if state[_DEPTH] == base and (closes or byte == _COMMA):
        return -1
    lines[n] = byte
    n += 1
    state[_LAST] = byte
    if last == _QUOTE and not closes and byte != _COMMA and byte != _COLON:
        state[_LOST] = 1
        return n
    if closes:
        state[_DEPTH] -= 1
        if state[_DEPTH] < 63 and is_object != (byte == _CLOSE_OBJECT):
            state[_DEPTH] = base
        if state[_DEPTH] == base:
            n = end_element(lines, n, state)
    elif byte in (_OPEN_OBJECT, _OPEN_LIST):
        open_level(byte, state)
    elif byte == _QUOTE:
        state[_STRING_IN] = 1
    return n


@inner_kernel
def take_between(byte: int, column: int, lines: UInt8Array, n: int, state: Int64Array) -> int:
    """Begin an element with this byte, or write a space if it is between elements; returns the place after it."""
    is_wrapped, is_object, depth = state[_MODE] == WRAPPED, in_object(state), state[_DEPTH]
    in_list = depth > 0 and not is_object
    closes = depth > 0 and byte == (_CLOSE_OBJECT if is_object else _CLOSE_LIST)
    opens = byte == _OPEN_LIST and (depth == 0 or is_wrapped)
    opens |= byte == _OPEN_OBJECT and is_wrapped and not in_list
    is_mark = depth == 0 and byte in (0xEF, 0xBB, 0xBF)  # of the order of bytes
    if opens or closes or is_mark or byte == _COMMA or (is_wrapped and not (in_list and byte == _OPEN_OBJECT)):
        if opens:
            open_level(byte, state)
        elif closes:
            state[_DEPTH] -= 1
        elif byte == _QUOTE:
            state[_STRING_IN] = 1
        lines[n] = _SPACE
        return n + 1
    if state[_USED]:
        lines[n] = _NEWLINE
        n += 1
    state[_USED], state[_BASE], state[_BEGAN], state[_LAST], state[_INDENT] = 1, depth, column, byte, 0
    if byte in (_OPEN_OBJECT, _OPEN_LIST):
        open_level(byte, state)
    elif byte == _QUOTE:
        state[_STRING_IN] = 1
    lines[n] = byte
    return n + 1


@kernel
def to_lines(text: UInt8Array, lines: UInt8Array, state: Int64Array) -> int:
    """Convert a piece of JSON text into `lines`; returns how many bytes were written.

    `state`, (13,), holds what the next piece needs to know.
    """
    n = 0
    line = -state[_COLUMN]  # where this line begins in `text`
    is_inside = False  # a list or an object of an element, and no string: there most bytes are only copied
    for k in range(len(text)):
        byte = np.int64(text[k])
        if is_inside and _PLAIN[byte] and state[_LAST] != _QUOTE:
            lines[n] = byte
            n += 1
            state[_LAST], state[_INDENT] = byte, 0
            continue
        if byte == _NEWLINE:
            line = k + 1
            n = take_newline(lines, n, state)
        elif state[_LOST] and (byte != _OPEN_OBJECT or state[_LAST] != _COMMA):
            lines[n] = byte
            n += 1
            state[_LAST] = state[_LAST] if byte <= _SPACE else byte
        elif state[_LOST]:
            state[_LOST], state[_DEPTH] = 0, state[_BASE]
            n = take_between(byte, k - line, lines, end_element(lines, n, state), state)
        elif state[_STRING_IN]:
            take_in_string(byte, state)
            lines[n] = byte if state[_BASE] >= 0 else _SPACE
            n += 1
        elif byte in (_SPACE, _TAB, _RETURN):
            if state[_BASE] < 0 or not state[_INDENT]:
                lines[n] = _SPACE
                n += 1
        else:
            after = take_inside(byte, k - line, lines, n, state) if state[_BASE] >= 0 else -1
            if after < 0:
                if state[_BASE] >= 0:
                    n = end_element(lines, n, state)
                after = take_between(byte, k - line, lines, n, state)
            n = after
        is_inside = 0 <= state[_BASE] < state[_DEPTH] and not (state[_STRING_IN] or state[_LOST])
    state[_COLUMN] = len(text) - line
    return n
