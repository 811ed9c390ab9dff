"""One look for every chart: figures to PNG files for people, and to SVG for a page. Same numbers, same bytes.

matplotlib draws them, without `pyplot`, whose state belongs to a process.
"""

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.pictures.sheet import check_picture_path, write_image

# Okabe and Ito's colours, told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
GRAY = "#888888"
DPI = 150  # of PNG files
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text, in the page's font
    "svg.hashsalt": "sketchpipe",  # or its ids differ from one drawing to the next
}


def chart_style() -> AbstractContextManager[None]:
    """The look, for who makes a figure of several axes."""
    return mpl.rc_context(_STYLE)


def new_chart(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes."""
    with chart_style():
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def as_svg(figure: Figure) -> str:
    """A figure as an `<svg>` element for an HTML page."""
    text = io.StringIO()
    with chart_style():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def as_png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    png = io.BytesIO()
    with chart_style():
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return png.getvalue()


def write_chart(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
        UsageError: the path promises another format.
    """
    check_picture_path(path, ".png")
    write_image(path, as_png(figure))
