"""Turns Kaggle's csv of drawings (Quick, Draw! Doodle Recognition) into ndjson: a line of the table becomes one line.

The header is told by its names, in any order: `drawing`, and `word` or `key_id`, with commas between them. Columns of
other names become fields that the scanner ignores. A line of the table keeps its number: the header becomes a blank
line, and a newline inside a field becomes a blank line after its drawing. A line with another number of fields than
the header, or with a stray quotation mark, becomes `{`, which the scanner rejects as incomplete. So does a last line
that does not end, because a word that was cut short may be another word.
"""

import csv
from collections.abc import Iterator

import numpy as np

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.jit import inner_kernel, kernel
from pipeline.sources.compressed import BrokenStreamError
from pipeline.sources.limits import MAX_LINE_BYTES

_BOM = b"\xef\xbb\xbf"
_DRAWING, _RECOGNIZED, _TIMESTAMP, _WORD, _TEXT = range(5)  # how a column is written
_FORMS = {"drawing": _DRAWING, "recognized": _RECOGNIZED, "timestamp": _TIMESTAMP, "word": _WORD}
_ROOM = 64  # bytes: what a value of one byte may add to a line, and more
_NEITHER, _NUMBER, _OPENS, _CLOSES = range(4)  # what a byte is in a drawing
_IN_DRAWING = np.zeros(256, np.uint8)
_IN_DRAWING[np.frombuffer(b"0123456789+-.eE, \t\r\n", np.uint8)] = _NUMBER
_IN_DRAWING[np.frombuffer(b"[]", np.uint8)] = _OPENS, _CLOSES
_ONE = np.uint64(1)
_COMMA, _QUOTE, _NEWLINE, _RETURN, _SPACE = 44, 34, 10, 13, 32


def csv_columns(begin: bytes) -> list[str] | None:
    r"""The names in the header of a table with drawings; None if the file is another.

    >>> csv_columns(b"countrycode,drawing,key_id,recognized,timestamp,word\nDE,")
    ['countrycode', 'drawing', 'key_id', 'recognized', 'timestamp', 'word']
    """
    header, newline, _ = begin.removeprefix(_BOM).partition(b"\n")
    try:
        (names,) = csv.reader([header.decode().rstrip("\r")])
    except (ValueError, csv.Error):
        return None
    names = [name.strip() for name in names]
    known = "drawing" in names and ("word" in names or "key_id" in names)
    return names if newline and known and len(set(names)) == len(names) else None


