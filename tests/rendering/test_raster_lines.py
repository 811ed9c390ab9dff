"""Lines against themselves: retraced, in pieces, lying and standing; and sizes and options of other types."""

from typing import Any

import numpy as np
import pytest

from pipeline.errors import UsageError
from tests.rendering.test_raster import JIT, LINE, Stroke, render


@pytest.mark.parametrize("stroke", [[[100, 112, 100], [60, 200, 60]], [[100, 110, 100], [60, 80, 60]]])
def test_a_short_line_retraced_is_no_bolder(stroke: Stroke) -> None:
    once = render([[axis[:2] for axis in stroke]], encoding="gray")[0].astype(int)
    assert np.abs(render([stroke], encoding="gray")[0] - once).max() <= 2


def test_a_line_that_comes_back_at_a_small_angle_has_the_greater_coverage_of_the_two() -> None:
    there, back = ([[40, 200], [60, 90]], [[200, 40], [90, 64]])
    both = render([[[40, 200, 40], [60, 90, 64]]], encoding="gray")[0].astype(int)
    greater = np.maximum(*(render([stroke], encoding="gray")[0] for stroke in (there, back)))
    assert np.abs(both - greater)[:, :48].max() <= 3  # the turn at x = 50 has a joint, and the two have caps


@pytest.mark.parametrize("end", [[250, 131], [250, 60], [140, 250]])
def test_a_long_line_is_that_of_its_short_pieces(end: list[float]) -> None:
    along = np.linspace(0, 1, 13)[:, None] * (np.array(end) - (11, 128)) + (11, 128)
    long = render([[[11, end[0]], [128, end[1]]]], encoding="gray")[0].astype(int)
    off = np.abs(render([along.T.tolist()], encoding="gray")[0] - long)
    assert (off > 3).sum() <= 2  # a pixel whose centre a joint's cut meets, 1/64 of a pixel wide, may be of neither


def test_coverage_is_rounded_not_cut() -> None:
    image = render([[[-10, 300], [100, 100]]], line_width=0.5, encoding="gray")[0]
    assert (image[24:26] == round(255 / 4)).all()  # a quarter of each of two rows: 63.75


@pytest.mark.skipif(not JIT, reason="millions of pixels take minutes without jit")
@pytest.mark.parametrize("y", [128, 128.01, 128.02, 128.03, 128.2])
@pytest.mark.parametrize("slope", [0, 0.1])
def test_large_images_are_alike_lying_and_standing(y: float, slope: float) -> None:
    stroke: Stroke = [[20, 128, 236], [y, y + slope, y]]
    lying, standing = render([stroke], [stroke[::-1]], size=2048, line_width=3.3, encoding="gray")[..., 0].astype(int)
    assert np.abs(lying - standing.T).max() <= 1


@pytest.mark.parametrize("points", [15, 16, 31])
def test_a_drawing_may_fill_its_scratch(points: int) -> None:
    stroke = [[10 + 7 * k for k in range(points)], [100 + 40 * (k % 2) for k in range(points)]]
    assert render([stroke], size=16).any()


def test_sizes_of_any_integer_type_are_taken() -> None:
    assert np.array_equal(render([LINE], size=np.int16(255)), render([LINE], size=255))
    assert np.array_equal(render([LINE], size=np.uint8(64)), render([LINE], size=64))


@pytest.mark.parametrize("options", [{"size": 64.0}, {"size": "64"}, {"size": True}, {"out": [1]}])
def test_options_of_another_type_are_refused(options: Any) -> None:
    with pytest.raises(UsageError, match="must be"):
        render([LINE], **options)
