import gzip
import json
import math
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.sources.limits import MAX_POINTS, MAX_RAW_POINTS
from pipeline.sources.raw import simplify
from pipeline.sources.scanner import faults
from pipeline.sources.scanner import raw_strokes as rk
from pipeline.sources.scanner.other_strokes import scan_shape
from pipeline.sources.scanner.shapes import has_times
from pipeline.sources.scanner.simplify import MAX_SAMPLES
from tests.sources import naive_simplify as naive
from tests.sources.raw_drawings import LEGAL_NUMBERS, MALFORMED, SHAPES

JIT = not numba.config.DISABLE_JIT
EXAMPLES = 300 if JIT else 30
GOOGLES_SHARE = 1.0  # identical drawings, of the 6,441 that stand in both forms
SCRATCH = rk.make_scratch()

Points = list[list[list[int]]]


def scan(text: bytes) -> tuple[Points, tuple[int, ...]]:
    """The strokes of a raw drawing's JSON, read with just the memory that `scan_chunk` gives, or the fault."""
    buf = np.frombuffer(text + b"\n", np.uint8)
    x, y = np.empty(len(buf) // 2 + 1, np.uint8), np.empty(len(buf) // 2 + 1, np.uint8)
    stroke_end, size, fault = np.empty(len(buf) // 9 + 1, np.int64), np.zeros(2, np.int64), np.zeros(4, np.int64)
    end = scan_shape(buf, 0, 0, x, y, stroke_end, size, fault, SCRATCH, faults.RAW, np.zeros(1, np.int64))
    if end < 0:
        assert size.tolist() == [0, 0]
        return [], tuple(fault.tolist())
    assert size[1] == stroke_end[size[0] - 1]
    if text[end:].strip():
        return [], (faults.SYNTAX, end + 1, ord(","), text[end])  # as the scanner of lines has it
    return as_lists(x[: size[1]], y[: size[1]], stroke_end[: size[0]]), ()


def as_lists(x: np.ndarray, y: np.ndarray, stroke_end: np.ndarray) -> Points:
    pairs = zip(np.split(x, stroke_end[:-1]), np.split(y, stroke_end[:-1]), strict=True)
    return [[stroke_x.tolist(), stroke_y.tolist()] for stroke_x, stroke_y in pairs]


def simplified(strokes: naive.Strokes) -> Points:
    return [[x.tolist(), y.tolist()] for x, y in simplify(strokes)]


def raw_json(strokes: naive.Strokes) -> bytes:
    return json.dumps([[list(x), list(y), list(range(len(x)))] for x, y in strokes]).encode()


def scan_numbers(texts: list[str]) -> list[float]:
    out, fault = np.empty(len(texts)), np.zeros(4, np.int64)
    buf = np.frombuffer(f"[{','.join(texts)}]\n".encode(), np.uint8)
    _, count = rk.scan_floats(buf, 0, 0, out, 1, 0, fault)
    assert (count, fault[0]) == (len(texts), 0)
    return out.tolist()


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_simplified_as_the_slow_version_does(name: str) -> None:
    assert simplified(SHAPES[name]) == naive.simplify(SHAPES[name])
    assert scan(raw_json(SHAPES[name])) == (naive.simplify(SHAPES[name]), ())


def test_dots_are_doubled_and_corners_below_two_pixels_go() -> None:
    assert simplified([([5], [7])]) == [[[0, 0], [0, 0]]]
    assert simplified(SHAPES["exactly two pixels off"]) == [[[0, 255], [0, 0]]]
    assert simplified([([0, 100, 255], [0, 3, 0])]) == [[[0, 100, 255], [0, 3, 0]]]


def test_a_stroke_may_have_more_points_than_before_and_they_fit() -> None:
    ((x, _),) = simplified(SHAPES["three sides, of which one is parallel to the chord"])
    assert len(x) > 4


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32), turn=st.sampled_from([0.1, 0.5, 3.0]), digits=st.sampled_from([0, 1, 14]))
def test_random_walks_are_simplified_as_the_slow_version_does(seed: int, turn: float, digits: int) -> None:
    rng = np.random.default_rng(seed)
    strokes = []
    for _ in range(rng.integers(1, 5)):
        angle = np.cumsum(rng.normal(0, turn, rng.integers(1, 40)))
        step = rng.exponential(9, len(angle)) * rng.integers(0, 2, len(angle)).astype(float) ** rng.integers(0, 2)
        x, y = np.cumsum(np.cos(angle) * step) - 300, np.cumsum(np.sin(angle) * step) * 2
        strokes.append((x.round(digits).tolist(), y.round(digits).tolist()))
    assert simplified(strokes) == naive.simplify(strokes)
    assert scan(raw_json(strokes)) == (naive.simplify(strokes), ())


