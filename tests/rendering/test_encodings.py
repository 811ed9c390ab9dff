import itertools
import math
import os
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.rendering.raster import ENCODINGS, PALETTE, Encoding
from tests.rendering.naive_raster import render_drawing
from tests.rendering.test_raster import FEW, HAND_MADE, LINE, Stroke, psnr, random_drawing, render

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"


def test_channels_are_those_of_the_images() -> None:
    for name, encoding in ENCODINGS.items():
        assert render([LINE], encoding=name).shape == (1, 64, 64, encoding.channels)


def test_gray_is_the_union_of_all_strokes() -> None:
    random = np.random.default_rng(1)
    for drawing in [random_drawing(random) for _ in range(12 if JIT else 1)]:
        gray = render(drawing, encoding="gray")[0]
        white = render(drawing, encoding=Encoding("white", 3, PALETTE[:1]))[0]
        assert np.array_equal(np.repeat(gray, 3, axis=2), white)
        expected = render_drawing(drawing, np.array([[255, 255, 255]]), 64, 1.25)
        assert psnr(white, expected) > 30


def test_red_of_order_is_ink() -> None:
    random = np.random.default_rng(2)
    drawings = [random_drawing(random) for _ in range(FEW)] + list(HAND_MADE.values())[:: 1 if JIT else 6]
    order, gray = (render(*drawings, encoding=name) for name in ("order", "gray"))
    assert np.array_equal(order[..., :1], gray)


def turn_of(u: float, v: float) -> float:
    """The place of a direction on the square |u| + |v| = 1, 0-255 from left by up, right and down."""
    corners = np.array([[-1, 0], [0, -1], [1, 0], [0, 1], [-1, 0]])
    along = np.array([u, v]) / (abs(u) + abs(v))
    side = int(np.argmin([np.abs(along - a).sum() + np.abs(along - b).sum() for a, b in itertools.pairwise(corners)]))
    return 255 * (side + np.abs(along - corners[side]).sum() / 2) / 4


@pytest.mark.parametrize("degrees", [10, 45, 80, 100, 135, 170, 190, 260, 280, 350])
def test_blue_of_order_is_the_direction_of_each_segment(degrees: int) -> None:
    u, v = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    stroke: Stroke = [[128, 128 + 100 * u], [128, 128 + 100 * v]]
    image = render([stroke], encoding="order", line_width=6.0)[0]
    middle = image[int(32 + 12 * v), int(32 + 12 * u)]
    assert middle[0] == 255
    assert abs(middle[2] - turn_of(u, v)) < 1


def test_green_of_order_is_the_share_of_the_drawing_by_length() -> None:
    # Lengths 100, 50 and 50 of 200: middles at a quarter, five eighths, seven eighths; the way between is not counted.
    drawing = [[[20, 120], [40, 40]], [[20, 70, 120], [200, 200, 200]]]
    image = render(drawing, encoding="order", line_width=4.0)[0]
    assert image[10, 17].tolist()[:2] == [255, round(255 / 4)]
    assert image[50, 10].tolist()[:2] == [255, round(255 * 5 / 8)]
    assert image[50, 25].tolist()[:2] == [255, round(255 * 7 / 8)]


def test_dots_and_empty_drawings_have_an_order_too() -> None:
    dot, none = render([[[100], [60]]], [], encoding="order")
    assert dot[..., 0].sum() / 255 == pytest.approx(1.25**2, rel=0.02)
    assert not none.any()


def test_each_drawing_may_have_a_line_width_of_its_own() -> None:
    widths = np.array([0.7, 1.25, 5.0])
    together = render([LINE], [LINE], [LINE], line_width=widths)
    apart = [render([LINE], line_width=float(width))[0] for width in widths]
    assert np.array_equal(together, np.stack(apart))


@pytest.mark.parametrize(
    ("table", "channels"), [(np.zeros((0, 3), np.uint8), 3), (np.zeros((2, 3)), 3), (PALETTE[:, :2], 3), (PALETTE, 2)]
)
def test_an_encoding_refuses_tables_and_channels_that_do_not_fit(table: Any, channels: int) -> None:
    with pytest.raises(UsageError, match="must be"):
        Encoding("", channels, table)
