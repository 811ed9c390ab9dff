"""Parses the path data of SVG to polylines: curves and arcs become points that are close to each other.

Source: https://www.w3.org/TR/SVG2/paths.html. Points are complex numbers, x + iy, so that curves are short formulas.
"""

import cmath
import math
import re
from collections.abc import Iterator

CURVE_PIECES = 24  # of a Bezier curve; of one that is as large as the drawing they are within a pixel of 255
ARC_DEGREES = 5.0  # of an ellipse, to a piece

Line = list[complex]  # one or more points

_NUMBER = re.compile(r"[\s,]*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_FLAG = re.compile(r"[\s,]*([01])")
_LEAST_RADIUS = 1e-9  # an arc of a smaller one is a straight line
_REST = re.compile(r"[ \t\r\n,]*\Z")
_COMMAND = re.compile(r"[\s,]*([MmLlHhVvCcSsQqTtAaZz])")
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
_FLAGS = (3, 4)  # arguments of A that are one digit, after which no separator is needed


class PathError(ValueError):
    """Path data that is not as SVG defines it; the message says where."""


def path_lines(text: str) -> list[Line]:
    """The subpaths of path data, each as one line.

    >>> path_lines("M0 0H3v4zM5,5l1-1")
    [[0j, (3+0j), (3+4j), 0j], [(5+5j), (6+4j)]]

    Raises:
        PathError: the data is malformed.
    """
    lines: list[Line] = []
    at = start = 0j
    control, before = 0j, ""  # the last control point, and the command that it is of
    for command, values in _commands(text):
        kind = command.upper()
        if not before and kind != "M":
            raise PathError(f"expected M or m at the beginning, found {command}")
        here = at if command.islower() else 0j
        if kind == "M":
            at = start = here + complex(*values)
            lines.append([at])
        elif kind == "Z":
            lines[-1].append(start)
            at = start
        else:
            if before == "Z":
                lines.append([at])
            ends = [here + complex(x, y) for x, y in zip(values[::2], values[1::2], strict=False)]
            mirrored = 2 * at - control if before in _SAME_CURVE.get(kind, "") else at
            if kind == "L":
                points = ends
            elif kind == "H":
                points = [complex(here.real + values[0], at.imag)]
            elif kind == "V":
                points = [complex(at.real, here.imag + values[0])]
            elif kind in "CS":
                first, control, end = ends if kind == "C" else (mirrored, *ends)
                points = _cubic(at, first, control, end)
            elif kind in "QT":
                control, end = ends if kind == "Q" else (mirrored, ends[0])
                points = _cubic(at, at + (control - at) * 2 / 3, end + (control - end) * 2 / 3, end)
            else:
                end = here + complex(values[5], values[6])
                points = _arc(at, values[0], values[1], values[2], bool(values[3]), bool(values[4]), end)
            lines[-1] += points
            at = points[-1]
        before = kind
    return [line for line in lines if len(line) > 1]


def ellipse_line(centre: complex, rx: float, ry: float) -> Line:
    """The outline of an ellipse whose axes are level, closed."""
    count = round(360 / ARC_DEGREES)
    turns = [2 * math.pi * k / count for k in range(count)]
    points = [centre + complex(rx * math.cos(turn), ry * math.sin(turn)) for turn in turns]
    return [*points, points[0]]


def numbers_of(text: str) -> list[float]:
    """The numbers of a list that is separated by spaces or commas.

    Raises:
        PathError: there is something else in it.
    """
    found, place = [], 0
    while match := _NUMBER.match(text, place):
        found.append(_finite(match[1], match.start(1)))
        place = match.end()
    if not _REST.match(text, place):
        raise PathError(f'expected a number at character {place + 1}, found "{text[place : place + 20].strip()}"')
    return found


_SAME_CURVE = {"S": "CS", "T": "QT"}  # the commands whose control point is mirrored


def _commands(text: str) -> Iterator[tuple[str, list[float]]]:
    """The commands of path data with their arguments, each repetition of the arguments as a command of its own."""
    place, command = 0, ""
    while not _REST.match(text, place):
        match = _COMMAND.match(text, place)
        if match:
            command, place = match[1], match.end()
        elif command in ("", "Z", "z"):
            raise PathError(f'expected a command at character {place + 1}, found "{text[place : place + 20].strip()}"')
        else:
            command = {"M": "L", "m": "l"}.get(command, command)
        values: list[float] = []
        for number in range(_ARGUMENTS[command.upper()]):
            is_flag = command in "Aa" and number in _FLAGS
            found = (_FLAG if is_flag else _NUMBER).match(text, place)
            if not found:
                what = "0 or 1" if is_flag else "a number"
                raise PathError(
                    f'expected {what} for {command} at character {place + 1}, found "{text[place : place + 20]}"'
                )
            values.append(_finite(found[1], found.start(1)))
            place = found.end()
        yield command, values


def _finite(text: str, place: int) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise PathError(f'"{text:.20}" at character {place + 1} is too large')
    return value


def _cubic(a: complex, b: complex, c: complex, d: complex) -> Line:
    """The points of a Bezier curve after its first."""
    shares = [k / CURVE_PIECES for k in range(1, CURVE_PIECES)]
    return [
        *((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d for t in shares), d
    ]  # fmt: skip


def _arc(a: complex, rx: float, ry: float, turned: float, large: bool, clockwise: bool, b: complex) -> Line:
    """The points of an elliptical arc from `a` to `b` after its first; radii that are too small are enlarged.

    Source: https://www.w3.org/TR/SVG2/implnote.html#ArcImplementationNotes.
    """
    rx, ry = abs(rx), abs(ry)
    if a == b or min(rx, ry) < _LEAST_RADIUS:
        return [b]
    turn = cmath.rect(1, math.radians(turned))
    half = (a - b) / 2 / turn
    half = complex(half.real / rx, half.imag / ry)  # on a circle of radius 1
    if abs(half) > 1:
        rx, ry, half = rx * abs(half), ry * abs(half), half / abs(half)
    height = math.sqrt(max(0.0, 1 - abs(half) ** 2)) / abs(half)
    centre = half * complex(0, height if large == clockwise else -height)
    first, last = cmath.phase(half - centre), cmath.phase(-half - centre)
    sweep = (last - first) % (2 * math.pi) - (0 if clockwise else 2 * math.pi)
    count = max(1, math.ceil(abs(math.degrees(sweep)) / ARC_DEGREES))
    middle = (a + b) / 2
    points = []
    for k in range(1, count):
        on_circle = centre + cmath.rect(1, first + sweep * k / count)
        points.append(middle + complex(on_circle.real * rx, on_circle.imag * ry) * turn)
    return [*points, b]