coordinates = st.integers(-9, 9) | st.floats(-1e3, 1e3) | st.floats(-1e290, 1e290)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12), min_size=1, max_size=4))
def test_coordinates_of_any_size_are_simplified_as_the_slow_version_does(
    points: list[list[tuple[float, float]]],
) -> None:
    strokes = [([x for x, _ in stroke], [y for _, y in stroke]) for stroke in points]
    assert simplified(strokes) == naive.simplify(strokes)


def test_the_largest_floats_do_not_overflow() -> None:
    small = [([-1.5, 0.25, 1.5, 1.5], [-1.5, 1.5, 0.75, -1.5])]
    large = [([value * 2.0**1023 for value in x], [value * 2.0**1023 for value in y]) for x, y in small]
    assert simplified(large) == scan(raw_json(large))[0] == simplified(small)


def test_a_drawing_is_put_behind_those_before_it() -> None:
    first, second = raw_json(SHAPES["a zigzag"]), raw_json(SHAPES["a point beside a line"])
    buf = np.frombuffer(first + b"\n" + second + b"\n", np.uint8)
    x, y = np.zeros(len(buf) // 2 + 1, np.uint8), np.zeros(len(buf) // 2 + 1, np.uint8)
    stroke_end, size, fault = np.zeros(len(buf) // 9 + 1, np.int64), np.zeros(2, np.int64), np.zeros(4, np.int64)
    for start in (0, len(first) + 1):
        end = scan_shape(buf, start, start, x, y, stroke_end, size, fault, SCRATCH, faults.RAW, np.zeros(1, np.int64))
        assert end > 0
    found = as_lists(x[: size[1]], y[: size[1]], stroke_end[: size[0]])
    assert found == scan(first)[0] + scan(second)[0]


@pytest.mark.parametrize("name", MALFORMED)
def test_every_bad_drawing_is_refused_with_its_reason(name: str) -> None:
    text, fault = MALFORMED[name]
    assert scan(text) == ([], fault + (0,) * (4 - len(fault)))
    assert not naive.is_raw(text)


def test_a_drawing_cut_anywhere_is_truncated() -> None:
    whole = b"[[[1,-2.5e+1], [3,44] ,[0,17]],[[5],[6.25],[20]]]"
    assert scan(whole)[1] == ()
    for cut in range(1, len(whole)):
        assert scan(whole[:cut])[1][0] == faults.TRUNCATED, whole[:cut]


@settings(max_examples=EXAMPLES * 5, deadline=None)
@given(st.integers(0, 2**32))
def test_a_drawing_with_a_changed_byte_is_accepted_just_where_the_slow_parser_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = bytearray(b"[[[1,-2.5e+1,0], [30,0.4,1E2] ,[0,17,16]],[[5],[6.25],[20]]]")
    for _ in range(rng.integers(1, 4)):
        text[rng.integers(len(text))] = rng.choice(list(b'[],.-+eE0123456789 \tnN"{}'))
    found, fault = scan(bytes(text))
    if naive.is_raw(bytes(text)):
        assert (found, fault) == (naive.simplify(naive.parse(bytes(text))), ())
    else:
        assert fault != ()


def test_spaces_may_stand_wherever_json_lets_them() -> None:
    assert scan(b"[ [\t[ 1 , 200 ] , [ 3 ,4\r] ,[0 , 5 ] ] ]") == scan(b"[[[1,200],[3,4],[0,5]]]")


def test_legal_numbers_of_every_kind_are_read() -> None:
    assert scan_numbers(LEGAL_NUMBERS) == [float(text) for text in LEGAL_NUMBERS]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(-22, 22)), min_size=1))
def test_numbers_of_15_digits_are_exact(parts: list[tuple[int, int]]) -> None:
    texts = [f"{mantissa}e{power}" for mantissa, power in parts]
    assert scan_numbers(texts) == [float(text) for text in texts]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.floats(-3000, 3000), min_size=1))
