"""Draws the charts of a report as SVG for its page; no chart shows the name of a class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.charts.style import COLOURS, GRAY, as_svg, new_charts, styled
from model.scoring.metrics import wilson
from model.scoring.reliability import BINS, Reliability

_BLUE, _ORANGE, _GREEN = COLOURS[:3]
_WIDTH = 5.0  # inches, about the width of a phone's screen, so that text has its intended size there


@styled()
def reliability_chart(found: Reliability, plain: Reliability | None) -> str:
    """A reliability diagram (accuracy by confidence) above a histogram of confidence.

    Args:
        found: the run's.
        plain: the same predictions at temperature 1; None to leave them out.
    """
    figure, (above, below) = new_charts(_WIDTH, 4.6, heights=(3, 1))
    above.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="perfectly calibrated")
    left = np.arange(BINS) / BINS
    some = found.drawings > 0
    above.bar(left[some], found.right[some] / found.drawings[some], 1 / BINS, align="edge", color=_BLUE, alpha=0.35)
    sure, share, low, high = _points(found)
    above.errorbar(
        sure, share, (share - low, high - share), fmt="o", color=_BLUE, markersize=4, linewidth=1, label="this run"
    )
    if plain is not None:
        sure, share, _, _ = _points(plain)
        above.plot(sure, share, "x", color=_ORANGE, markersize=5, label="at temperature 1")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="share correct")
    above.legend(loc="upper left", frameon=False)
    below.bar(left, found.drawings, 1 / BINS, align="edge", color=_BLUE, alpha=0.6)
    below.set(xlim=(0, 1), xlabel="confidence: probability of the predicted class", ylabel="drawings")
    return as_svg(figure)


@styled()
def strokes_chart(rows: Sequence[tuple[int, int | None, int, int]]) -> str:
    """Accuracy by number of strokes, above the number of drawings."""
    figure, (above, below) = new_charts(_WIDTH, 4.0, heights=(3, 1))
    place = np.arange(len(rows))
    count, right = (np.array([row[k] for row in rows], np.float64) for k in (2, 3))
    low, high = wilson(right, count)
    share = right / count
    above.errorbar(place, share, (share - low, high - share), fmt="o-", color=_BLUE, markersize=4, linewidth=1)
    above.set(ylim=(0, 1), ylabel="share correct")
    below.bar(place, count, 0.8, color=_BLUE, alpha=0.6)
    below.set(xlabel="strokes", ylabel="drawings")
    below.set_xticks(place, [stroke_bin(fewest, most) for fewest, most, _, _ in rows])
    return as_svg(figure)


@styled()
def prefix_chart(top1: NDArray[np.int64], top3: NDArray[np.int64], settled: NDArray[np.float64], count: int) -> str:
    """Accuracy by the share of a drawing's points.

    Args:
        top1: (S,) the drawings predicted correctly at each share; the last share is the whole drawing.
        top3: (S,) the drawings whose true class is among the three most probable.
        settled: (S,) the share of drawings that are predicted correctly from this share on.
        count: the number of drawings.
    """
    figure, (axes,) = new_charts(_WIDTH, 3.4, heights=(1,))
    percent = 100 * np.arange(1, len(top1) + 1) / len(top1)
    for hits, colour, name in ((top3, _GREEN, "top-3"), (top1, _BLUE, "correct")):
        low, high = wilson(hits, np.full(len(hits), count))
        axes.fill_between(percent, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(percent, hits / count, "o-", color=colour, markersize=4, linewidth=1.5, label=name)
    axes.plot(percent, settled, "--", color=_ORANGE, linewidth=1.5, label="correct from here on")
    axes.set(xlim=(0, 102), ylim=(0, 1), xlabel="% of the drawing's points", ylabel="share of drawings")
    axes.set_xticks(percent)
    axes.legend(loc="lower right", frameon=False)
    return as_svg(figure)


def stroke_bin(fewest: int, most: int | None) -> str:
    """The text for a range of numbers of strokes.

    >>> stroke_bin(1, 1), stroke_bin(6, 7), stroke_bin(26, None)
    ('1', '6-7', '26+')
    """
    if most is None:
        return f"{fewest}+"
    return f"{fewest}" if fewest == most else f"{fewest}-{most}"


def _points(found: Reliability) -> tuple[NDArray[np.float64], ...]:
    """For each bin with drawings: its mean confidence, the share predicted correctly, the ends of its interval."""
    some = found.drawings > 0
    count, right = found.drawings[some], found.right[some]
    return (found.confidence[some] / count, right / count, *wilson(right, count))
