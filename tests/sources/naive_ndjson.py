"""The slow and obvious reader of Quick, Draw! ndjson, `json.loads` and a check a line; the scanner's oracle."""

import contextlib
import datetime
import hashlib
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
_ZONE = r"(?: UTC|Z| ?([+-])([01]\d|2[0-3])(?::?([0-5]\d))?)?"
TIMESTAMP = re.compile(rf"(\d{{4}}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.(\d{{1,9}}))?{_ZONE})?", re.ASCII)
EPOCH = datetime.datetime(1970, 1, 1)


class Number(str):
    """A number as it is spelled, so that -0, 1.0 and 1e400 stay apart from integers."""


class Constant:
    """NaN, Infinity or -Infinity, which json reads and JSON has not."""

    def __init__(self, name: str) -> None:
        self.name = name


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
    pairs = json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=Constant)
    if not isinstance(pairs, Pairs):
        raise ValueError("not an object")
    if any("\ud800" <= char <= "\udfff" for string in strings_of(pairs) for char in string):
        raise ValueError("half of a surrogate pair")
    if any(depth_of(value) > MAX_DEPTH for _, value in pairs):
        raise ValueError("too deep")
    fields = {name: value for name, value in pairs if name in KNOWN}
    if len(fields) < sum(name in KNOWN for name, _ in pairs):
        raise ValueError("a field twice")
    word = fields.get("word")
    if not is_string(word) or not word or len(word.encode()) > 256:
        raise ValueError("word")
    drawing = parse_drawing(fields.get("drawing"), text)
    country, key_id = fields.get("countrycode"), parse_key_id(fields.get("key_id"))
    return {
        "word": word,
        "countrycode": country if is_string(country) and len(country.encode()) <= 8 else None,
        "recognized": parse_recognized(fields.get("recognized")),
        "timestamp": parse_timestamp(fields.get("timestamp"), text),
        "key_id": content_hash(word, drawing) if key_id is None else key_id,
        "drawing": drawing,
    }


def parse_drawing(strokes: Any, text: str) -> list[list[list[int]]]:
    if is_string(strokes):
        if json.dumps(strokes, ensure_ascii=False) != f'"{strokes}"' or f'"{strokes}"' not in text:
            raise ValueError("escapes in a drawing")
        strokes = json.loads(
            strokes, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=refuse
        )
    if not is_list(strokes) or not strokes:
        raise ValueError("not a list of strokes")
    if is_list(strokes[0]) and len(strokes[0]) == 3:
        with contextlib.suppress(ValueError):
            return simplify(parse_lists(strokes, 3))
    points = points_of(strokes)
    if points is None:
        points = parse_lists(strokes, 2)
    if any(len(x) != len(y) or not x for x, y in points):
        raise ValueError("x and y")
    if sum(len(x) for x, _ in points) > MAX_POINTS:
        raise ValueError("too many points")
    if all(value in range(256) for stroke in points for axis in stroke for value in axis):
        return [[[int(value) for value in axis] for axis in stroke] for stroke in points]
    return simplify(points)


def points_of(strokes: list[Any]) -> list[tuple[list[float], list[float]]] | None:
    """The x and y of strokes that are objects, or lists of points; None if they may be lists of x and of y."""
    if isinstance(strokes[0], Pairs):
        if not all(isinstance(stroke, Pairs) for stroke in strokes):
            raise ValueError("a stroke is no object")
        both = [xy_of(stroke) for stroke in strokes]
        if not all(is_list(axis) for pair in both for axis in pair):
            raise ValueError("x or y is no list")
        return [(numbers(x), numbers(y)) for x, y in both]
    if is_list(strokes[0]) and strokes[0] and isinstance(strokes[0][0], Pairs):
        if not all(is_list(stroke) and stroke and all(isinstance(p, Pairs) for p in stroke) for stroke in strokes):
            raise ValueError("a point is no object")
        pairs = [[xy_of(point) for point in stroke] for stroke in strokes]
        return [(numbers([x for x, _ in stroke]), numbers([y for _, y in stroke])) for stroke in pairs]
    if not all(is_list(stroke) and stroke and all(map(is_list, stroke)) for stroke in strokes):
        return None
    counts = {len(stroke) for stroke in strokes}
    sizes = {len(point) for stroke in strokes for point in stroke}
    if len(sizes) > 1 or not (max(counts) > 3 or {2, 3} <= counts) or sizes not in ({2}, {3}):
        return None
    if sizes == {3}:
        raise ValueError("points of three")
    return [(numbers([x for x, _ in stroke]), numbers([y for _, y in stroke])) for stroke in strokes]


def xy_of(fields: Pairs) -> tuple[Any, Any]:
    names = [name for name, _ in fields]
    if names.count("x") != 1 or names.count("y") != 1:
        raise ValueError("x or y is missing, or there twice")
    return dict(fields)["x"], dict(fields)["y"]


def numbers(values: list[Any]) -> list[float]:
    if not all(isinstance(value, Number) and math.isfinite(float(value)) for value in values):
        raise ValueError("not a finite number")
    return [float(value) for value in values]


def parse_lists(strokes: list[Any], lists: int) -> list[tuple[list[float], list[float]]]:
    """The x and y of strokes of two lists, or of three with one of times."""
    found = []
    for stroke in strokes:
        if not is_list(stroke) or len(stroke) != lists or not all(is_list(values) and values for values in stroke):
            raise ValueError("a stroke is not that many lists of values")
        if len({len(values) for values in stroke}) > 1:
            raise ValueError("x, y and times")
        axes = [numbers(values) for values in stroke]
        found.append((axes[0], axes[1]))
    if sum(len(x) for x, _ in found) > MAX_POINTS:
        raise ValueError("too many points")
    return found


def parse_recognized(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"true|false|[01](\.0+)?", value, re.IGNORECASE | re.ASCII):
        return None
    return value.lower()[0] in "t1"


def parse_key_id(value: Any) -> int | None:
    if isinstance(value, Number):
        if re.fullmatch("[0-9]+", value) and int(value) < 1 << 64:
            return int(value)
        return int(float(value)) if value[0] != "-" and float(value) < 2**53 and float(value).is_integer() else None
    if not is_string(value) or not value:
        return None
    if re.fullmatch("[0-9]+", value) and int(value) < 1 << 64:
        return int(value)
    if len(value.encode()) > 256:
        return None
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")


def parse_timestamp(value: Any, text: str) -> int | None:
    """Microseconds since 1970."""
    if isinstance(value, Number):
        number = int(value) if re.fullmatch("[0-9]+", value) else float(value)
        for unit in (10**6, 10**3, 1, 1e-3):
            if 631_152_000 * 10**6 <= number * unit < 4_102_444_800 * 10**6:
                return round(number * unit) if isinstance(number, float) or unit >= 1 else number // 1000
        return None
    found = TIMESTAMP.fullmatch(value) if is_string(value) and f'"{value}"' in text else None
    if not found:
        return None
    day, time, fraction, sign, hours, minutes = found.groups()
    try:
        since = datetime.datetime.fromisoformat(f"{day} {time or '00:00:00'}") - EPOCH
    except ValueError:
        return None
    offset = int(f"{sign or '+'}1") * (int(hours or 0) * 60 + int(minutes or 0)) * 60_000_000
    micros = since // datetime.timedelta(microseconds=1) + int((fraction or "0").ljust(6, "0")[:6]) - offset
    try:
        EPOCH + datetime.timedelta(microseconds=micros)
    except OverflowError:  # before year 1 or after year 9999
        return None
    return micros


def refuse(name: str) -> None:
    """NaN and Infinity in the string of a drawing."""
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
