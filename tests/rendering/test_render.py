import dataclasses

import numpy as np
import pytest

from pipeline.drawings import Drawings, from_strokes
from pipeline.errors import UsageError
from pipeline.rendering.augment import Augmentation, centre
from pipeline.rendering.raster import ENCODINGS, render_batch
from pipeline.rendering.render import RenderConfig, render, render_augmented

NONE = Augmentation(rotation=0, shear=0, scale=(1, 1), stretch=0, shift=0, mirror=0)
SQUARE = [[0, 255, 255, 0, 0], [0, 0, 255, 255, 0]]


def drawings_of(*drawings: list) -> Drawings:
    return from_strokes(list(drawings), ["a"] * len(drawings))


def as_stored(drawings: Drawings, **arguments: object) -> np.ndarray:
    return render_batch(
        drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end, **arguments  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_in_the_corner_drawings_are_rendered_as_they_are_stored(encoding: str) -> None:
    drawings = drawings_of([SQUARE, [[9, 80], [200, 30]]], [[[10, 20], [30, 40]]])
    config = RenderConfig(32, 1.5, encoding)
    expected = as_stored(drawings, size=32, line_width=1.5, encoding=encoding)
    np.testing.assert_array_equal(render(drawings, config), expected)
    same = render_augmented(drawings, np.arange(2), config, NONE, seed=0, epoch=0)
    np.testing.assert_array_equal(same, expected)
    assert config.channels == ENCODINGS[encoding].channels == expected.shape[3]


def test_centred_drawings_are_alike_in_training_and_evaluation() -> None:
    drawings = drawings_of([SQUARE, [[9, 80], [200, 30]]], [[[10, 20], [30, 40]]], [[[3], [4]]])
    config = RenderConfig(32, framing="centred")
    evaluated = render(drawings, config)
    np.testing.assert_array_equal(
        render_augmented(drawings, np.arange(3), config, NONE, seed=0, epoch=0), evaluated
    )  # fmt: skip
    assert (evaluated != as_stored(drawings, size=32)).any()


@pytest.mark.parametrize("line_width", [0.5, 1.25, 4.0])
@pytest.mark.parametrize("stroke", [SQUARE, [[0, 255, 0], [0, 93, 186]]])  # corners of 90 and of 40 degrees
def test_centred_drawings_lie_in_the_middle_and_none_of_their_line_is_cut(
    line_width: float, stroke: list[list[int]]
) -> None:
    drawings, config = drawings_of([stroke]), RenderConfig(64, line_width, framing="centred")
    x, y = centre(drawings, config.margin or 0.0)
    assert x.min() + x.max() == y.min() + y.max() == 256
    # The same in the middle of a canvas twice as wide, where nothing can be cut.
    ends = drawings.stroke_end, drawings.drawing_end
    wide = render_batch(64 + x / 2, 64 + y / 2, *ends, size=128, line_width=line_width)
    wide[:, 32:96, 32:96] = 0
    assert not wide.any()


def test_margins_follow_the_line_and_leave_half_of_the_canvas() -> None:
    assert RenderConfig(64).margin is None
    assert RenderConfig(64, framing="centred").margin == RenderConfig(128, framing="centred").margin == 7.5
    assert RenderConfig(64, 2.5, framing="centred").margin == 15
    assert RenderConfig(64, 60, framing="centred").margin == 64


def test_the_factor_of_the_lines_width_reaches_the_renderer() -> None:
    drawings, how = drawings_of([SQUARE]), dataclasses.replace(NONE, line_width=(2, 2))
    image = render_augmented(drawings, np.arange(1), RenderConfig(64, 1.25), how, seed=0, epoch=0)
    np.testing.assert_array_equal(image, as_stored(drawings, size=64, line_width=2.5))


def test_images_are_put_where_they_are_wanted() -> None:
    drawings, out = drawings_of([SQUARE]), np.zeros((1, 16, 16, 1), np.uint8)
    assert render(drawings, RenderConfig(16, encoding="gray"), out=out) is out
    assert out.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size must be 1-4096 pixels, not 0"),
        ({"size": 64.0}, "size must be 1-4096 pixels, not 64.0"),
        ({"line_width": 0}, "line_width must be above 0"),
        ({"line_width": float("nan")}, "line_width must be above 0"),
        ({"line_width": "thin"}, "line_width must be above 0"),
        ({"encoding": "colour"}, "colour"),
        ({"framing": "center"}, "framing must be corner or centred, not 'center'"),
    ],
)
def test_settings_that_no_image_can_have_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RenderConfig(**settings)  # type: ignore[arg-type]


def test_a_mirrored_drawing_has_its_points_mirrored_in_its_own_box() -> None:
    drawings = drawings_of([[[10, 60], [0, 5]], [[30], [7]]], [], [[[200, 100, 100], [9, 9, 30]]])
    mirrored = drawings_of([[[60, 10], [0, 5]], [[40], [7]]], [], [[[100, 200, 200], [9, 9, 30]]])
    for config in (RenderConfig(32, encoding="order"), RenderConfig(32, encoding="order", framing="centred")):
        np.testing.assert_array_equal(render(drawings, config, mirrored=True), render(mirrored, config))
        assert not np.array_equal(render(drawings, config, mirrored=True), render(drawings, config))


@pytest.mark.parametrize("strokes", [[], [[]], [[], []]])
def test_nothing_is_mirrored_to_nothing(strokes: list) -> None:
    drawings = drawings_of(*strokes)
    assert render(drawings, RenderConfig(8), mirrored=True).shape == (len(strokes), 8, 8, 3)
    assert not render(drawings, RenderConfig(8), mirrored=True).any()
