"""The slow and obvious reader of Quick, Draw! ndjson, `json.loads` and a check a line; the scanner's oracle."""

import datetime
import json
import math
import re
from typing import Any

import numpy as np
import pytest

from pipeline.sources.chunks import Chunk, Scanned
from pipeline.sources.ndjson import scan_chunk
from pipeline.sources.rejects import Reject
from tests.naive_hashing import content_hash
from tests.sources.naive_simplify import simplify

MAX_LINE_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_POINTS = 65_535
KNOWN = ("word", "countrycode", "timestamp", "recognized", "key_id", "drawing")
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?: UTC|Z)?", re.ASCII)
EPOCH = datetime.datetime(1970, 1, 1)


class Number(str):
    """A number as it is spelled, so that -0, 1.0 and 1e400 stay apart from integers."""


class Pairs(list[Any]):
    """An object's fields in order, the same one twice included."""


def scan(text: bytes) -> Scanned:
    """Scan lines that end with a newline."""
    return scan_chunk(Chunk(np.frombuffer(text, np.uint8), 0, len(text), None, np.empty(0, np.uint8)))


def rejects(scanned: Scanned) -> list[Reject]:
    """The bad lines of a chunk that begins its file."""
    return list(scanned.rejects("cat.ndjson", 0))


def records(scanned: Scanned) -> list[dict[str, Any]]:
    """The drawings of a chunk as `parse_text` gives them."""
    drawings = scanned.drawings
    return [
        {
            "word": drawings.words[drawings.word[k]],
            "countrycode": drawings.countrycodes[drawings.countrycode[k]] if drawings.countrycode[k] >= 0 else None,
            "recognized": [False, True, None][drawings.recognized[k]],
            "timestamp": None if np.isnat(drawings.timestamp[k]) else int(drawings.timestamp[k].astype(np.int64)),
            "key_id": int(drawings.key_id[k]),
            "drawing": drawings.strokes(k),
        }
        for k in range(len(drawings))
    ]


def assert_as_naive(text: bytes) -> None:
    """The scanner accepts and rejects the same lines as the naive reader, with the same columns."""
    if outcome(text) != parse_text(text):
        apart = [line + b"\n" for line in text.split(b"\n")]
        pytest.fail(f"not as the slow reader: {[line for line in apart if outcome(line) != parse_text(line)] or text}")


def outcome(text: bytes) -> tuple[list[dict[str, Any]], list[int]]:
    """The drawings and the numbers of the bad lines, as `parse_text` gives them."""
    scanned = scan(text)
    return records(scanned), [reject.line for reject in rejects(scanned)]


def parse_text(text: bytes) -> tuple[list[dict[str, Any]], list[int]]:
    """The drawings of a file's lines, and the numbers (from 1) of the bad ones."""
    drawings, bad = [], []
    lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, 1):
        if len(line) <= MAX_LINE_BYTES and not line.strip(b" \t\r"):
            continue
        try:
            drawings.append(parse_line(line))
        except (ValueError, RecursionError):
            bad.append(number)
    return drawings, bad


