"""The strokes of SVG files."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.drawings import Drawings, from_strokes
from pipeline.errors import InputError
from pipeline.pictures.svg import encode_svg
from pipeline.tracing.read import read_picture
from pipeline.tracing.svg import MOST_DEPTH, MOST_POINTS, read_svg
from pipeline.tracing.svg_paths import Line

OPEN = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 50" stroke="black" fill="none">'


def strokes_of(body: str, begin: str = OPEN) -> list[Line]:
    """The strokes of an SVG file with this body, their points to 6 digits."""
    drawing = read_svg(f"{begin}{body}</svg>".encode(), "a.svg")
    return [[complex(round(point.real, 6), round(point.imag, 6)) for point in line] for line in drawing.strokes]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<path d="M1 2L3 4"/>', [[1 + 2j, 3 + 4j]]),
        ('<path d="m1,2 3 4l-1-1"/>', [[1 + 2j, 4 + 6j, 3 + 5j]]),
        ('<path d="M0 0h5v5H1V2z"/>', [[0, 5, 5 + 5j, 1 + 5j, 1 + 2j, 0]]),
        ('<path d="M0 0 1 1zm5 5 1 1Z l2 0"/>', [[0, 1 + 1j, 0], [5 + 5j, 6 + 6j, 5 + 5j], [5 + 5j, 7 + 5j]]),
        ('<path d="M.5.5-1e1+2"/>', [[0.5 + 0.5j, -10 + 2j]]),
        ('<path d="M3 3"/><path d="M4 4z"/>', [[4 + 4j, 4 + 4j]]),
        ('<path d=""/><path/><polyline/><line x2="7"/>', [[0, 7]]),
        ('<path d="none"/><path d="M0 0A1e-320 1e-320 0 0 1 5 5"/>', [[0, 5 + 5j]]),
        ('<g visibility="hidden"><line x2="7"/><line x2="8" visibility="visible"/></g>', [[0, 8]]),
        ('<polyline points="0,0 5,5 9 9"/>', [[0, 5 + 5j, 9 + 9j]]),
        ('<polygon points="0,0 5,5 9 0"/>', [[0, 5 + 5j, 9, 0]]),
        ('<line x1="1" y1="2" x2="1cm" y2="50%"/>', [[1 + 2j, round(96 / 2.54, 6) + 25j]]),
        ('<rect x="1" y="2" width="3" height="4"/>', [[1 + 2j, 4 + 2j, 4 + 6j, 1 + 6j, 1 + 2j]]),
        ('<g transform="translate(10 20)"><g transform="scale(2)"><line x2="3"/></g></g>', [[10 + 20j, 16 + 20j]]),
        ('<line x1="1" x2="3" transform="rotate(90)"/>', [[1j, 3j]]),
        ('<line x1="1" x2="3" transform="rotate(180,2,1)"/>', [[3 + 2j, 1 + 2j]]),
        ('<line x1="1" x2="3" transform="matrix(1 2 3 4 5 6), skewX(0)"/>', [[6 + 8j, 8 + 12j]]),
        ('<defs><line x2="9"/></defs><line x2="3"/>', [[0, 3]]),
        ('<g display="none"><line x2="9"/></g><line x2="9" style="display:none"/><line x2="3"/>', [[0, 3]]),
        ('<line x2="9" stroke="none"/><g style="fill:red; stroke : none"><line x2="8"/></g><line x2="3"/>', [[0, 3]]),
        ('<x:path xmlns:x="http://example.org" d="M0 0L9 9"/><line x2="3"/>', [[0, 3]]),
    ],
)
def test_lines_are_strokes(body: str, expected: list[Line]) -> None:
    assert strokes_of(body) == expected


@pytest.mark.parametrize("body", ['<circle cx="50" cy="20" r="10"/>', '<ellipse cx="50" cy="20" rx="10" ry="10"/>',
                                  '<path d="M60 20A10 10 0 1 1 40 20A10 10 0 1 1 60 20"/>',
                                  '<path d="M60 20a10 10 0 0 1-20 0 10 10 0 01 20 0z"/>'])  # fmt: skip
def test_a_circle_is_a_closed_stroke_on_its_outline(body: str) -> None:
    (line,) = strokes_of(body)
    assert abs(line[0] - line[-1]) < 1e-5
    assert [abs(point - (50 + 20j)) for point in line] == pytest.approx([10] * len(line), abs=1e-4)
    assert {(point.real > 50, point.imag > 20) for point in line} == {(a, b) for a in (0, 1) for b in (0, 1)}


@pytest.mark.parametrize(
    ("d", "point"),
    [
        ("M0 0C0 4 8 4 8 0", 4 + 3j),
        ("M0 0c0 4 8 4 8 0", 4 + 3j),
        ("M0 0Q4 6 8 0", 4 + 3j),
        ("M-8 0Q-4 -6 0 0T8 0", 4 + 3j),
        ("M-8 0C-8 -4 0 -4 0 0S8 4 8 0", 4 + 3j),
        ("M0 0S8 4 8 0", 4 + 1.5j),
    ],
)
def test_a_curve_passes_through_its_middle(d: str, point: complex) -> None:
    (line,) = strokes_of(f'<path d="{d}"/>')
    assert min(abs(one - point) for one in line) < 1e-6
    assert (line[-1].real, line[-1].imag) == (8, 0)


def test_outlines_are_taken_where_nothing_has_a_stroke_but_not_the_paper() -> None:
    body = '<rect width="100" height="50" fill="white"/><path d="M10 10L20 10 20 20z"/>'
    plain = '<svg xmlns="http://www.w3.org/2000/svg">'
    assert strokes_of(body, plain) == [[10 + 10j, 20 + 10j, 20 + 20j, 10 + 10j]]
    assert read_svg(f"{plain}{body}</svg>".encode(), "a.svg").has_outlines
    styled = f"{plain}<style>.a {{ stroke: red }}</style>" + body.replace("<path", '<path class="a"')
    assert not read_svg(f"{styled}</svg>".encode(), "a.svg").has_outlines


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{OPEN}<path d='M0 0L1'/></svg>", 'a.svg:1: path: expected a number for L at character 7, found ""'),
        (f"{OPEN}\n<path id='tail' d='0 0L1 1'/></svg>", 'a.svg:2: path "tail": expected a command at character 1'),
        (f"{OPEN}<path d='M0 0A1 1 0 2 0 5 5'/></svg>", "expected 0 or 1 for A"),
        (f"{OPEN}<path d='M0 0L1e999 0'/></svg>", "is too large"),
        (f"{OPEN}<path d='L1 1'/></svg>", "path: expected M or m at the beginning"),
        (f"{OPEN}<polyline points='1 2 3'/></svg>", "points has 3 numbers"),
        (f"{OPEN}<line x1='wide'/></svg>", 'line: expected a length in pixels, found "wide"'),
        (f"{OPEN}<g transform='turn(3)'/></svg>", "g: expected matrix, translate, scale, rotate or skew"),
        (f"{OPEN}<line x2='1e200' transform='scale(1e200)'/></svg>", "line: a coordinate is too large"),
        (f"{OPEN}<line x2='3'", "not well-formed XML"),
        (f"{OPEN}<text>cat</text></svg>", "without a line that is shown"),
        (f"{OPEN}</svg>", "without a line that is shown"),
        ('<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>', 'declares the entity "a"'),
        ('<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>', 'declares the entity "a"'),
        ('<?xml version="1.0" encoding="klingon"?><svg/>', "not well-formed XML"),
        ("<g>" * (MOST_DEPTH + 1), "elements within each other"),
        (f"{OPEN}<polyline points='{'1 2 ' * (MOST_POINTS + 1)}'/></svg>", "more than 100,000 points"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_element(content: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_svg(content.encode(), "a.svg")
    assert said in str(caught.value)
    assert str(caught.value).startswith("a.svg:")


def test_a_doctype_without_entities_is_read_and_no_other_file() -> None:
    doctype = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://127.0.0.1:1/svg11.dtd">'
    assert strokes_of('<line x2="3"/>', doctype + OPEN) == [[0, 3]]


def read_back(drawing: Drawings, path: Path) -> Drawings:
    path.write_bytes(encode_svg(drawing, 300))
    found = read_picture(path, str(path), lambda _message: None)
    assert found is not None
    return found


def test_what_replay_writes_is_read_back_with_the_same_points(tmp_path: Path) -> None:
    strokes = [[[3, 9, 200], [7, 40, 41]], [[30, 30], [50, 50]], [[0, 100], [0, 9]]]
    drawing = from_strokes([strokes], ["cat"])
    found = read_back(drawing, tmp_path / "cat.svg")
    assert found.strokes(0) == strokes
    assert found.words == [""]
    other = from_strokes([[[[0, 255], [0, 255]]]], ["dog"])
    assert read_back(other, tmp_path / "dog.svg").key_id != found.key_id


def test_other_strokes_are_simplified_to_255(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text(f'{OPEN}<polyline points="0,0 500,0 1000,0 1000,500"/></svg>')
    found = read_picture(path, str(path), lambda _message: None)
    assert found is not None
    assert found.strokes(0) == [[[0, 255, 255], [0, 0, 128]]]
    assert found.x.dtype == np.uint8
