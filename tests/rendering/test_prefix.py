import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.drawings import Drawings, from_strokes
from pipeline.rendering.augment import Augmentation, augment, centre
from pipeline.rendering.prefix import aligned_as, leading, points_of
from pipeline.rendering.render import RenderConfig, render, render_leading

STROKE = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=6)
DRAWINGS = st.lists(st.lists(STROKE, min_size=1, max_size=4), min_size=1, max_size=5)
CUT = Augmentation(
    rotation=0, shear=0, scale=(1, 1), stretch=0, shift=0, mirror=0, prefix=1, shortest=0.2, line_width=(1, 1)
)  # fmt: skip


def as_drawings(strokes: list[list[list[tuple[int, int]]]]) -> Drawings:
    nested = [[[list(axis) for axis in zip(*stroke, strict=True)] for stroke in drawing] for drawing in strokes]
    return from_strokes(nested, ["cat"] * len(nested))


def naive_leading(drawing: list[list[list[int]]], points: int) -> list[list[list[int]]]:
    left = []
    for x, y in drawing:
        if points > 0:
            left.append([x[:points], y[:points]])
        points -= len(x)
    return left


@settings(deadline=None, max_examples=60)  # the first compiles
@given(DRAWINGS, st.randoms(use_true_random=False))
def test_the_first_points_are_those_of_the_slow_version(strokes: list, dice) -> None:
    drawings = as_drawings(strokes)
    whole = points_of(drawings)
    assert whole.tolist() == [sum(map(len, drawing)) for drawing in strokes]
    points = np.array([dice.randint(1, count) for count in whole.tolist()])
    part = leading(drawings, points)
    for k in range(len(drawings)):
        assert part.strokes(k) == naive_leading(drawings.strokes(k), int(points[k]))


@settings(deadline=None, max_examples=60)  # the first compiles
@given(DRAWINGS)
def test_unfinished_drawings_lie_where_augmentation_puts_those_it_cuts(strokes: list) -> None:
    drawings = as_drawings(strokes)
    rows = np.arange(len(drawings))
    for margin in (None, 8.0):
        cut = augment(drawings, rows, CUT, seed=1, epoch=0, margin=margin)
        points = np.diff(np.append(0, cut.stroke_end)[cut.drawing_end], prepend=0)
        part = leading(drawings, points)
        x, y = aligned_as(part, drawings) if margin is None else centre(part, margin)
        assert part.stroke_end.tolist() == cut.stroke_end.tolist()
        assert part.drawing_end.tolist() == cut.drawing_end.tolist()
        np.testing.assert_allclose(x, cut.x, atol=1e-3)  # float32 in another order
        np.testing.assert_allclose(y, cut.y, atol=1e-3)


@pytest.mark.parametrize("framing", ["corner", "centred"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_all_of_a_drawing_is_drawn_as_ever(framing: str, mirrored: bool) -> None:
    drawings = as_drawings([[[(3, 5), (200, 90)], [(10, 10)]], [[(0, 0), (255, 40), (7, 30)]]])
    config = RenderConfig(32, framing=framing)
    whole = render_leading(drawings, points_of(drawings), config, mirrored=mirrored)
    np.testing.assert_array_equal(whole, render(drawings, config, mirrored=mirrored))