def parse_line(line: bytes) -> dict[str, Any]:
    """One line's drawing; ValueError where it is not whole."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError("too long")
    text = line.decode("utf-8")
    pairs = json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=refuse)
    if not isinstance(pairs, Pairs):
        raise ValueError("not an object")
    if any("\ud800" <= char <= "\udfff" for string in strings_of(pairs) for char in string):
        raise ValueError("half of a surrogate pair")
    if any(depth_of(value) > MAX_DEPTH for _, value in pairs):
        raise ValueError("too deep")
    fields = {name: value for name, value in pairs if name in KNOWN}
    if len(fields) < sum(name in KNOWN for name, _ in pairs):
        raise ValueError("a field twice")
    word, country, recognized = fields.get("word"), fields.get("countrycode"), fields.get("recognized")
    if not is_string(word) or not word:
        raise ValueError("word")
    if country is not None and not is_string(country):
        raise ValueError("countrycode")
    if recognized not in (True, False, None) or isinstance(recognized, str):
        raise ValueError("recognized")
    drawing = parse_drawing(fields.get("drawing"))
    key_id = parse_key_id(fields.get("key_id"), text)
    return {
        "word": word,
        "countrycode": country,
        "recognized": recognized,
        "timestamp": parse_timestamp(fields.get("timestamp"), text),
        "key_id": content_hash(word, drawing) if key_id is None else key_id,
        "drawing": drawing,
    }


def parse_drawing(strokes: Any) -> list[list[list[int]]]:
    if not is_list(strokes) or not strokes:
        raise ValueError("not a list of strokes")
    if is_list(strokes[0]) and len(strokes[0]) == 3:
        return simplify(parse_raw(strokes))
    for stroke in strokes:
        if not is_list(stroke) or len(stroke) != 2 or not all(is_list(values) and values for values in stroke):
            raise ValueError("a stroke is not two lists of values")
        if len(stroke[0]) != len(stroke[1]):
            raise ValueError("x and y")
        for value in (*stroke[0], *stroke[1]):
            if not isinstance(value, Number) or not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > 255:
                raise ValueError("not an integer from 0 to 255")
    if sum(len(x) for x, _ in strokes) > MAX_POINTS:
        raise ValueError("too many points")
    return [[[int(value) for value in values] for values in stroke] for stroke in strokes]


def parse_raw(strokes: list[Any]) -> list[tuple[list[float], list[float]]]:
    """The x and y of strokes that have a third list, of times."""
    raw = []
    for stroke in strokes:
        if not is_list(stroke) or len(stroke) != 3 or not all(is_list(values) and values for values in stroke):
            raise ValueError("a stroke is not three lists of values")
        if len({len(values) for values in stroke}) > 1:
            raise ValueError("x, y and times")
        if not all(isinstance(value, Number) and math.isfinite(float(value)) for values in stroke for value in values):
            raise ValueError("not a finite number")
        raw.append(([float(value) for value in stroke[0]], [float(value) for value in stroke[1]]))
    if sum(len(x) for x, _ in raw) > MAX_POINTS:
        raise ValueError("too many points")
    return raw


def parse_key_id(value: Any, text: str) -> int | None:
    if value is None:
        return None
    spelled_plainly = isinstance(value, Number) or f'"{value}"' in text
    if not isinstance(value, str) or not re.fullmatch("[0-9]+", value) or not spelled_plainly:
        raise ValueError("key_id")
    if int(value) >= 1 << 64:
        raise ValueError("key_id")
    return int(value)


def parse_timestamp(value: Any, text: str) -> int | None:
    """Microseconds since 1970."""
    if value is None:
        return None
    found = TIMESTAMP.fullmatch(value) if is_string(value) and f'"{value}"' in text else None
    if not found:
        raise ValueError("timestamp")
    day, time, fraction = found.groups()
    since = datetime.datetime.fromisoformat(f"{day} {time}") - EPOCH
    return since // datetime.timedelta(microseconds=1) + int((fraction or "0").ljust(6, "0")[:6])


def refuse(name: str) -> None:
    """NaN and Infinity, which json reads and JSON has not."""
    raise ValueError(name)


def is_string(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def is_list(value: Any) -> bool:
    return isinstance(value, list) and not isinstance(value, Pairs)


def depth_of(value: Any) -> int:
    if isinstance(value, Pairs):
        return 1 + max((depth_of(inner) for _, inner in value), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(inner) for inner in value), default=0)
    return 0


def strings_of(value: Any) -> list[str]:
    if isinstance(value, Pairs):
        return [string for pair in value for inner in pair for string in strings_of(inner)]
    if isinstance(value, list):
        return [string for inner in value for string in strings_of(inner)]
    return [value] if isinstance(value, str) else []
