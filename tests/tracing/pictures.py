"""Pictures of lines, drawn by Pillow."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipeline.arrays import Float64Array, UInt8Array
from pipeline.tracing.trace import Traced, trace

Points = Sequence[tuple[float, float]]


def lined(*lines: Points, size: tuple[int, int] = (200, 200), width: int = 6) -> Image.Image:
    """Black lines with round ends on white, mode L."""
    image = Image.new("L", size, 255)
    pen = ImageDraw.Draw(image)
    for line in lines:
        pen.line(list(line), fill=0, width=width, joint="curve")
        for x, y in (line[0], line[-1]):
            pen.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=0)
    return image


def traced(image: Image.Image) -> Traced:
    """The trace of a picture as it is."""
    levels: UInt8Array = np.asarray(image)
    return trace(levels if levels.ndim == 3 else levels[..., None], "a picture")


def ends(stroke: Float64Array) -> list[tuple[int, int]]:
    """The first and the last point of a stroke, to 10 pixels, in the order of x."""
    found = [(round(x / 10) * 10, round(y / 10) * 10) for x, y in (stroke[0].tolist(), stroke[-1].tolist())]
    return sorted(found)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
