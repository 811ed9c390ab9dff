"""Draws a run's prediction as a chart: the drawing, and beside it a bar for each probability."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.charts.style import COLOURS, DPI, GRAY, readable, styled, text_width
from model.config import TrainConfig
from pipeline.drawings import Drawings
from pipeline.pictures.enlarged import enlarged
from pipeline.rendering.render import render

BARS = 10  # by default
MAX_BARS = 50
# In inches that make whole pixels, so that the drawing is shown as it was rendered.
_WIDTH, _TITLE, _PICTURE, _BAR, _GAP = 6.0, 0.3, 2.4, 0.25, 0.08
_LONGEST_LABEL, _MARK = 1.6, 1.35


def plot_prediction(
    drawing: Drawings, config: TrainConfig, probabilities: NDArray[np.float32], shown: int | None = None
) -> Figure:
    """Draw a drawing with the run's render settings, enlarged, beside the bars of its most probable classes.

    The bar of the predicted class is coloured. The true class always has a bar, in another colour and marked "drawn".

    Args:
        drawing: one drawing with its word, which need not be one of the run's classes, and is "" if it has none.
        config: the run's configuration.
        probabilities: (K,) float32, the probabilities of the run's classes.
        shown: the number of bars, at most `MAX_BARS`; `BARS` if it is None.
    """
    drew = drawing.words[drawing.word[0]]
    order = (-probabilities).argsort(kind="stable")
    bars = order[: min(shown or BARS, MAX_BARS)].tolist()
    if drew in config.classes and config.classes.index(drew) not in bars:
        bars.append(config.classes.index(drew))
    labels = [readable(config.classes[k], _LONGEST_LABEL) for k in bars]
    rows = max(len(bars), BARS)
    height = _TITLE + rows * _BAR + _GAP
    left = _PICTURE + max(map(text_width, labels)) + 3 * _GAP
    with styled():
        figure = Figure(figsize=(_WIDTH, height))
        predicted = readable(config.classes[order[0]], _LONGEST_LABEL)
        title = f'predicted "{predicted}"'
        title = f'drew "{readable(drew, _LONGEST_LABEL)}", {title}' if drew else title
        figure.text(_GAP / _WIDTH, 1 - _GAP / height, title, va="top", parse_math=False)
        bottom = height - _TITLE - _PICTURE
        picture = figure.add_axes((_GAP / _WIDTH, bottom / height, _PICTURE / _WIDTH, _PICTURE / height))
        image = render(drawing, enlarged(config.render_config(), round(_PICTURE * DPI)))[0]
        picture.imshow(np.broadcast_to(image, (*image.shape[:2], 3)), interpolation="none")
        picture.set_axis_off()
        axes = figure.add_axes((left / _WIDTH, _GAP / height, (_WIDTH - left) / _WIDTH, rows * _BAR / height))
        axes.set_xlim(0, (_WIDTH - left) / (_WIDTH - left - _MARK))
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_yticks(range(len(bars)), labels, parse_math=False)
        _draw_bars(axes, probabilities[bars], [config.classes[k] == drew for k in bars])
    return figure


def _draw_bars(axes: Axes, probabilities: NDArray[np.float32], drawn: Sequence[bool]) -> None:
    """Draw a bar for each probability, the largest at the top; the bar of the true class is marked."""
    for row, (probability, is_drawn) in enumerate(zip(probabilities.tolist(), drawn, strict=True)):
        colour = COLOURS[0] if row == 0 else COLOURS[1] if is_drawn else GRAY
        axes.barh(row, probability, color=colour, height=0.7)
        text = f"{probability:.1%}" + ("  \N{LEFTWARDS ARROW} drawn" if is_drawn else "")
        weight = "bold" if row == 0 else "normal"
        axes.annotate(
            text, (probability, row), xytext=(4, 0), textcoords="offset points", va="center_baseline", weight=weight
        )
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
