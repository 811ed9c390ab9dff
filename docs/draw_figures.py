"""Draws the figures of README.md, each for a light and a dark page: `python docs/draw_figures.py`.

`pipeline-light.svg` and `pipeline-dark.svg` show the pipeline with drawings of the built-in sample, augmented as
training augments them. `speed-light.svg` and `speed-dark.svg` show figures of the table "Feeding, beside what people
would use" of benchmarks.md, from which this script reads them.
"""

import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.drawings import Drawings, from_strokes
from pipeline.rendering.augment import Augmentation, Augmented, augment
from pipeline.rendering.raster import PALETTE
from pipeline.sample.doodles import sample_line

DOCS = Path(__file__).parent
WIDTH = 860
SANS = "font-family=\"-apple-system,'Segoe UI',Helvetica,Arial,sans-serif\""
MONO = 'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"'


class Theme(NamedTuple):
    """Colours of a page."""

    name: str
    text: str
    muted: str
    line: str
    card: str
    accent: str
    soft: str
    ink: str


LIGHT = Theme("light", "#1f2328", "#59636e", "#8c959f", "#f6f8fa", "#0a7f5a", "#c9d1d9", "#1f2328")
DARK = Theme("dark", "#e6edf3", "#9198a1", "#6e7681", "#161b22", "#2fbf8f", "#3d444d", "#e6edf3")


def main() -> None:
    """Write the four files."""
    for theme in (LIGHT, DARK):
        (DOCS / f"pipeline-{theme.name}.svg").write_text(pipeline(theme), encoding="utf-8")
        (DOCS / f"speed-{theme.name}.svg").write_text(speed(theme), encoding="utf-8")


def svg(height: int, title: str, parts: Iterator[str]) -> str:
    """A picture of `WIDTH` by `height`."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join([f'{head} role="img">', f"<title>{escape(title)}</title>", *parts, "</svg>\n"])


def text(x: float, y: float, words: str, colour: str, size: float = 13, *, font: str = SANS, more: str = "") -> str:
    """A line of text; `more` holds further attributes."""
    return f'<text x="{x:g}" y="{y:g}" {font} font-size="{size:g}" fill="{colour}" {more}>{escape(words)}</text>'


def centred(x: float, y: float, words: str, colour: str, size: float = 13, *, font: str = SANS) -> str:
    """A line of text about x."""
    return text(x, y, words, colour, size, font=font, more='text-anchor="middle"')


# ---- the pipeline


def pipeline(theme: Theme) -> str:
    """From drawings to shards, to images, to a run."""
    title = "Drawings become shards, shards become images, and images train a network that classifies drawings"
    return svg(312, title, _pipeline(theme))


def _pipeline(theme: Theme) -> Iterator[str]:
    stations = (("drawings", 88), ("shards", 320), ("images", 549), ("a trained run", 776))
    captions = (
        ("strokes as lists of points,", "one drawing a line"),
        ("checked, shuffled, split,", "without duplicates"),
        ("drawn when they are needed,", "varied anew in each epoch"),
        ("metrics and checkpoints;", "evaluate · predict · export"),
    )
    for (name, x), lines in zip(stations, captions, strict=True):
        yield centred(x, 24, name, theme.text, 16).replace("<text", '<text font-weight="600"')
        yield centred(x, 282, lines[0], theme.muted, 12.5)
        yield centred(x, 299, lines[1], theme.muted, 12.5)
    yield from _cards(theme)
    yield from _arrow(theme, 178, 242, "sketchpipe", "shards")
    yield from _shards(theme)
    yield from _arrow(theme, 404, 466, "read and", "render")
    yield from _images()
    yield from _arrow(theme, 636, 700, "sketchpipe", "train")
    yield from _run(theme)


def _cards(theme: Theme) -> Iterator[str]:
    """Three sheets with drawings, the uppermost with its line of JSON."""
    for k in (2, 1, 0):
        yield _box(10 + 8 * k, 56 - 8 * k, 146, 166, theme)
    drawings = doodles([("house", 6)])
    yield from _strokes(drawings, 0, 42, 64, 84, [theme.ink], 2)
    for k, line in enumerate(('{"word": "house",', ' "drawing": [', " [[20, 128, 236],", "  [120, 20, 120]], ")):
        yield text(20, 166 + 15 * k, line, theme.muted, 11, font=MONO, more='xml:space="preserve"')
    yield centred(88, 250, "sketches/*.ndjson", theme.text, 12, font=MONO)


def _shards(theme: Theme) -> Iterator[str]:
    """A file for each split, as wide as its share."""
    yield _box(250, 48, 140, 174, theme)
    rows = ((66, "train", 6, theme.accent), (142, "validation", 1, theme.accent), (184, "test", 1, theme.accent))
    for y, name, count, colour in rows:
        yield text(262, y + 5, name, theme.text, 12)
        for k in range(count):
            top = y - 5 + 11 * k
            yield f'<rect x="328" y="{top}" width="50" height="7" rx="2" fill="{colour}" opacity="{1 - 0.11 * k:.2f}"/>'
    yield text(262, 166, "a tenth each,", theme.muted, 11)
    yield text(262, 208, "by key_id", theme.muted, 11)
    yield centred(320, 250, "shards/*.parquet", theme.text, 12, font=MONO)


def _images() -> Iterator[str]:
    """Three drawings in three epochs."""
    drawings = doodles([("cat", 11), ("bicycle", 5), ("flower", 12)])
    colours = [f"rgb({r},{g},{b})" for r, g, b in PALETTE]
    for epoch in range(3):
        changed = augment(
            drawings, np.arange(3), Augmentation(mirror=0.3, scale=(0.9, 1.05)), seed=3, epoch=epoch, margin=8.0
        )
        for k in range(3):
            left, top = 470 + 54 * k, 48 + 62 * epoch
            yield f'<rect x="{left}" y="{top}" width="50" height="50" rx="3" fill="#000"/>'
            yield from _strokes(changed, k, left + 2, top + 2, 46, colours, 1.5)


def _run(theme: Theme) -> Iterator[str]:
    """A learning curve, and the bars of a prediction."""
    yield _box(706, 48, 140, 174, theme)
    yield f'<path d="M720 128 V62 M720 128 H832" stroke="{theme.line}" fill="none"/>'
    yield (
        f'<path d="M722 122 C 738 82, 756 76, 776 71 S 812 66, 830 65" stroke="{theme.accent}" stroke-width="2.5" '
        'fill="none" stroke-linecap="round"/>'
    )
    yield text(778, 122, "accuracy", theme.muted, 11)
    for k, (word, share) in enumerate((("bicycle", 0.92), ("flower", 0.1), ("tree", 0.04))):
        y = 156 + 21 * k
        yield text(718, y + 4, word, theme.text, 12)
        colour = theme.accent if k == 0 else theme.line
        yield f'<rect x="768" y="{y - 5}" width="{66 * share:.0f}" height="10" rx="2" fill="{colour}"/>'
    yield centred(776, 250, "runs/001-sketchnet", theme.text, 12, font=MONO)


def _box(x: float, y: float, width: float, height: float, theme: Theme) -> str:
    size = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {size} rx="8" fill="{theme.card}" stroke="{theme.line}"/>'


def _arrow(theme: Theme, left: float, right: float, above: str, below: str) -> Iterator[str]:
    """An arrow with the command that makes the step."""
    middle, y = (left + right) / 2, 136
    yield (
        f'<path d="M{left} {y} C {left + 18} {y - 5}, {right - 26} {y - 5}, {right - 4} {y} m-9 -7 l10 7 l-11 5" '
        f'stroke="{theme.text}" stroke-width="2" fill="none" stroke-linecap="round" stroke-linejoin="round"/>'
    )
    yield centred(middle, y - 16, above, theme.text, 10.5, font=MONO)
    yield centred(middle, y + 22, below, theme.text, 10.5, font=MONO)


def doodles(chosen: list[tuple[str, int]]) -> Drawings:
    """Drawings of the built-in sample: the word and the number of each."""
    strokes = [json.loads(sample_line(word, number))["drawing"] for word, number in chosen]
    return from_strokes(strokes, [word for word, _ in chosen])


def _strokes(
    drawings: Drawings | Augmented, row: int, left: float, top: float, side: float, colours: list[str], width: float
) -> Iterator[str]:
    """A drawing as lines in a square, stroke s in the colour s."""
    first = int(drawings.drawing_end[row - 1]) if row else 0
    for number, stroke in enumerate(range(first, int(drawings.drawing_end[row]))):
        start, end = int(drawings.stroke_end[stroke - 1]) if stroke else 0, int(drawings.stroke_end[stroke])
        x = left + drawings.x[start:end] / 255 * side
        y = top + drawings.y[start:end] / 255 * side
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        yield (
            f'<polyline points="{points}" fill="none" stroke="{colours[number % len(colours)]}" '
            f'stroke-width="{width:g}" stroke-linecap="round" stroke-linejoin="round"/>'
        )


# ---- the speed of the loader


def speed(theme: Theme) -> str:
    """Images a CPU second of the loader and of each peer's quickest way."""
    return svg(234, "Images per CPU second: sketchpipe beside PyTorch, tf.data and Grain", _speed(theme))


