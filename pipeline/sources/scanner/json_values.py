"""Kernels that parse strict JSON byte by byte: strings, numbers, literals and nested values.

Every kernel takes `buf`, (B,) uint8 whose last byte is a newline, and a position `i` in it, and returns the position
after what it read. A newline is legal nowhere inside a JSON text of one line, so it stops every loop: no kernel needs
the length of `buf`. On an error a kernel returns -1 and writes to `fault`, (4,) int64, a code of `faults.py` and the
numbers that its message shows. The grammar is that of RFC 8259; strings must be valid UTF-8 (RFC 3629). `NaN`,
`Infinity` and `-Infinity`, which pandas and Python write though JSON has no such numbers, are read as values too.
"""

import numpy as np
from numpy import int64, uint64

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.jit import inner_kernel
from pipeline.sources.limits import MAX_DEPTH
from pipeline.sources.scanner.faults import (
    CONTROL,
    DEPTH,
    ESCAPE,
    NOT_UTF8,
    NUMBER,
    SURROGATE,
    SYNTAX,
    TRUNCATED,
    WRONG_TYPE,
)
from pipeline.sources.scanner.swar import NO_MARKS, first_mark, load8, not_plain

NEWLINE, QUOTE, BACKSLASH, COMMA, COLON = 10, 34, 92, 44, 58
OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = 91, 93, 123, 125
MINUS, PLUS, POINT, ZERO, NINE = 45, 43, 46, 48, 57
_INFINITY = np.frombuffer(b"Infinity", np.uint8)


@inner_kernel
def fail(fault: Int64Array, code: int, a: int = 0, b: int = 0, c: int = 0) -> int:
    """Write an error to `fault` and return -1."""
    fault[0] = code
    fault[1] = a
    fault[2] = b
    fault[3] = c
    return -1


@inner_kernel
def fail_at(buf: UInt8Array, i: int, start: int, expected: int, fault: Int64Array) -> int:
    """Write to `fault` that the byte at `i` is not `expected`, and return -1; `start` is where the line begins."""
    if buf[i] == NEWLINE:
        return fail(fault, TRUNCATED)
    return fail(fault, SYNTAX, i - start + 1, expected, int64(buf[i]))


@inner_kernel
def skip_space(buf: UInt8Array, i: int) -> int:
    """Skip spaces, tabs and carriage returns."""
    c = buf[uint64(i)]
    while c == 32 or c == 9 or c == 13:
        i += 1
        c = buf[uint64(i)]
    return i


@inner_kernel
def scan_hex4(buf: UInt8Array, i: int) -> int:
    """The value of the four hexadecimal digits at `i`; -1 if one is no such digit, -2 if the line ends before."""
    value = 0
    for k in range(4):
        c = int64(buf[i + k])
        if ZERO <= c <= NINE:
            digit = c - ZERO
        elif 65 <= c <= 70 or 97 <= c <= 102:
            digit = (c | 32) - 87
        else:
            return -2 if c == NEWLINE else -1
        value = value * 16 + digit
    return value


@inner_kernel
def scan_escape(buf: UInt8Array, i: int, start: int, fault: Int64Array) -> int:
    """Read an escape whose backslash is at `i`; surrogates must come in pairs."""
    c = buf[i + 1]
    if c != 117:  # not \\u
        if c in (QUOTE, BACKSLASH, 47, 98, 102, 110, 114, 116):  # / b f n r t
            return i + 2
        if c == NEWLINE:
            return fail(fault, TRUNCATED)
        return fail(fault, ESCAPE, i - start + 1)
    unit = scan_hex4(buf, i + 2)
    if unit < 0:
        return fail(fault, TRUNCATED if unit == -2 else ESCAPE, i - start + 1)
    if unit < 0xD800 or unit > 0xDFFF:
        return i + 6
    if unit > 0xDBFF or buf[i + 6] != BACKSLASH or buf[i + 7] != 117:
        return fail(fault, SURROGATE, i - start + 1)
    low = scan_hex4(buf, i + 8)
    if low < 0xDC00 or low > 0xDFFF:
        return fail(fault, SURROGATE, i - start + 1)
    return i + 12