def test_coordinates_as_programs_write_them_are_exact(values: list[float]) -> None:
    texts = [f"{value:.14f}" for value in values] + [f"{value:.17f}" for value in values]
    assert scan_numbers(texts) == [float(text) for text in texts]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**40), 10**40), min_size=1))
def test_no_number_is_off_by_more_than_two_units_in_the_last_place(values: list[float]) -> None:
    texts = [str(value) for value in values] + [f"{float(value):.30e}" for value in values]
    for text, found in zip(texts, scan_numbers(texts), strict=True):
        units = 2 if abs(float(text)) >= 1e-290 else 3  # as many roundings as `to_float` says
        assert abs(found - float(text)) <= units * math.ulp(float(text)), text


def test_a_line_too_long_to_sample_is_refused_and_needs_no_more_memory() -> None:
    there_and_back = [0, 1] * (MAX_SAMPLES // 500)
    assert scan(raw_json([(there_and_back, there_and_back)]))[1] == (faults.LONG_PATH, MAX_SAMPLES, 0, 0)
    assert scan(raw_json([([0, 1], [0, 0])] * (MAX_SAMPLES // 255)))[1] == (0,) * 0
    assert scan(raw_json([([0, 1], [0, 0])] * (MAX_SAMPLES // 253)))[1] == (faults.LONG_PATH, MAX_SAMPLES, 0, 0)


def test_more_points_than_a_shard_can_count_are_refused() -> None:
    dots = MAX_POINTS // 2
    assert len(scan(b"[" + b",".join([b"[[1],[2],[3]]"] * dots) + b"]")[0]) == dots
    refused = scan(b"[" + b",".join([b"[[1],[2],[3]]"] * (dots + 1)) + b"]")[1]
    assert refused == (faults.TOO_MANY, MAX_POINTS, 0, 0)


def test_more_points_than_a_raw_drawing_may_have_are_refused() -> None:
    ones = b"1," * MAX_RAW_POINTS + b"1"
    assert scan(b"[[[" + b"],[".join([ones] * 3) + b"]]]")[1] == (faults.TOO_MANY, MAX_RAW_POINTS, 0, 0)


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        (b"[[[1],[2],[3]]]", True),
        (b" [ [[1.5],[2],[3]],[[4],[5]]]"[1:], True),
        (b"[[[1],[2]]]", False),
        (b"[[[1],[2]],[[1],[2],[3]]]", False),
        (b'[],"x":[[[],[],[]]]', False),
        (b'null,"x":[[[],[],[]]]', False),
        (b"[[[1],[2", False),
    ],
)
def test_a_raw_drawing_is_told_by_its_first_stroke(text: bytes, raw: bool) -> None:
    assert has_times(np.frombuffer(text + b"\n", np.uint8), 0) == raw


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ([], "the drawing has no strokes"),
        ([([1], [2]), ([], [])], "stroke 2 has no points"),
        ([([1, 2], [3])], "stroke 1 has x of shape"),
        ([([[1]], [[2]])], "stroke 1 has x of shape"),
        ([([1], [math.nan])], "stroke 1 has a coordinate that is not a finite number"),
        ([([1], [10**400])], "stroke 1 is not two lists of numbers"),
        ([([1], ["a"])], "stroke 1 is not two lists of numbers"),
        ([([1], [2], [3])], "stroke 1 is not two lists of numbers"),
        ([([0, 1] * 900, [0, 1] * 900)], "longer than 131072 pixels"),
        ([([1], [2])] * 40_000, "more than 65535 points"),
    ],
)
def test_what_is_no_drawing_is_refused_in_a_line(strokes: naive.Strokes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        simplify(strokes)


def test_google_s_own_points_come_out_of_the_drawings_that_stand_in_both_forms(quickdraw: Path) -> None:
    same = total = 0
    for path in sorted((quickdraw / "raw").glob("*.ndjson.gz"))[:: 1 if JIT else 60]:
        lines = (quickdraw / "simplified" / path.stem).read_text().splitlines()
        drawings = {record["key_id"]: record["drawing"] for record in map(json.loads, lines)}
        for line in gzip.decompress(path.read_bytes()).splitlines():
            record = json.loads(line)
            if record["key_id"] in drawings:
                found, fault = scan(line[line.index(b"[") : line.rindex(b"]") + 1])
                assert fault == (), (path.name, record["key_id"])
                same += found == drawings[record["key_id"]]
                total += 1
    assert total == 6441 if JIT else total > 50
    assert same >= GOOGLES_SHARE * total