def _speed(theme: Theme) -> Iterator[str]:
    rows = rates()
    most = rows[0][2]
    yield text(10, 22, "64 x 64 images per CPU second, rendered from strokes", theme.text, 15, more='font-weight="600"')
    for k, (name, how, rate) in enumerate(rows):
        y = 50 + 27 * k
        yield text(10, y + 5, name, theme.text, 13)
        yield text(104, y + 5, how, theme.muted, 12)
        width = 400 * rate / most
        colour = theme.accent if k == 0 else theme.line
        yield f'<rect x="298" y="{y - 9}" width="{width:.1f}" height="18" rx="2" fill="{colour}"/>'
        yield text(306 + width, y + 5, f"{rate:,}", theme.text, 12.5)
        if k:
            yield text(358 + width, y + 5, f"sketchpipe makes {most / rate:.1f} times as many", theme.muted, 12)


def rates() -> list[tuple[str, str, int]]:
    """Loader, how it draws, images a CPU second: sketchpipe, then each peer's best row of either kind."""
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    table = page.partition("| loader | drawn |")[2].partition("\n\n")[0]
    rows = [
        (name.partition(",")[0], name, drawn, int(rate.replace(",", "")))
        for name, drawn, rate in re.findall(r"^\| ([^|]+) \| ([^|]+) \| [\d,]+ \| ([\d,]+) \|", table, re.MULTILINE)
    ]
    best: dict[tuple[str, str], int] = {}
    for library, name, drawn, rate in rows:
        if "augmented" not in name:
            best[library, drawn] = max(rate, best.get((library, drawn), 0))
    how = {
        "by sketchpipe": "its own renderer",
        "at 64 px": "OpenCV at 64 px",
        "at 256 px, reduced": "OpenCV at 256, reduced",
    }
    found = [(library, how[drawn], rate) for (library, drawn), rate in best.items()]
    return sorted(found, key=lambda row: -row[2])


if __name__ == "__main__":
    main()
