"""Hand-made pictures, and the strokes that are found in them."""

import math

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.tracing.order import length_of
from tests.tracing.pictures import Points, ends, lined, traced


def circle(x: float, y: float, radius: float) -> Points:
    turns = [math.radians(4 * k) for k in range(91)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


@pytest.mark.parametrize("width", [1, 2, 6, 12])
def test_a_line_is_one_stroke_to_its_ends(width: int) -> None:
    found = traced(lined([(40, 60), (160, 120)], width=width))
    (stroke,) = found.strokes
    assert stroke[0] == pytest.approx([40, 60], abs=1 + width / 2)
    assert stroke[-1] == pytest.approx([160, 120], abs=1 + width / 2)
    assert found.line_width * (120 + width) == pytest.approx(width, abs=2.5)


def test_a_cross_is_two_straight_strokes() -> None:
    found = traced(lined([(40, 40), (160, 160)], [(160, 40), (40, 160)]))
    assert sorted(map(ends, found.strokes)) == [[(40, 40), (160, 160)], [(40, 160), (160, 40)]]
    for stroke in found.strokes:
        assert length_of(stroke) == pytest.approx(120 * math.sqrt(2), rel=0.1)
        across = np.abs(stroke[:, 0] - stroke[:, 1]), np.abs(stroke.sum(axis=1) - 200)
        assert min(map(np.max, across)) <= 3  # pixels beside the line


def test_a_flat_crossing_is_crossed_straight_though_thinning_splits_it() -> None:
    found = traced(lined([(20, 80), (180, 120)], [(20, 120), (180, 80)], width=8))
    assert sorted(map(ends, found.strokes)) == [[(20, 80), (180, 120)], [(20, 120), (180, 80)]]


def test_a_t_is_its_bar_and_its_stem() -> None:
    bar, stem = sorted(traced(lined([(40, 40), (160, 40)], [(100, 40), (100, 160)])).strokes, key=np.ptp)
    bar, stem = (bar, stem) if np.ptp(bar[:, 0]) > np.ptp(stem[:, 0]) else (stem, bar)
    assert ends(bar) == [(40, 40), (160, 40)]
    assert stem[-1] == pytest.approx([100, 160], abs=4)
    assert stem[0] == pytest.approx([100, 40], abs=6)


def test_a_y_is_two_strokes_that_meet() -> None:
    strokes = traced(lined([(100, 180), (100, 100), (40, 40)], [(100, 100), (160, 40)])).strokes
    assert len(strokes) == 2
    assert sum(map(length_of, strokes)) == pytest.approx(80 + 2 * 60 * math.sqrt(2), rel=0.1)


def test_a_circle_is_one_closed_stroke() -> None:
    (stroke,) = traced(lined(circle(100, 100, 60))).strokes
    assert stroke[0] == pytest.approx(stroke[-1])
    assert np.hypot(*(stroke - 100).T) == pytest.approx(np.full(len(stroke), 60), abs=3)


def test_a_dot_is_a_stroke_of_one_point() -> None:
    strokes = traced(lined([(20, 100), (180, 100)], [(100, 50), (100, 50)], width=8)).strokes
    (dot,) = (stroke for stroke in strokes if len(stroke) == 1)
    assert dot[0] == pytest.approx([100, 50], abs=1)
    assert len(strokes) == 2


def test_an_angle_is_one_stroke_without_spurs() -> None:
    (stroke,) = traced(lined([(40, 40), (160, 40), (160, 160)], width=12)).strokes
    assert ends(stroke) == [(40, 40), (160, 160)]


def test_a_loop_that_the_pen_filled_is_a_loop() -> None:
    strokes = traced(lined([(20, 100), (180, 100)], circle(100, 50, 8), size=(200, 200), width=12)).strokes
    (loop,) = (stroke for stroke in strokes if stroke[:, 1].max() < 80)
    assert loop[0] == pytest.approx(loop[-1])
    assert np.ptp(loop, axis=0) == pytest.approx([14, 14], abs=5)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_without_a_line_is_an_error(level: int) -> None:
    with pytest.raises(InputError, match="a picture: no line was found"):
        traced(Image.new("L", (50, 40), level))


def test_noise_is_no_drawing() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (700, 700), np.uint8)
    with pytest.raises(InputError, match=r"expected a drawing of lines on paper|no line was found"):
        traced(Image.fromarray(levels))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 30), (3, 3)])
def test_the_smallest_pictures_are_read_or_refused(size: tuple[int, int]) -> None:
    image = Image.new("L", size, 255)
    image.putpixel((size[0] // 2, size[1] // 2), 0)
    try:
        found = traced(image)
    except InputError:  # any other error fails the test
        return
    assert found.strokes