@inner_kernel
def scan_multibyte(buf: UInt8Array, i: int, start: int, fault: Int64Array) -> int:
    """Read one character of two to four UTF-8 bytes; overlong forms and surrogates are errors."""
    lead = int64(buf[i])
    second = int64(buf[i + 1])
    if 0xC2 <= lead <= 0xDF:
        more = 1
    elif 0xE0 <= lead <= 0xEF:
        more = 0 if (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second > 0x9F) else 2
    elif 0xF0 <= lead <= 0xF4:
        more = 0 if (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second > 0x8F) else 3
    else:
        more = 0
    if more == 0:
        return fail(fault, NOT_UTF8, i - start + 1, lead)
    for k in range(1, more + 1):
        if (buf[i + k] & 0xC0) != 0x80:
            return fail(fault, NOT_UTF8, i - start + 1, lead)
    return i + more + 1


@inner_kernel
def skip_plain(buf: UInt8Array, i: int) -> int:
    """Skip the plain characters of a string: ASCII except quotes, backslashes and control characters."""
    last = len(buf) - 8
    while i <= last:
        marks = not_plain(load8(buf, i))
        if marks != NO_MARKS:
            return i + first_mark(marks)
        i += 8
    c = buf[uint64(i)]
    while 32 <= c < 128 and c != QUOTE and c != BACKSLASH:
        i += 1
        c = buf[uint64(i)]
    return i


@inner_kernel
def scan_string(buf: UInt8Array, i: int, start: int, fault: Int64Array) -> int:
    """Read a string whose opening quote is at `i`."""
    i = skip_plain(buf, i + 1)
    while buf[uint64(i)] != QUOTE:
        c = int64(buf[i])
        if c == NEWLINE:
            return fail(fault, TRUNCATED)
        if c < 32:
            return fail(fault, CONTROL, i - start + 1, c)
        i = scan_escape(buf, i, start, fault) if c == BACKSLASH else scan_multibyte(buf, i, start, fault)
        if i < 0:
            return -1
        i = skip_plain(buf, i)
    return i + 1


@inner_kernel
def scan_digits(buf: UInt8Array, i: int) -> int:
    """Skip decimal digits."""
    while ZERO <= buf[i] <= NINE:
        i += 1
    return i


@inner_kernel
def scan_number(buf: UInt8Array, i: int, start: int, fault: Int64Array) -> int:
    """Read a number: no leading zeros, no plus sign, digits on both sides of a decimal point."""
    first = i
    if buf[i] == MINUS:
        i += 1
    j = scan_digits(buf, i)
    if j == i or (buf[i] == ZERO and j > i + 1):
        return fail(fault, NUMBER, first - start + 1)
    i = j
    if buf[i] == POINT:
        j = scan_digits(buf, i + 1)
        if j == i + 1:
            return fail(fault, NUMBER, first - start + 1)
        i = j
    if buf[i] == 101 or buf[i] == 69:
        i += 1
        if buf[i] == MINUS or buf[i] == PLUS:
            i += 1
        j = scan_digits(buf, i)
        if j == i:
            return fail(fault, NUMBER, first - start + 1)
        i = j
    return i


@inner_kernel
def scan_literal(buf: UInt8Array, i: int) -> int:
    """Read `true`, `false` or `null`; return -1, without writing an error, if none of them is at `i`."""
    if buf[i] == 116 and buf[i + 1] == 114 and buf[i + 2] == 117 and buf[i + 3] == 101:
        return i + 4
    if buf[i] == 110 and buf[i + 1] == 117 and buf[i + 2] == 108 and buf[i + 3] == 108:
        return i + 4
    if buf[i] == 102 and buf[i + 1] == 97 and buf[i + 2] == 108 and buf[i + 3] == 115 and buf[i + 4] == 101:
        return i + 5
    return -1


