"""Reads a picture as a drawing: its lines as strokes, simplified as all drawings are."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from numpy.typing import ArrayLike

from pipeline.drawings import Drawings, content_hash, from_strokes
from pipeline.errors import InputError, UsageError
from pipeline.sources.kinds import PEEK_BYTES, picture_kind
from pipeline.sources.raw import simplify
from pipeline.storage.reading import open_regular, read_at_most
from pipeline.tracing.svg import MOST_BYTES as MOST_SVG_BYTES
from pipeline.tracing.svg import read_svg

WIDE = 0.05  # of the drawing's longer side: wider lines hide what the network would see
MOST_RASTER_BYTES = 1 << 28


def read_picture(path: Path, name: str, tell: Callable[[str], object]) -> Drawings | None:
    """Read a PNG, JPEG, WebP or SVG file as one drawing, of which neither word nor key_id is known.

    Args:
        path: a regular file, of which the first bytes say what it is.
        name: what messages call it.
        tell: is called with a message about what was guessed, and with one about lines that are too wide.

    Returns:
        The drawing, with the word "" and a hash of its strokes as key_id; None if the file is no picture.

    Raises:
        InputError: it cannot be read, is damaged, or has no line.
    """
    try:
        with open_regular(path, link=True) as file:
            begin = file.read(PEEK_BYTES) or b""
            kind = picture_kind(begin)
            if kind is None:
                return None
            limit = MOST_SVG_BYTES if kind == "SVG" else MOST_RASTER_BYTES
            content = begin + read_at_most(file, limit - len(begin))
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error})") from error
    read = _svg_strokes if kind == "SVG" else _traced_strokes
    drawing = from_strokes([read(content, name, tell)], [""])
    return replace(drawing, key_id=content_hash(drawing))


def _simplified(strokes: Sequence[tuple[ArrayLike, ArrayLike]], name: str) -> list[list[list[int]]]:
    try:
        return [[x.tolist(), y.tolist()] for x, y in simplify(strokes)]
    except UsageError as error:
        raise InputError(f"{name}: {error}") from error


def _traced_strokes(content: bytes, name: str, tell: Callable[[str], object]) -> list[list[list[int]]]:
    from pipeline.tracing.raster import read_raster  # Pillow and scipy, which other files do not need
    from pipeline.tracing.trace import trace

    traced = trace(read_raster(content, name), name)
    tell(f"{name}: traced; order and direction of its strokes are guessed")
    if traced.line_width > WIDE:
        tell(
            f"{name}: its lines are {traced.line_width:.0%} of the drawing wide, which hides details; up to "
            f"{WIDE:.0%} are traced well: draw larger, or with a thinner pen"
        )
    return _simplified([(stroke[:, 0], stroke[:, 1]) for stroke in traced.strokes], name)


def _svg_strokes(content: bytes, name: str, tell: Callable[[str], object]) -> list[list[list[int]]]:
    drawing = read_svg(content, name)
    if drawing.has_outlines:
        tell(f"{name}: no shape in it has a stroke, so that the outlines of its shapes are taken")
    strokes = [([point.real for point in line], [point.imag for point in line]) for line in drawing.strokes]
    if drawing.is_simplified:
        return [[[int(x) for x in xs], [int(y) for y in ys]] for xs, ys in strokes]
    return _simplified(strokes, name)