def csv_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The drawings of a table, a line each.

    Raises:
        BrokenStreamError: the last line does not end; or whatever ends `pieces`.
    """
    rest, offset = b"", 0
    table: _Table | None = None
    for piece in pieces:
        offset += len(piece)
        rest += piece
        if table is None:
            columns = csv_columns(rest)
            if columns is None:
                continue
            table, rest = _Table(columns), rest.partition(b"\n")[2]
            yield b"\n"
        lines, used = table.convert(rest)
        rest = rest[used:]
        yield lines
        if len(rest) > 2 * MAX_LINE_BYTES:
            raise BrokenStreamError(f"a line of its table is longer than {MAX_LINE_BYTES} bytes before byte {offset}")
    if rest:
        yield b"{\n"
        raise BrokenStreamError(f"the last line of its table is cut short at byte {offset}")


class _Table:
    """What is known of a table from its header: how each column begins and is written."""

    def __init__(self, columns: list[str]) -> None:
        keys = [f'{"," if k else "{"}"{_escaped(name)}":'.encode() for k, name in enumerate(columns)]
        self._keys = np.frombuffer(b"".join(keys), np.uint8)
        self._key_end = np.cumsum([len(key) for key in keys]).astype(np.int64)
        self._forms = np.array([_FORMS.get(name, _TEXT) for name in columns], np.int64)

    def convert(self, text: bytes) -> tuple[bytes, int]:
        """The lines of the whole records of `text`, and how many bytes these are."""
        parts, used = [], 0
        while True:
            rest = np.frombuffer(text, np.uint8)[used:]
            lines = np.empty(6 * len(rest) + (len(self._keys) + _ROOM) * (len(rest) // 16 + 64), np.uint8)
            place = np.zeros(2, np.int64)
            rows_to_lines(rest, lines, place, self._keys, self._key_end, self._forms)
            parts.append(lines[: place[1]].tobytes())
            used += int(place[0])
            if not place[0]:
                return b"".join(parts), used


def _escaped(name: str) -> str:
    return "".join(char if char >= " " and char not in '"\\' else "?" for char in name)


@inner_kernel
def end_of_quoted(text: UInt8Array, start: int) -> int:
    """The byte after the closing mark of the quoted field at `start`, or after `text`; -1 if the field is too long."""
    i = np.uint64(start + 1)
    count = np.uint64(min(len(text), start + MAX_LINE_BYTES))
    while i < count:
        if text[i] == _QUOTE:
            if i + _ONE < count and text[i + _ONE] != _QUOTE:
                return np.int64(i + _ONE)
            i += _ONE
        i += _ONE
    return -1 if count < len(text) else len(text)


@inner_kernel
def end_of_row(text: UInt8Array, start: int, ends: Int64Array) -> int:
    """The byte after the newline of the row at `start`; 0 if `text` ends before it, or minus that byte if it is broken.

    `ends`, (C,), receives where each field ends. A row is broken if it has not C fields, or if a quotation mark stands
    where none may: then it ends at its first newline.
    """
    i = start
    count = len(text)
    for field in range(len(ends)):
        if i < count and text[i] == _QUOTE:
            i = end_of_quoted(text, i)
            if i < 0:
                break
        else:
            while i < count and text[i] != _COMMA and text[i] != _NEWLINE and text[i] != _RETURN and text[i] != _QUOTE:
                i += 1
        ends[field] = i
        if i < count and text[i] == _RETURN:
            i += 1
        if i >= count:
            return 0
        if text[i] == _NEWLINE and field == len(ends) - 1:
            return i + 1
        if text[i] != _COMMA or i > ends[field]:  # or a return that is not before a newline
            break
        i += 1
    i = start
    while i < count and text[i] != _NEWLINE:
        i += 1
    return -(i + 1) if i < count else 0


@inner_kernel
def copy_drawing(text: UInt8Array, start: int, end: int, lines: UInt8Array, n: int) -> int:
    """Write `text[start:end]` as it is; returns the place after it, or `n` if it is not one list of numbers."""
    depth = 0
    to = np.uint64(n)
    for k in range(np.uint64(start), np.uint64(end)):
        byte = text[k]
        kind = _IN_DRAWING[byte]
        depth += kind == _OPENS
        if kind == _NEITHER or depth == 0:
            return n
        depth -= kind == _CLOSES
        lines[to] = _SPACE if byte < _SPACE else byte
        to += _ONE
    return np.int64(to) if depth == 0 else n


@inner_kernel
def copy_text(text: UInt8Array, start: int, end: int, lines: UInt8Array, n: int, quoted: bool) -> int:
    """Write `text[start:end]` as a JSON string; returns the place after it. In a `quoted` field quotes are doubled."""
    lines[n] = _QUOTE
    n += 1
    k = start
    while k < end:
        byte = text[k]
        if byte == _QUOTE and quoted:
            k += 1
        if byte < 32:
            lines[n], lines[n + 1], lines[n + 2], lines[n + 3] = 92, 117, 48, 48
            lines[n + 4] = 48 + (byte >> 4)
            low = byte & 15
            lines[n + 5] = low + (48 if low < 10 else 87)
            n += 6
        else:
            if byte == _QUOTE or byte == 92:
                lines[n] = 92
                n += 1
            lines[n] = byte
            n += 1
        k += 1
    lines[n] = _QUOTE
    return n + 1


@inner_kernel
def is_kaggle_time(text: UInt8Array, start: int, end: int) -> bool:
    """Whether it is like `2017-03-08 21:12:07.26604`, which is UTC."""
    if not 19 <= end - start <= 26:
        return False
    for k in range(start, end):
        place = k - start
        wanted = 45 if place == 4 or place == 7 else 32 if place == 10 else 58 if place == 13 or place == 16 else 46
        if place in (4, 7, 10, 13, 16, 19):
            if text[k] != wanted:
                return False
        elif not 48 <= text[k] <= 57:
            return False
    return True


@inner_kernel
def copy_value(text: UInt8Array, start: int, end: int, lines: UInt8Array, n: int, form: int) -> int:
    """Write a field as the JSON value that its column has; returns the place after it."""
    quoted = start < end and text[start] == _QUOTE
    if quoted:
        start += 1
        end -= 1
    if start == end and form != _WORD:
        lines[n], lines[n + 1], lines[n + 2], lines[n + 3] = 110, 117, 108, 108  # null
        return n + 4
    if form == _DRAWING:
        after = copy_drawing(text, start, end, lines, n)
        if after > n:
            return after
    if form == _RECOGNIZED and (end - start == 4 or end - start == 5):
        first = text[start] | 32
        if (first == 116 and end - start == 4) or (first == 102 and end - start == 5):
            for k in range(start, end):  # True, TRUE, true
                lines[n + k - start] = text[k] | 32
            return n + end - start
    after = copy_text(text, start, end, lines, n, quoted)
    if form == _TIMESTAMP and is_kaggle_time(text, start, end):
        lines[after - 1], lines[after], lines[after + 1], lines[after + 2], lines[after + 3] = 32, 85, 84, 67, _QUOTE
        after += 4
    return after


@kernel
def rows_to_lines(
    text: UInt8Array, lines: UInt8Array, place: Int64Array, keys: UInt8Array, key_end: Int64Array, forms: Int64Array
) -> None:
    """Convert the whole rows at the beginning of `text`; `place`, (2,), receives the bytes read and written.

    It stops where `lines` might not hold the next row.
    """
    ends = np.zeros(len(forms), np.int64)
    start = n = 0
    while start < len(text):
        after = end_of_row(text, start, ends)
        if after == 0:
            break
        is_broken = after < 0
        after = abs(after)
        if n + 6 * (after - start) + len(keys) + _ROOM * len(forms) > len(lines):
            break
        newlines = 0
        for k in range(np.uint64(start), np.uint64(after)):
            newlines += text[k] == _NEWLINE
        is_blank = after - start == 1 or (after - start == 2 and text[start] == _RETURN)
        if is_broken and not is_blank:
            lines[n] = 123
            n += 1
        if not is_broken and not is_blank:
            field_start = start
            key_start = 0
            for column in range(len(forms)):
                for k in range(key_start, key_end[column]):
                    lines[n] = keys[k]
                    n += 1
                n = copy_value(text, field_start, ends[column], lines, n, forms[column])
                key_start = key_end[column]
                field_start = ends[column] + 1
            lines[n] = 125
            n += 1
        for _ in range(newlines):
            lines[n] = _NEWLINE
            n += 1
        start = after
    place[0] = start
    place[1] = n