@inner_kernel
def scan_constant(buf: UInt8Array, i: int) -> int:
    """Read `NaN`, `Infinity` or `-Infinity`; return -1, without writing an error, if none of them is at `i`."""
    if buf[i] == 78 and buf[i + 1] == 97 and buf[i + 2] == 78:
        return i + 3
    j = i + 1 if buf[i] == MINUS else i
    for k in range(len(_INFINITY)):
        if buf[j + k] != _INFINITY[k]:
            return -1
    return j + len(_INFINITY)


@inner_kernel
def ends_early(buf: UInt8Array, i: int) -> bool:
    """Whether the line ends at `i`, or after the letters at `i`, as it does when a literal is cut off."""
    while 97 <= buf[i] <= 122:
        i += 1
    return bool(buf[i] == NEWLINE)


@inner_kernel
def fail_type(buf: UInt8Array, i: int, name: int, fault: Int64Array) -> int:
    """Write to `fault` that the value at `i` has the wrong type for the field `name`, or that the line ends there."""
    return fail(fault, TRUNCATED) if ends_early(buf, i) else fail(fault, WRONG_TYPE, name)


@inner_kernel
def scan_scalar(buf: UInt8Array, i: int, start: int, fault: Int64Array) -> int:
    """Read a string, a number or a literal."""
    c = buf[i]
    if c == QUOTE:
        return scan_string(buf, i, start, fault)
    j = scan_constant(buf, i)
    if j >= 0:
        return j
    if c == MINUS or ZERO <= c <= NINE:
        return scan_number(buf, i, start, fault)
    j = scan_literal(buf, i)
    if j < 0:
        return fail(fault, TRUNCATED) if ends_early(buf, i) else fail_at(buf, i, start, 0, fault)
    return j


@inner_kernel
def scan_key(buf: UInt8Array, i: int, start: int, fault: Int64Array) -> int:
    """Read the name of a field, the colon after it, and the space before and after the colon."""
    if buf[i] != QUOTE:
        return fail_at(buf, i, start, QUOTE, fault)
    i = scan_string(buf, i, start, fault)
    if i < 0:
        return -1
    i = skip_space(buf, i)
    if buf[i] != COLON:
        return fail_at(buf, i, start, COLON, fault)
    return skip_space(buf, i + 1)


@inner_kernel
def skip_value(buf: UInt8Array, i: int, start: int, fault: Int64Array) -> int:
    """Validate and skip any value, nested up to `MAX_DEPTH` levels."""
    objects = uint64(0)  # a bit for each open level, the innermost lowest: 1 for an object, 0 for a list
    depth = 0
    while True:
        c = buf[i]
        if c in (OPEN_LIST, OPEN_OBJECT):
            if depth == MAX_DEPTH:
                return fail(fault, DEPTH, i - start + 1, MAX_DEPTH)
            objects = (objects << uint64(1)) | uint64(c == OPEN_OBJECT)
            depth += 1
            i = skip_space(buf, i + 1)
            if buf[i] != (CLOSE_OBJECT if c == OPEN_OBJECT else CLOSE_LIST):
                if c == OPEN_OBJECT:
                    i = scan_key(buf, i, start, fault)
                    if i < 0:
                        return -1
                continue
        else:
            i = scan_scalar(buf, i, start, fault)
            if i < 0:
                return -1
        while depth > 0:  # after a value: close the levels that end here, or move to the next value
            i = skip_space(buf, i)
            in_object = objects & uint64(1) != uint64(0)
            if buf[i] == (CLOSE_OBJECT if in_object else CLOSE_LIST):
                objects >>= uint64(1)
                depth -= 1
                i += 1
                continue
            if buf[i] != COMMA:
                return fail_at(buf, i, start, COMMA, fault)
            i = skip_space(buf, i + 1)
            if in_object:
                i = scan_key(buf, i, start, fault)
                if i < 0:
                    return -1
            break
        if depth == 0:
            return i
