import numpy as np
import pytest

from pipeline.sources.scanner.columns import ROW_COLUMNS
from pipeline.sources.scanner.lines import scan_lines
from tests.sources.naive_ndjson import assert_as_naive
from tests.sources.ndjson_lines import drawing, line

OTHER_FORMS = {
    "a raw drawing": drawing("[[[1,2.5],[3,4],[0,16]]]"),
    "a coordinate above 255": drawing("[[[1,256],[3,4]]]"),
    "a coordinate that is no whole number": drawing("[[[1,2.5],[3,4]]]"),
    "points": drawing("[[[1,2],[3,4],[5,6],[7,8]]]"),
    "objects": drawing('[[{"x":1,"y":2}]]'),
    "a timestamp without a time": line(timestamp='"2017-03-02"'),
    "a timestamp that is a number": line(timestamp="1488497110"),
    "recognized as text": line(recognized='"True"'),
    "recognized as a number": line(recognized="1"),
    "a key_id that is a name": line(key_id='"user-0"'),
    "a country that is a number": line(countrycode="7"),
}
GOOGLES = line() + b"\n"


def scan_without_scratch(text: bytes) -> tuple[int, list[int]]:
    """How many lines `scan_lines` rejects without scratch, and its `place` afterwards."""
    x, y = np.empty(len(text) // 2 + 1, np.uint8), np.empty(len(text) // 2 + 1, np.uint8)
    rows, key_ids = np.empty((ROW_COLUMNS, len(text)), np.int64), np.empty(len(text), np.uint64)
    ends, rejects, place = np.empty((2, len(text)), np.int64), np.empty((1024, 6), np.int64), np.zeros(5, np.int64)
    buf = np.frombuffer(text, np.uint8)
    rejected = scan_lines(buf, True, x, y, ends[0], ends[1], rows, key_ids, rejects, place, None)
    return rejected, place.tolist()


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_without_scratch_the_scanner_stops_before_the_first_line_of_another_form(name: str) -> None:
    before = GOOGLES + b"\n{}\n"
    assert scan_without_scratch(before + OTHER_FORMS[name] + b"\n" + GOOGLES) == (1, [len(before), 3, 1, 1, 2])


def test_a_line_of_google_s_form_that_is_cut_off_anywhere_is_rejected_without_scratch() -> None:
    text = b"".join(line()[:end] + b"\n" for end in range(1, len(line())))
    assert scan_without_scratch(text + GOOGLES) == (len(line()) - 1, [len(text + GOOGLES), len(line()), 1, 1, 2])


def test_lines_of_both_forms_keep_their_order_among_rejects() -> None:
    for other in OTHER_FORMS.values():
        assert_as_naive(GOOGLES + other + b"\n\nx\n" + GOOGLES + line()[:-9] + b"\n" + other + b"\n")
    assert_as_naive(b"x\n" * 1024 + b"\n".join([*OTHER_FORMS.values(), b""]) + GOOGLES)
