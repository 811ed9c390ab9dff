"""The slow and obvious reader of Google's packed binary drawings: `struct`, record by record. The scanner's oracle."""

import struct
from typing import Any

MAX_RECORD_BYTES = 1 << 20
MAX_POINTS = 65_535
Drawing = dict[str, Any]
Strokes = list[list[list[int]]]


def pack(
    key_id: int,
    strokes: list[list[list[int]]],
    *,
    code: bytes = b"US",
    recognized: int = 1,
    timestamp: int = 1488404666,
) -> bytes:
    """One record."""
    parts = [struct.pack("<Q2sbIH", key_id, code, recognized, timestamp, len(strokes))]
    parts += [struct.pack("<H", len(x)) + bytes(x) + bytes(y) for x, y in strokes]
    return b"".join(parts)


def parse(content: bytes) -> tuple[list[Drawing], list[tuple[int, int, str, bool]]]:
    """The drawings, and (record from 1, offset, reason, whether all behind it is lost) of what is none."""
    drawings, bad = [], []
    start = record = 0
    after_bad = False
    while start < len(content):
        record += 1
        reason, lost, end, drawing = parse_record(content, start)
        header = reason.startswith("header")
        lost = lost or (header and after_bad)
        after_bad = header
        if reason:
            bad.append((record, start, "bad-record" if header else reason, lost))
        else:
            drawings.append({**drawing, "end": end})
        if lost:
            break
        start = end
    return drawings, bad


def parse_record(content: bytes, start: int) -> tuple[str, bool, int, Drawing]:
    """What is wrong ("" if nothing), whether the record has no end, its end, and the drawing."""
    try:
        key_id, code, recognized, timestamp, count = struct.unpack_from("<Q2sbIH", content, start)
    except struct.error:
        return "truncated-record", True, 0, {}
    header = all(33 <= byte <= 126 for byte in code) and recognized in (0, 1)
    end, strokes = start + 17, []
    for _ in range(count):
        if end + 2 > len(content):
            return "truncated-record" if header else "header", True, 0, {}
        (points,) = struct.unpack_from("<H", content, end)
        x, y = content[end + 2 : end + 2 + points], content[end + 2 + points : end + 2 + 2 * points]
        end += 2 + 2 * points
        if end - start > MAX_RECORD_BYTES:
            return "bad-record", True, 0, {}
        if end > len(content):
            return "truncated-record" if header else "header", True, 0, {}
        strokes.append([list(x), list(y)])
    drawing = {"key_id": key_id, "countrycode": code.decode("latin-1"), "recognized": bool(recognized)}
    drawing |= {"timestamp": timestamp * 1_000_000, "drawing": strokes}
    if not header:
        return "header", False, end, drawing
    if not strokes:
        return "no-strokes", False, end, drawing
    if any(not x for x, _ in strokes):
        return "no-points", False, end, drawing
    if sum(len(x) for x, _ in strokes) > MAX_POINTS:
        return "too-many-points", False, end, drawing
    return "", False, end, drawing
