"""Writes a drawing as an SVG file: a path for each stroke, with the points as they are stored."""

import numpy as np

from pipeline.drawings import Drawings

_CANVAS = 256  # the coordinates of drawings are 0 to 255
_LINE_WIDTH = 5  # as the renderer draws it on this canvas
_MARGIN = 4  # so that lines on the border are not cut


def encode_svg(drawing: Drawings, size: int) -> bytes:
    """Encode one drawing as an SVG file, black lines without a background, `size` pixels wide and high.

    A stroke that is a dot has a path of no length, which round ends make visible (https://www.w3.org/TR/SVG2/).
    """
    starts = np.append(0, drawing.stroke_end[:-1])
    strokes = zip(starts.tolist(), drawing.stroke_end.tolist(), strict=True)
    points = list(zip(drawing.x.tolist(), drawing.y.tolist(), strict=True))
    paths = "".join(f'<path d="M{" L".join(_text(points[start:end]))}"/>\n' for start, end in strokes)
    side = _CANVAS + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="-{_MARGIN} -{_MARGIN} {side} '
        f'{side}" fill="none" stroke="black" stroke-width="{_LINE_WIDTH}" stroke-linecap="round" '
        f'stroke-linejoin="round">\n<title>{_escaped(drawing.words[drawing.word[0]])}</title>\n{paths}</svg>\n'
    ).encode()


def _text(points: list[tuple[float, float]]) -> list[str]:
    return [f"{x:g} {y:g}" for x, y in (points if len(points) > 1 else points * 2)]


def _escaped(word: str) -> str:
    """A word as text of XML, which cannot hold control characters."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in word)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
