import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from model.charts.prediction import MAX_BARS, plot_prediction
from model.charts.style import COLOURS, GRAY, as_png, readable, text_width
from model.config import TrainConfig
from model.networks import make_config
from pipeline.drawings import Drawings, from_strokes
from pipeline.rendering.render import RenderConfig, render

WORDS = tuple(f"word {k}" for k in range(60))


def drawing(word: str) -> Drawings:
    return from_strokes([[[[0, 255, 40], [10, 20, 200]], [[90, 90], [60, 61]]]], [word])


def config(classes: Sequence[str], **changes: Any) -> TrainConfig:
    return make_config("sketchnet", classes, drawings=100, **changes)


def falling(count: int) -> NDArray[np.float32]:
    """(count,) float32, probabilities of which each is smaller than the one before."""
    shares = np.linspace(2, 1, count)
    return (shares / shares.sum()).astype(np.float32)


def labels(figure: Figure) -> list[str]:
    return [tick.get_text() for tick in figure.axes[1].get_yticklabels()]


def bars(figure: Figure) -> list[tuple[float, str]]:
    """Width and colour of each bar, from top to bottom."""
    return [(patch.get_width(), to_hex(patch.get_facecolor())) for patch in figure.axes[1].patches]  # type: ignore[attr-defined]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[1].texts]


def test_bars_are_the_probabilities_from_the_largest_down() -> None:
    probabilities = np.array([0.1, 0.7, 0.2], np.float32)
    figure = plot_prediction(drawing("b"), config(("a", "b", "c")), probabilities)
    assert labels(figure) == ["b", "c", "a"]
    assert [width for width, _ in bars(figure)] == pytest.approx([0.7, 0.2, 0.1])
    assert [colour for _, colour in bars(figure)] == [COLOURS[0].lower(), GRAY, GRAY]
    assert texts(figure) == ["70.0%  \N{LEFTWARDS ARROW} drawn", "20.0%", "10.0%"]
    assert figure.texts[0].get_text() == 'drew "b", predicted "b"'


def test_what_was_drawn_has_a_mark_and_a_bar_even_far_down() -> None:
    figure = plot_prediction(drawing("word 40"), config(WORDS), falling(60))
    assert labels(figure) == [*WORDS[:10], "word 40"]
    assert [colour for _, colour in bars(figure)] == [COLOURS[0].lower(), *[GRAY] * 9, COLOURS[1].lower()]
    assert texts(figure)[-1].endswith("drawn")
    assert figure.texts[0].get_text() == 'drew "word 40", predicted "word 0"'


def test_a_word_that_the_run_does_not_know_is_named_and_has_no_bar() -> None:
    figure = plot_prediction(drawing("zebra"), config(("a", "b")), falling(2))
    assert labels(figure) == ["a", "b"]
    assert not any("drawn" in text for text in texts(figure))
    assert figure.texts[0].get_text() == 'drew "zebra", predicted "a"'


@pytest.mark.parametrize(("shown", "count"), [(None, 10), (3, 3), (30, 30), (1 << 30, MAX_BARS)])
def test_as_many_bars_are_shown_as_were_asked_for(shown: int | None, count: int) -> None:
    figure = plot_prediction(drawing("word 0"), config(WORDS), falling(60), shown)
    assert labels(figure) == list(WORDS[:count])


@pytest.mark.parametrize("encoding", ["order", "gray"])
def test_the_drawing_is_shown_pixel_by_pixel_as_it_was_rendered(encoding: str) -> None:
    chosen = config(("a", "b"), encoding=encoding)
    with Image.open(io.BytesIO(as_png(plot_prediction(drawing("a"), chosen, falling(2))))) as file:
        picture = np.asarray(file.convert("RGB"))
    large = render(drawing("a"), RenderConfig(360, 1.25 * 360 / 64, encoding, "centred"))[0]
    np.testing.assert_array_equal(picture[45:405, 12:372], np.broadcast_to(large, (360, 360, 3)))


def test_words_of_any_kind_are_legible_and_warn_of_nothing() -> None:
    odd = (
        "猫",
        "$x^2$",
        "кошка",
        "a\nb\u200b",
        "W" * 80,
        "The Great Wall of China and all that lies behind it",
        "50 %",
    )
    figure = plot_prediction(drawing("猫"), config(odd), falling(7))
    as_png(figure)  # a warning is an error here
    assert labels(figure)[:4] == ["%E7%8C%AB", "$x^2$", "кошка", "a%0Ab%E2%80%8B"]
    assert labels(figure)[4].endswith("W...")
    has_narrow_letters = mpl.__version_info__ < (3, 11)
    assert labels(figure)[5] == ("The Great Wall of China..." if has_narrow_letters else "The Great Wall of Chin...")
    assert all(text_width(label) <= 1.6 for label in labels(figure))
    figure.draw_without_rendering()
    for text in (*figure.axes[1].get_yticklabels(), *figure.axes[1].texts):
        box = text.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
        assert box.x0 > 2.5  # behind the drawing
        assert box.x1 < 6  # within the picture


def test_a_certain_prediction_and_its_mark_fit_beside_the_longest_label() -> None:
    sure = np.eye(2, dtype=np.float32)[0]
    figure = plot_prediction(drawing("W" * 80), config(("W" * 80, "b")), sure)
    figure.draw_without_rendering()
    assert texts(figure) == ["100.0%  \N{LEFTWARDS ARROW} drawn", "0.0%"]
    box = figure.axes[1].texts[0].get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    assert box.x1 < 6


def test_readable_keeps_what_fits() -> None:
    assert readable("cat", 1) == "cat"
    assert readable("cat", 0) == "..."
