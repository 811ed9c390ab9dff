"""Draws a confusion matrix as an image, with numbers in the cells if there are few classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.pictures.labels import Label, label_of

_BACKGROUND, _TEXT, _FAINT = (255, 255, 255), (40, 40, 40), (120, 120, 120)
_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)  # the colours of a cell that holds all drawings of its row
_FAINTEST = 0.2  # the least depth of the colour of a cell that is not 0; page.js of the report uses the same value
_LINE = 13  # pixels from one word to the next
_SIZE = 11  # of the font
_WORDS = 130  # pixels at most for the words of an axis
_MARGIN = 22  # pixels around the matrix, which also hold the name of an axis
_SIDE = 690  # pixels of all cells of a row together, if there are many
_NUMBERED = 30  # pixels; a cell of at least this size has room for a number
_GRID = (226, 226, 226)


def matrix_picture(confusion: Int64Array, words: Sequence[str]) -> UInt8Array:
    """Draw a confusion matrix: a row for each true class, a column for each predicted class.

    Correct predictions are blue, wrong ones orange. The depth of a cell's colour is the square root of its share of its
    row, so that rare confusions can be seen. With up to 23 classes each cell shows its share in percent.

    Args:
        confusion: (K, K) int64, the number of drawings by true and predicted class.
        words: the K classes, in the order of the matrix.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    count = len(words)
    cell = max(2, min(36, _SIDE // count))
    shares = row_shares(confusion)
    every = -(-_LINE // cell)  # an axis shows the word of one class in this many
    labels = [label_of(word, _SIZE, _WORDS) for word in words]
    font = label_of("", _SIZE, _WORDS).font
    side = _MARGIN + 8 + max(int(one.width) for one in labels[::every])
    picture = Image.new("RGB", (side + count * cell + _MARGIN, side + count * cell + _MARGIN), _BACKGROUND)
    picture.paste(Image.fromarray(_cells(shares, cell)), (side, side))
    pen = ImageDraw.Draw(picture)
    for k in range(0, count, every):
        middle = side + k * cell + cell // 2
        pen.text((side - 5, middle), labels[k].text, fill=_TEXT, font=labels[k].font, anchor="rm")
        _write_upwards(picture, labels[k], _TEXT, (middle, side - 5))
    pen.text((side, 4), "columns: predicted class", fill=_FAINT, font=font)
    _write_upwards(picture, Label("rows: true class", font), _FAINT, (4 + _LINE // 2, side + count * cell))
    if cell >= _NUMBERED:
        for (row, column), share in np.ndenumerate(shares):
            if round(100 * share):
                colour = _BACKGROUND if share > 0.25 else _TEXT
                place = (side + column * cell + cell // 2, side + row * cell + cell // 2)
                pen.text(place, f"{100 * share:.0f}", fill=colour, font=font, anchor="mm")
    return np.asarray(picture)


def row_shares(confusion: Int64Array) -> NDArray[np.float64]:
    """(K, K) float64, each row's shares of its drawings; 0 in a row without drawings."""
    shares: NDArray[np.float64] = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return shares


def _cells(shares: NDArray[np.float64], cell: int) -> UInt8Array:
    """The coloured cells, (K * cell, K * cell, 3) uint8, with lines between cells of 8 pixels or more."""
    depth = np.where(shares > 0, np.maximum(np.sqrt(shares), _FAINTEST), 0)[:, :, None]
    full = np.where(np.eye(len(shares), dtype=bool)[:, :, None], _RIGHT, _WRONG)
    colours = np.rint(255 + depth * (full - 255)).astype(np.uint8)
    large: UInt8Array = colours.repeat(cell, axis=0).repeat(cell, axis=1)
    if cell >= 8:
        large[::cell] = large[:, ::cell] = _GRID
        large[-1] = large[:, -1] = _GRID
    return large


def _write_upwards(picture: Image.Image, text: Label, colour: tuple[int, int, int], foot: tuple[int, int]) -> None:
    """Write text upwards; `foot` is the middle of its lower end."""
    written = Image.new("L", (int(text.width) + 2, _LINE + 2))
    ImageDraw.Draw(written).text((0, (_LINE + 2) // 2), text.text, fill=255, font=text.font, anchor="lm")
    turned = written.transpose(Image.Transpose.ROTATE_90)
    picture.paste(colour, (foot[0] - turned.width // 2, foot[1] - turned.height), turned)
