"""Reads a picture as a drawing: its lines as strokes, simplified as all drawings are."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pipeline.arrays import Float64Array
from pipeline.drawings import Drawings, content_hash, from_strokes
from pipeline.errors import InputError, UsageError
from pipeline.sources.kinds import PEEK_BYTES, picture_kind
from pipeline.sources.raw import simplify
from pipeline.storage.reading import open_regular, read_at_most
from pipeline.tracing.svg import MOST_BYTES as MOST_SVG_BYTES
from pipeline.tracing.svg import read_svg

GUESSES = 8  # of order and directions for one picture; 16 gain half a point at most
WIDE = 0.05  # of the drawing's longer side: wider lines hide what the network would see
MOST_RASTER_BYTES = 1 << 28

Strokes = list[list[list[int]]]  # as Google writes them


class Guesses(Drawings):
    """One drawing as it may have been drawn: the same strokes in several orders and directions, the plainest first."""


def read_picture(path: Path, name: str, tell: Callable[[str], object]) -> Drawings | None:
    """Read a PNG, JPEG, WebP or SVG file as one drawing, of which word and key_id are not known.

    Args:
        path: a regular file, of which the first bytes say what it is.
        name: what messages call it.
        tell: is called with a message about what was guessed, and with one about lines that are too wide.

    Returns:
        The drawing, with the word "" and a hash of its strokes as key_id; of a picture that was traced `GUESSES` of it.
        None if the file is no picture.

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
    if kind == "SVG":
        drawing = from_strokes([_svg_strokes(content, name, tell)], [""])
        return replace(drawing, key_id=content_hash(drawing))
    return guesses_of(_traced(content, name, tell), name)


def guesses_of(strokes: list[Float64Array], name: str) -> Guesses:
    """`GUESSES` of the order and the directions in which traced strokes, (K, 2) float64 each, were drawn."""
    from pipeline.tracing.order import guessed_orders

    orders = guessed_orders(strokes, GUESSES)
    found = [_simplified([(stroke[:, 0], stroke[:, 1]) for stroke in order], name) for order in orders]
    guesses = from_strokes(found, [""] * len(found))
    key_id = np.repeat(content_hash(guesses)[:1], len(found))
    return Guesses(**{**vars(guesses), "key_id": key_id})


def _simplified(strokes: Sequence[tuple[ArrayLike, ArrayLike]], name: str) -> Strokes:
    try:
        return [[x.tolist(), y.tolist()] for x, y in simplify(strokes)]
    except UsageError as error:
        raise InputError(f"{name}: {error}") from error


def _traced(content: bytes, name: str, tell: Callable[[str], object]) -> list[Float64Array]:
    from pipeline.tracing.raster import read_raster  # Pillow and scipy, which other files do not need
    from pipeline.tracing.trace import trace

    traced = trace(read_raster(content, name), name)
    tell(f"{name}: traced; order and direction of its strokes are guessed")
    if traced.line_width > WIDE:
        tell(
            f"{name}: its lines are {traced.line_width:.0%} of the drawing wide, which hides details; up to "
            f"{WIDE:.0%} are traced well: draw larger, or with a thinner pen"
        )
    return traced.strokes


def _svg_strokes(content: bytes, name: str, tell: Callable[[str], object]) -> Strokes:
    drawing = read_svg(content, name)
    if drawing.has_outlines:
        tell(f"{name}: no shape in it has a stroke, so that the outlines of its shapes are taken")
    strokes = [([point.real for point in line], [point.imag for point in line]) for line in drawing.strokes]
    if drawing.is_simplified:
        return [[[int(x) for x in xs], [int(y) for y in ys]] for xs, ys in strokes]
    return _simplified(strokes, name)
