"""Kernels that parse a line's field names, and its key_id and timestamp as Google writes them.

As in `json_values.py`, a kernel takes `buf` and a position in it and returns the position after what it read, or -1 if
there is no such thing.
"""

import numpy as np
from numpy import int64, uint64

from pipeline.arrays import Int64Array, UInt8Array, UInt64Array
from pipeline.jit import inner_kernel
from pipeline.sources.scanner.faults import FIELDS, UNKNOWN
from pipeline.sources.scanner.json_values import NINE, POINT, QUOTE, ZERO, scan_hex4
from pipeline.sources.scanner.swar import NO_MARKS, ZERO_DIGITS, above_nine, digits8, load8, trailing_zeros

NO_TIMESTAMP = -(2**63)  # numpy's NaT
_FIELD_BYTES = np.frombuffer("".join(FIELDS).encode(), np.uint8)
_FIELD_ENDS = np.cumsum([len(name) for name in FIELDS])


def _words(texts: list[bytes]) -> UInt64Array:
    """(6, 2) uint64, the bytes of each text, padded with zeros to 16, in the layout of `load8`."""
    return np.frombuffer(b"".join(text.ljust(16, b"\0") for text in texts), "<u8").astype(np.uint64).reshape(-1, 2)


_NAMES = [f'"{name}":'.encode() for name in FIELDS]
_NAME_WORDS, _NAME_MASKS = _words(_NAMES), _words([b"\xff" * len(name) for name in _NAMES])
NAME_BYTES = np.array([len(name) for name in _NAMES])

# A timestamp's fixed bytes, with 0 in place of each digit, and masks that select the fixed bytes only.
_YEAR_MONTH, _DAY_HOUR_MINUTE, _SECOND, _UTC = (
    uint64(int.from_bytes(text, "little")) for text in (b"0000-00-", b"00 00:00", b":00.", b' UTC"')
)
_NO_YEAR_MONTH, _NO_DAY_HOUR_MINUTE, _NO_SECOND = uint64(0xFF0000FF00000000), uint64(0xFF0000FF0000), uint64(0xFF0000FF)
_SECOND_MASK, _UTC_MASK = uint64(0xFFFFFFFF), uint64(0xFFFFFFFFFF)


@inner_kernel
def plain_name(buf: UInt8Array, i: int, guess: int) -> int:
    """Which of `FIELDS` is at `i`, quoted, without escapes and followed by a colon; `UNKNOWN` if none.

    `guess` is tried first.
    """
    if i + 16 > len(buf):
        return UNKNOWN
    head, tail = load8(buf, i), load8(buf, i + 8)
    for turn in range(guess, guess + len(_NAME_WORDS)):
        name = turn if turn < len(_NAME_WORDS) else turn - len(_NAME_WORDS)
        if (head & _NAME_MASKS[name, 0]) == _NAME_WORDS[name, 0] and (tail & _NAME_MASKS[name, 1]) == _NAME_WORDS[
            name, 1
        ]:
            return name
    return UNKNOWN


@inner_kernel
def field_of(buf: UInt8Array, i: int) -> int:
    """Which of `FIELDS` the string at `i`, already validated, names once its escapes are decoded; `UNKNOWN` if none."""
    begin = 0
    for name in range(len(_FIELD_ENDS)):
        end = _FIELD_ENDS[name]
        j = i + 1
        k = begin
        while k < end:
            c = int64(buf[j])
            j += 1
            if c == 92 and buf[j] == 117:
                c = scan_hex4(buf, j + 1)
                j += 5
            if c != _FIELD_BYTES[k]:
                break
            k += 1
        if k == end and buf[j] == QUOTE:
            return name
        begin = end
    return UNKNOWN


@inner_kernel
def is_longer(buf: UInt8Array, i: int, end: int, limit: int) -> bool:
    """Whether the validated text of a string from `i` to before `end` has more than `limit` bytes of UTF-8."""
    if end - i <= limit:  # an escape is never shorter than what it stands for
        return False
    count = int64(0)
    while i < end and count <= limit:
        size = 1
        if buf[i] == 92:
            size = 2
            if buf[i + 1] == 117:
                size = 6
                code = scan_hex4(buf, i + 2)
                count += int64(code >= 0x80) + int64(code >= 0x800 and not 0xD800 <= code < 0xE000)  # a pair has 4
        i += size
        count += 1
    return count > limit


