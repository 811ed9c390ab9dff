"""The shapes of SVG as lines, and the transforms of its groups.

Source: https://www.w3.org/TR/SVG2/shapes.html and https://www.w3.org/TR/css-transforms-1/. Points are complex numbers.
"""

import cmath
import math
import re
from collections.abc import Callable, Mapping

from pipeline.tracing.svg_paths import Line, PathError, ellipse_line, numbers_of, path_lines

Attributes = Mapping[str, str]

_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}
_LENGTH = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)([a-z]*|%)\s*")
_TRANSFORM = re.compile(r"[\s,]*([a-zA-Z]+)\s*\(([^()]*)\)")


class Transform:
    """A map of points, x + iy, that keeps straight lines straight: x times one vector, y times another, and a shift."""

    def __init__(self, x: complex = 1, y: complex = 1j, shift: complex = 0) -> None:
        self.x, self.y, self.shift = x, y, shift

    def __call__(self, point: complex) -> complex:
        """Where it moves a point."""
        return point.real * self.x + point.imag * self.y + self.shift

    def after(self, inner: "Transform") -> "Transform":
        """The map that does `inner` first."""
        origin = self(inner.shift)
        return Transform(self(inner.x + inner.shift) - origin, self(inner.y + inner.shift) - origin, origin)


def parse_transform(text: str) -> Transform:
    """The transform of an attribute.

    >>> parse_transform("translate(10) scale(2, 3)")(1 + 1j)
    (12+3j)

    Raises:
        PathError: it is malformed, or of an unknown kind.
    """
    whole, place = Transform(), 0
    while match := _TRANSFORM.match(text, place):
        values = numbers_of(match[2])
        place = match.end()
        kind = _KINDS.get(match[1])
        if kind is None or len(values) not in kind[0]:
            raise PathError(f'expected matrix, translate, scale, rotate or skew with numbers, found "{match[0]:.40}"')
        whole = whole.after(kind[1](values))
    if text[place:].strip(" \t\r\n,"):
        raise PathError(f'expected a transform, found "{text[place : place + 40]}"')
    return whole


def moved(line: Line, transform: Transform) -> Line:
    """The points of a line where a transform moves them.

    Raises:
        PathError: one is not finite then.
    """
    points = [transform(point) for point in line]
    if not all(map(cmath.isfinite, points)):
        raise PathError("a coordinate is too large")
    return points


def length_of(text: str, whole: float) -> float:
    """A length in pixels, of which the unit may be given; percent are of `whole`.

    Raises:
        PathError: it is no length.
    """
    match = _LENGTH.fullmatch(text)
    if match and match[2] == "%" and whole > 0:
        return float(match[1]) / 100 * whole
    if not match or match[2] not in _UNITS:
        raise PathError(f'expected a length in pixels, found "{text:.40}"')
    return float(match[1]) * _UNITS[match[2]]


def _point(attributes: Attributes, x: str, y: str, view: complex) -> complex:
    return complex(length_of(attributes.get(x, "0"), view.real), length_of(attributes.get(y, "0"), view.imag))


def _path(attributes: Attributes, _view: complex) -> list[Line]:
    data = attributes.get("d", "")
    return [] if data.strip() == "none" else path_lines(data)


def _polyline(attributes: Attributes, _view: complex) -> list[Line]:
    values = numbers_of(attributes.get("points", ""))
    if len(values) % 2:
        raise PathError(f"points has {len(values)} numbers, of which one is without its y")
    points = [complex(x, y) for x, y in zip(values[::2], values[1::2], strict=True)]
    return [points] if len(points) > 1 else []


def _polygon(attributes: Attributes, view: complex) -> list[Line]:
    return [[*points, points[0]] for points in _polyline(attributes, view)]


def _line(attributes: Attributes, view: complex) -> list[Line]:
    return [[_point(attributes, "x1", "y1", view), _point(attributes, "x2", "y2", view)]]


def _rect(attributes: Attributes, view: complex) -> list[Line]:
    corner, size = _point(attributes, "x", "y", view), _point(attributes, "width", "height", view)
    across, down = complex(size.real, 0), complex(0, size.imag)
    return [[corner, corner + across, corner + size, corner + down, corner]] if size.real and size.imag else []


def _circle(attributes: Attributes, view: complex) -> list[Line]:
    radius = length_of(attributes.get("r", "0"), math.hypot(view.real, view.imag) / math.sqrt(2))
    return [ellipse_line(_point(attributes, "cx", "cy", view), radius, radius)] if radius else []


def _ellipse(attributes: Attributes, view: complex) -> list[Line]:
    radii = _point(attributes, "rx", "ry", view)
    return [ellipse_line(_point(attributes, "cx", "cy", view), radii.real, radii.imag)] if radii else []


def _rotation(values: list[float]) -> Transform:
    turn = cmath.rect(1, math.radians(values[0]))
    centre = complex(*values[1:])
    return Transform(turn, turn * 1j, centre - turn * centre)


# The elements that are lines; what each is called with are its attributes, and the picture's width and height, of which
# lengths in percent are, 0 where they are not known. A malformed attribute is a `PathError`.
SHAPES: dict[str, Callable[[Attributes, complex], list[Line]]] = {
    "path": _path, "polyline": _polyline, "polygon": _polygon, "line": _line, "rect": _rect, "circle": _circle,
    "ellipse": _ellipse,
}  # fmt: skip
_KINDS: dict[str, tuple[tuple[int, ...], Callable[[list[float]], Transform]]] = {  # how many numbers, and what they do
    "matrix": ((6,), lambda v: Transform(complex(v[0], v[1]), complex(v[2], v[3]), complex(v[4], v[5]))),
    "translate": ((1, 2), lambda v: Transform(shift=complex(*v))),
    "scale": ((1, 2), lambda v: Transform(v[0], complex(0, v[-1]))),
    "rotate": ((1, 3), _rotation),
    "skewX": ((1,), lambda v: Transform(y=complex(math.tan(math.radians(v[0])), 1))),
    "skewY": ((1,), lambda v: Transform(x=complex(1, math.tan(math.radians(v[0]))))),
}
