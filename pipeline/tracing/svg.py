"""Reads the strokes of an SVG file: every subpath that is shown is one, in the order of the file.

The file is parsed by expat, a piece at a time, with no tree, no network and no other file. Entities of its own are
refused: a few lines of them can expand to gigabytes (https://en.wikipedia.org/wiki/Billion_laughs_attack).
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from xml.parsers import expat

from pipeline.errors import InputError
from pipeline.tracing.svg_paths import Line, PathError, numbers_of
from pipeline.tracing.svg_shapes import SHAPES, Attributes, Transform, length_of, moved, parse_transform

MOST_BYTES = 1 << 24  # of a file
MOST_POINTS = 100_000  # of a drawing before it is simplified, as of a raw one
MOST_DEPTH = 256  # elements within each other
OWN_VIEW = "-4 -4 264 264"  # the viewBox of `sketchpipe render replay`
SVG = "http://www.w3.org/2000/svg"
# Their content is shown only where something refers to it, or is no picture.
_HIDDEN = frozenset(
    ("defs", "symbol", "clipPath", "mask", "marker", "pattern", "metadata", "foreignObject", "title", "desc", "script")
)


@dataclass(frozen=True)
class SvgDrawing:
    """What an SVG file shows.

    Attributes:
        strokes: its lines, x + iy in the picture's pixels.
        has_outlines: whether these are the outlines of filled shapes, because no shape has a stroke.
        is_simplified: whether sketchpipe wrote the file: the points are those of a drawing as it is stored, 0-255.
    """

    strokes: list[Line]
    has_outlines: bool
    is_simplified: bool


def read_svg(content: bytes, name: str) -> SvgDrawing:
    """Read an SVG file; `name` is what messages call it.

    Shapes without a stroke are left out, unless that are all: then their outlines are taken, but of a rectangle around
    everything else, which is the paper.

    Raises:
        InputError: it is malformed, has entities or too many points, or shows no line.
    """
    reader = _Reader(name)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.EntityDeclHandler = reader.text, reader.refuse_entity
    reader.line_number = lambda: parser.CurrentLineNumber
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, IndexError | KeyError):  # of our own; a `LookupError` is an encoding that is not known
            raise
        raise InputError(f"{name}: an SVG file that is not well-formed XML ({error}); save it anew") from error
    return reader.drawing()


@dataclass(frozen=True)
class _State:
    """What an element hands down to those in it."""

    transform: Transform
    is_shown: bool
    is_visible: bool
    stroke: str


class _Reader:
    """Collects the shapes while expat parses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.states = [_State(Transform(), True, True, "none")]
        self.view, self.is_own = 0j, False
        self.shapes: list[tuple[str, list[Line], bool | None]] = []  # whether it has a stroke; None: as its class says
        self.points = 0
        self.style: list[str] = []  # the text of style sheets
        self.in_style = False
        self.line_number: Callable[[], int] = lambda: 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if len(self.states) > MOST_DEPTH:
            raise InputError(f"{self.name}: an SVG file of more than {MOST_DEPTH} elements within each other")
        space, _, kind = tag.rpartition(" ")
        given = {**attributes, **_declarations(attributes.get("style", ""))}
        before = self.states[-1]
        try:
            transform = before.transform
            if "transform" in attributes:
                transform = transform.after(parse_transform(attributes["transform"]))
            is_hidden = space not in ("", SVG) or kind in _HIDDEN or given.get("display") == "none"
            is_visible = given["visibility"] == "visible" if "visibility" in given else before.is_visible
            stroke = given.get("stroke", before.stroke).strip()
            state = _State(transform, before.is_shown and not is_hidden, is_visible, stroke)
            self.states.append(state)
            self.in_style = kind == "style"
            if len(self.states) == 2:
                self.view = _view(attributes)
                self.is_own = attributes.get("viewBox") == OWN_VIEW
            if state.is_shown and state.is_visible and kind in SHAPES:
                lines = SHAPES[kind](attributes, self.view)
                self.add(kind, [moved(line, transform) for line in lines], state, "class" in attributes)
        except (PathError, OverflowError) as error:
            label = f'{kind} "{attributes["id"]:.40}"' if "id" in attributes else kind
            raise InputError(f"{self.name}:{self.line_number()}: {label}: {error}; save the picture anew") from error

    def add(self, kind: str, lines: list[Line], state: _State, has_class: bool) -> None:
        """Keep the lines of a shape."""
        self.points += sum(map(len, lines))
        if self.points > MOST_POINTS:
            raise InputError(f"{self.name}: an SVG file of more than {MOST_POINTS:,} points; draw less")
        if lines:
            has_stroke = state.stroke not in ("", "none", "transparent")
            self.shapes.append((kind, lines, None if has_class and not has_stroke else has_stroke))

    def end(self, _tag: str) -> None:
        """An element ends."""
        self.states.pop()
        self.in_style = False

    def text(self, text: str) -> None:
        """Text of an element."""
        if self.in_style:
            self.style.append(text)

    def refuse_entity(self, entity: str, *_: object) -> None:
        """A declaration of an entity."""
        raise InputError(
            f'{self.name}: an SVG file that declares the entity "{entity:.40}", which could expand to any size; save '
            "it as plain SVG, without entities"
        )

    def drawing(self) -> SvgDrawing:
        """What was collected."""
        by_class = "stroke" in "".join(self.style)
        stroked = [lines for _, lines, has_stroke in self.shapes if (by_class if has_stroke is None else has_stroke)]
        shown = stroked or _without_paper([(kind, lines) for kind, lines, _ in self.shapes])
        strokes = [line for lines in shown for line in lines]
        if not strokes:
            raise InputError(
                f"{self.name}: an SVG file without a line that is shown; of its elements only "
                f"{', '.join(SHAPES)} are read: convert others to paths"
            )
        return SvgDrawing(strokes, not stroked, self.is_own and all(map(_is_stored, strokes)))


def _is_stored(line: Line) -> bool:
    """Whether points are as a drawing stores them."""
    return all(value.is_integer() and 0 <= value <= 255 for point in line for value in (point.real, point.imag))


def _without_paper(shapes: list[tuple[str, list[Line]]]) -> list[list[Line]]:
    """The lines of shapes without those of a rectangle around all others, if there are others."""
    points = [point for _, lines in shapes for line in lines for point in line]
    box = _box(points) if points else None
    others = [lines for kind, lines in shapes if not (kind == "rect" and _box(lines[0]) == box)]
    return others or [lines for _, lines in shapes]


def _box(points: Line) -> tuple[float, float, float, float]:
    x, y = [point.real for point in points], [point.imag for point in points]
    return min(x), min(y), max(x), max(y)


def _declarations(style: str) -> dict[str, str]:
    """The properties of a style attribute."""
    pairs = (one.partition(":") for one in style.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _view(attributes: Attributes) -> complex:
    """Width and height of the picture in its own pixels; 0 if they are not given."""
    if "viewBox" in attributes:
        box = numbers_of(attributes["viewBox"])
        return complex(*box[2:4]) if len(box) == 4 else 0j
    if "width" in attributes and "height" in attributes and "%" not in attributes["width"] + attributes["height"]:
        with contextlib.suppress(PathError):  # a unit that is not known matters only to what is given in percent
            return complex(length_of(attributes["width"], 0), length_of(attributes["height"], 0))
    return 0j
