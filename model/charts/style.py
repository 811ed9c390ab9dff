"""One look for every chart: figures to PNG files for people, and to SVG for a page. Same numbers, same bytes.

matplotlib draws them, without `pyplot`, whose state belongs to a process.
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

# Okabe and Ito's colours, told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
GRAY = "#888888"
DPI = 150  # of PNG files
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
    "svg.hashsalt": "sketchpipe",  # or its ids differ from one drawing to the next
}

_OF_THE_PAGE = [
    (re.compile(r"#000000"), "currentColor"),
    (re.compile(r"#e4e4e4"), "var(--grid, #e4e4e4)"),
    (re.compile(r"fill: #ffffff"), "fill: none"),
    (re.compile(r"; font-family: [^;\"]*"), ""),
    (re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL), ""),  # its rule would be the whole page's
    (re.compile(r' id="[A-Za-z0-9.]+_\d+"'), ""),  # nothing refers to them, and the next figure has the same
]


def new_chart(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes."""
    with styled():
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """For what is laid out and drawn by hand: what is made in this context has the look of the others.

    It is matplotlib's own look but for `_STYLE`, whatever a user's matplotlibrc says. Decorates functions too.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # but the backend
        mpl.rcParams.update(_STYLE)
        yield


def readable(word: str, inches: float) -> str:
    """As much of a word as there is room for; its `safe_name` where the font lacks one of its characters.

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
    """Of a line of text, in inches."""
    font = _font()
    font.set_size(TEXT_SIZE, DPI)
    font.set_text(text)
    return float(font.get_width_height()[0] / 64 / DPI)  # 64ths of a pixel


def new_charts(width: float, height: float, *, heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure of so many inches with axes one above the other that share x, their heights in these proportions."""
    with styled():
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
        return figure, list(axes[:, 0])


def as_svg(figure: Figure) -> str:
    """A figure as an `<svg>` element for an HTML page.

    Its ink is the page's text colour, its grid the page's `--grid`, its ground and its font the page's own, so that it
    can be read on a dark page too.
    """
    text = io.StringIO()
    with styled():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg ", '<svg fill="currentColor" ', 1)
    for pattern, instead in _OF_THE_PAGE:
        svg = pattern.sub(instead, svg)
    return svg


def as_png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    png = io.BytesIO()
    with styled():
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return png.getvalue()


def write_chart(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
        UsageError: the path promises another format.
    """
    check_picture_path(path, ".png")
    write_output(path, as_png(figure))


@functools.cache
def _font() -> FT2Font:
    with styled():
        return get_font(findfont(FontProperties()))
