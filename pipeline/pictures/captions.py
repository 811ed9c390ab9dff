"""Draws a grid of drawings as a network sees them, with words below them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from pipeline.arrays import UInt8Array
from pipeline.pictures.labels import label_of

RIGHT, WRONG, PLAIN = (120, 210, 130), (255, 140, 110), (200, 200, 200)
_BACKGROUND = (24, 24, 24)
_WIDTH, _GAP, _LINE = 92, 6, 13  # pixels: the least width of a cell, the gap around it, the height of a line of words
_SIZE = 11  # of the font

Caption = tuple[str, tuple[int, int, int]]


def captioned_grid(images: UInt8Array, captions: Sequence[Sequence[Caption]], columns: int = 6) -> UInt8Array:
    """Draw a grid of images, each with its captions below it.

    Args:
        images: (N, H, W, 3) uint8, or (N, H, W, 1), gray.
        captions: the lines below each image; a line is a text and its colour.
        columns: the most images in a row.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    count, height, width = images.shape[:3]
    lines = max((len(one) for one in captions), default=0)
    wide, high = max(width, _WIDTH) + _GAP, height + lines * _LINE + 2 * _GAP
    columns = max(1, min(columns, count))
    grid = Image.new("RGB", (columns * wide + _GAP, max(1, -(-count // columns)) * high), _BACKGROUND)
    pen = ImageDraw.Draw(grid)
    for k, (image, lines_below) in enumerate(zip(images, captions, strict=True)):
        left, top = _GAP + k % columns * wide, _GAP + k // columns * high
        middle = left + (wide - _GAP) // 2
        grid.paste(Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image), (middle - width // 2, top))
        for line, (text, colour) in enumerate(lines_below):
            shown = label_of(text, _SIZE, wide - _GAP)
            pen.text((middle, top + height + line * _LINE), shown.text, fill=colour, font=shown.font, anchor="ma")
    return np.asarray(grid)