@inner_kernel
def scan_key_id(buf: UInt8Array, i: int, key_ids: UInt64Array, row: int) -> int:
    """Read a key_id, a string of digits or a whole number of up to 64 bits, into `key_ids[row]`; else return -1."""
    quoted = buf[i] == QUOTE
    j = i + 1 if quoted else i
    if not ZERO <= buf[j] <= NINE:
        return -1
    first = j
    value = uint64(0)
    while j - first < 16 and j + 8 <= len(buf):
        digits = load8(buf, j) ^ ZERO_DIGITS
        if above_nine(digits) != NO_MARKS:
            break
        value = value * uint64(100_000_000) + digits8(digits)
        j += 8
    while ZERO <= buf[j] <= NINE:
        digit = uint64(int64(buf[j]) - ZERO)
        if value > uint64(1844674407370955161) or (value == uint64(1844674407370955161) and digit > uint64(5)):
            return -1
        value = value * uint64(10) + digit
        j += 1
    if quoted:
        if buf[j] != QUOTE:
            return -1
        j += 1
    elif (buf[first] == ZERO and j > first + 1) or buf[j] == POINT or buf[j] == 101 or buf[j] == 69:
        return -1
    key_ids[uint64(row)] = value
    return j


@inner_kernel
def micros_since_1970(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Microseconds since 1970, or `NO_TIMESTAMP` if the date or the time of day does not exist."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days_in_month = 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
    if month == 2:
        days_in_month = 28 + leap
    if year < 1 or month < 1 or month > 12 or day < 1 or day > days_in_month or hour > 23 or minute > 59 or second > 59:
        return NO_TIMESTAMP
    # Days since 1970, counted in years that begin in March (H. Hinnant, "chrono-compatible low-level date algorithms").
    year -= month <= 2
    day_of_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1
    days = year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - 719_468
    return ((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000


@inner_kernel
def pair_at(digits: uint64, place: int) -> int:
    """The two-digit number in two bytes of 0-9, the first of which begins `place` bits above the lowest bit."""
    pair = int64(digits >> uint64(place))
    return (pair & 255) * 10 + (pair >> 8 & 255)


@inner_kernel
def scan_plain_timestamp(buf: UInt8Array, i: int, timestamps: Int64Array, row: int) -> int:
    """Read a timestamp of exactly the form "2017-03-02 23:25:10.07453 UTC" into `timestamps[row]`; else return -1."""
    if i + 38 > len(buf):
        return -1
    first, second = load8(buf, i + 1) ^ _YEAR_MONTH, load8(buf, i + 9) ^ _DAY_HOUR_MINUTE
    third, fraction = load8(buf, i + 17) & _SECOND_MASK ^ _SECOND, load8(buf, i + 21) ^ ZERO_DIGITS
    gaps = above_nine(fraction)
    if gaps == NO_MARKS:
        return -1
    end = trailing_zeros(gaps) + uint64(1)  # the bits of the digits, and 8 more
    j = i + 20 + int64(end >> uint64(3))
    if (
        end == uint64(8)
        or (above_nine(first) | above_nine(second) | above_nine(third)) != NO_MARKS
        or ((first & _NO_YEAR_MONTH) | (second & _NO_DAY_HOUR_MINUTE) | (third & _NO_SECOND)) != NO_MARKS
        or (load8(buf, j) & _UTC_MASK) != _UTC
    ):
        return -1
    since = micros_since_1970(
        pair_at(first, 0) * 100 + pair_at(first, 16),
        pair_at(first, 40),
        pair_at(second, 0),
        pair_at(second, 24),
        pair_at(second, 48),
        pair_at(third, 8),
    )
    if since == NO_TIMESTAMP:
        return -1
    # The digits, padded with zeros to eight: hundredths of a microsecond.
    fraction = fraction & ((uint64(1) << (end - uint64(8))) - uint64(1))
    timestamps[uint64(row)] = since + int64(digits8(fraction) // uint64(100))
    return j + 5
