"""A seeded fuzz of the scanner: lines of Google's shape, mutated, scanned and held against the slow reader.

`SKETCHPIPE_FUZZ=100000 pytest tests/sources/test_ndjson_fuzz.py`, or
`python -m tests.sources.test_ndjson_fuzz 100000 [SEED]`, which prints what it found; with
`NUMBA_BOUNDSCHECK=1` no kernel may leave its arrays either.
"""

import os
import random
import sys
from collections import Counter

import numba
import pytest

from tests.sources.hostile_lines import HOSTILE
from tests.sources.naive_ndjson import assert_as_naive, rejects, scan
from tests.sources.ndjson_lines import FIELDS, MALFORMED, VALID, line

pytestmark = pytest.mark.long

JIT = not numba.config.DISABLE_JIT
INPUTS = int(os.environ.get("SKETCHPIPE_FUZZ", 20_000 if JIT else 300))
BATCH = 500  # lines a scan: enough that they are read beside each other, few enough to find the one that differs
LONGEST = 600  # bytes of a line to mutate: the slow reader takes most of the time
TOKENS = [
    *b'{}[],:"\\-+.eE0123456789 \t\r\0\x1f\x7f\x80\xc3\xed\xf0\xff',
    *(b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e400", b"-0", b"01", b"1.5", b"255", b"256", b"1000"),
    *(b"[]", b"{}", b"[[", b"]]", b"],[", b"]],[[", b"[[1],[2]]", b",[[3,4],[5,6]]", b"[1,2,3]", b", ", b" : "),
    *(rb"\u0061", rb"\ud83d\ude00", rb"\ud83d", rb"\ude00", rb"\n", rb"\"", rb"\\", rb"\x", rb"\u12"),
    *("é".encode(), "猫".encode(), "😀".encode(), b"\xef\xbb\xbf", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(f'"{name}":{text}'.encode() for name, text in FIELDS.items()),
    *(f',"{name}":null'.encode() for name in FIELDS),
    *(
        b'"True"',
        b'"0"',
        b"1714557600000",
        b"1714557600.25",
        b'"user-0"',
        b"4.5e15",
        b"+02:00",
        b" -0130",
        b"2016-02-29",
    ),
    *(b'{"x":[1,2],"y":[3,4]}', b'{"x":1,"y":2}', b"[1,2],[3,4],[5,6],[7,8]", b'"[[[1],[2]]]"', b"Infinity"),
    *(b"2016-02-29 23:59:59.999999 UTC", b"T", b"Z", b"18446744073709551615", b"18446744073709551616", b"00000000"),
]
PIECES = [bytes([token]) if isinstance(token, int) else token for token in TOKENS]
KNOWN = [text for text, _, _ in (MALFORMED | HOSTILE).values() if len(text) <= LONGEST]
SEEDS = [text for text in VALID.values() if len(text) <= LONGEST]


def drawing_line(rng: random.Random) -> bytes:
    """A line of Google's shape: strokes of random length, now and then other spaces, order or fields."""
    strokes = []
    for _ in range(rng.randint(1, 4)):
        points, high = rng.randint(1, 12), rng.choice([9, 99, 255, 255, 255, 257])
        strokes.append([[rng.randint(0, high) for _ in range(points)] for _ in "xy"])
    if rng.random() < 0.2:
        strokes = [raw_stroke(rng) for _ in strokes]
    elif rng.random() < 0.2:
        strokes = [[list(point) for point in zip(*stroke, strict=True)] for stroke in strokes]
    fraction = rng.choice(["", ".5", f".{rng.randrange(10**5):05}", f".{rng.randrange(10**9):09}"])
    clock = f"{rng.choice([*range(24), 24]):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}{fraction}"
    zone = rng.choice([" UTC", " UTC", "Z", ""])
    changes: dict[str, str | None] = {
        "word": f'"{"abc é猫xyz"[: rng.randint(1, 9)]}"',
        "countrycode": rng.choice(['"US"', '"DE"', '"U"', '"USA"', '""', "null", None, None]),
        "timestamp": f'"20{rng.randint(0, 99):02}-{rng.randint(1, 12):02}-{rng.randint(1, 29):02} {clock}{zone}"',
        "recognized": rng.choice(["true", "false", "null"]),
        "key_id": f'"{rng.getrandbits(rng.choice([1, 8, *[53] * 9, 64, 66]))}"',
        "drawing": str(strokes).replace(" ", rng.choice(["", "", " "])),
    }
    text = line(**{name: rng.choice([value, value, value, FIELDS[name]]) for name, value in changes.items()})
    return text if rng.random() < 0.9 else text.replace(b',"', b', "').replace(b'":', b'": ')


def raw_stroke(rng: random.Random) -> list[list[float]]:
    """A stroke of three lists, of whole numbers or not."""
    points, digits = rng.randint(1, 8), rng.choice([None, None, 1, 3, 12])
    x, y = ([round(rng.gauss(300, 200), digits) for _ in range(points)] for _ in "xy")
    return [x, y, [rng.randint(0, 999) for _ in range(points)]]


def nested(rng: random.Random, depth: int) -> bytes:
    """A random JSON value, mostly shallow, now and then around the deepest that is read."""
    if rng.random() < 0.05:
        levels = rng.randint(60, 68)
        opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"":', b"}]")])
        return opening * (levels // len(opening.split(b"{"))) + b"0" + closing * (levels // len(opening.split(b"{")))
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(
            [b"1", b"-0.5e+3", b'"x"', b"null", b"true", rb'"\ud83d\ude00"', '"é"'.encode(), b"[]", b"{}"]
        )
    inner = [nested(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.5:
        return b"[" + b",".join(inner) + b"]"
    return b"{" + b",".join(b'"%d":%b' % (k, value) for k, value in enumerate(inner)) + b"}"


def mutated(rng: random.Random, text: bytes, other: bytes) -> bytes:
    """`text` after one change of a random kind; `other` is a line to take a part of."""
    at = rng.randint(0, len(text))
    end = min(len(text), at + rng.choice([0, 1, 1, 2, 3, 8, 30]))
    kind = rng.randrange(9)
    if kind == 0 and at < len(text):  # a bit
        return text[:at] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1 :]
    if kind == 1:  # a byte
        return text[:at] + bytes([rng.randrange(256)]) + text[at + rng.randint(0, 1) :]
    if kind == 2:  # dropped
        return text[:at] + text[end:]
    if kind == 3:  # doubled
        return text[:end] + text[at:]
    if kind == 4:  # spliced
        return text[:at] + other[rng.randint(0, len(other)) :]
    if kind == 5:  # a character
        return (
            text[:at]
            + chr(rng.choice([rng.randrange(32, 0xD800), rng.randrange(0xE000, 0x110000)])).encode()
            + text[at:]
        )
    if kind == 6:  # a field more, nested
        return text.replace(b"}", b',"%d":' % at + nested(rng, 3) + b"}", 1)
    return text[:at] + rng.choice(PIECES) + text[rng.choice([at, end]) :]


def lines_of(rng: random.Random, count: int) -> list[bytes]:
    """`count` lines, each after none to four changes."""
    lines = []
    for _ in range(count):
        text, other = (rng.choice([drawing_line(rng), drawing_line(rng), rng.choice(SEEDS)]) for _ in range(2))
        text = rng.choice(KNOWN) if rng.random() < 0.05 else text
        for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3, 4])):
            text = mutated(rng, text, other)
        lines.append(text.replace(b"\n", b" "))
    return lines


def fuzz(count: int, seed: int) -> Counter[str]:
    """Scan `count` lines; returns how many were accepted, blank, and rejected for each reason."""
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    for start in range(0, count, BATCH):
        lines = lines_of(rng, min(BATCH, count - start))
        text = b"\n".join([*lines, b""])
        assert_as_naive(text)
        scanned = scan(text)
        bad = rejects(scanned)
        found.update(reject.reason for reject in bad)
        found["accepted"] += len(scanned.drawings)
        found["blank"] += len(lines) - len(scanned.drawings) - len(bad)
    return found


def test_no_mutated_line_fares_otherwise_than_with_the_slow_reader() -> None:
    found = fuzz(INPUTS, seed=1)
    assert found.total() == INPUTS
    assert found["accepted"] > INPUTS // 5, found
    assert len(found) > 15, found


def test_every_spelling_of_a_value_is_judged_as_the_slow_reader_judges_it() -> None:
    numbers = [str(number) for number in [*range(300), 989, 999, 1000, 1001, 2550, 25500, 100000000]]
    spelled = [f"{zeros}{number}" for number in numbers for zeros in ("", "0", "00")]
    strange = [number[:k] + chr(c) + number[k:] for number in ("7", "42") for k in range(3) for c in range(32, 128)]
    lists = ["[{}]", "[1,{}]", "[{},1]", "[20,{},1]", "[1,20,{}]", "[{} ,1]", "[{}, 1]", "[1, {}]", "[\t{}]", "[{}\r]"]
    texts = [
        f'{{"word":"x","drawing":[[{axis % value},[{",".join("1" * (axis.count(",") + 1))}]]]}}'
        for value in (spelled if JIT else spelled[::50]) + (strange if JIT else strange[::50])
        for axis in [pattern.replace("{}", "%s") for pattern in lists]
    ]
    assert_as_naive("\n".join([*texts, ""]).encode())


if __name__ == "__main__":
    print(fuzz(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 1))
