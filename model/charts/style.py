"""The common style of all charts, and the functions that write them as PNG or SVG.

The same numbers give the same bytes. Charts are drawn by matplotlib without `pyplot`, whose state is shared by the
whole process.
"""

import contextlib
import functools
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font

from pipeline.pictures.names import safe_name
from pipeline.storage.outputs import check_picture_path, write_output

# Okabe and Ito's colours, which colour-blind people can distinguish (https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
GRAY = "#888888"
DPI = 150  # pixels per inch of PNG files
TEXT_SIZE = 9  # points
_STYLE: dict[Any, Any] = {
    "font.size": TEXT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text, in the page's font
    "svg.hashsalt": "sketchpipe",  # without it each time has other ids
}

_SVG_FOR_PAGE = [
    (re.compile(r"#000000"), "currentColor"),
    (re.compile(r"#e4e4e4"), "var(--grid, #e4e4e4)"),
    (re.compile(r"fill: #ffffff"), "fill: none"),
    (re.compile(r"; font-family: [^;\"]*"), ""),
    (re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL), ""),  # its rule would apply to the whole page
    (re.compile(r' id="[A-Za-z0-9.]+_\d+"'), ""),  # unused, and the same in every figure
]


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """A context in which figures are made in the common style; it can also decorate functions.

    The style is matplotlib's default with the changes of `_STYLE`; a user's matplotlibrc has no effect.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # all settings except the backend
        mpl.rcParams.update(_STYLE)
        yield


def readable(word: str, inches: float) -> str:
    """The word, cut to a width in inches; its `safe_name` if the font lacks one of its characters.

    >>> readable("hot dog", 1), readable("\u732b", 1), readable("The Great Wall of China", 1)
    ('hot dog', '%E7%8C%AB', 'The Great Wa...')
    """
    font = _font()
    if not all(c.isprintable() and font.get_char_index(ord(c)) for c in word):
        word = safe_name(word)
    if text_width(word) <= inches:
        return word
    while word and text_width(word + "...") > inches:
        word = word[:-1]
    return word.rstrip() + "..."


def text_width(text: str) -> float:
    """The width of a line of text in inches."""
    font = _font()
    font.set_size(TEXT_SIZE, DPI)
    font.set_text(text)
    return float(font.get_width_height()[0] / 64 / DPI)  # 64ths of a pixel


def new_charts(width: float, height: float, *, heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure of a size in inches, with axes one above the other that share x; `heights` are their proportions."""
    with styled():
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
        return figure, list(axes[:, 0])


def as_svg(figure: Figure) -> str:
    """A figure as an `<svg>` element for an HTML page.

    Black becomes the page's text colour, the grid the page's `--grid`, the background transparent, and the font the
    page's font, so that the figure can be read on a dark page too.
    """
    text = io.StringIO()
    with styled():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg ", '<svg fill="currentColor" ', 1)
    for pattern, replacement in _SVG_FOR_PAGE:
        svg = pattern.sub(replacement, svg)
    return svg


def as_png(figure: Figure, software: str | None = None) -> bytes:
    """A figure as the bytes of a PNG file, which holds the name of the software that made it if that is given."""
    png = io.BytesIO()
    with styled():
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": software})
    return png.getvalue()


def write_chart(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file; the file is complete, or an earlier one is left unchanged.

    Raises:
        OutputError: the file cannot be written.
        UsageError: the path's suffix is that of another format.
    """
    check_picture_path(path, ".png")
    write_output(path, as_png(figure))


@functools.cache
def _font() -> FT2Font:
    with styled():
        return get_font(findfont(FontProperties()))
