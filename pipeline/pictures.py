"""Pictures for people: PNG files and contact sheets, all drawn by the one renderer."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.drawings import Drawings, UInt8Array
from pipeline.errors import OutputError
from pipeline.render import RenderConfig, render

_GAP = 4  # pixels between the drawings of a sheet
_LABEL_WIDTH = 120
_BACKGROUND, _TEXT = (24, 24, 24), (230, 230, 230)


def write_png(path: Path, image: UInt8Array) -> None:
    """Write an (H, W, 3) uint8 image, complete or not at all; its folder is made where it is missing.

    Raises:
        OutputError: it cannot be written.
    """
    if not path.name or path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file for the picture")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(temporary, format="PNG")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def contact_sheet(rows: Sequence[tuple[str, Drawings]], *, size: int = 64) -> UInt8Array:
    """A sheet with a row of drawings beside each label.

    Args:
        rows: a label and the drawings of its row.
        size: pixels of a drawing's side.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    columns = max(len(drawings) for _, drawings in rows)
    cell = size + _GAP
    sheet = Image.new("RGB", (_LABEL_WIDTH + columns * cell + _GAP, len(rows) * cell + _GAP), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for row, (label, drawings) in enumerate(rows):
        top = _GAP + row * cell
        text = label if len(label) < 19 else label[:17] + "..."
        pen.text((_GAP, top + size // 2), text, fill=_TEXT, font=font, anchor="lm")
        images = render(drawings, RenderConfig(size))
        for column, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (_LABEL_WIDTH + column * cell, top))
    return np.asarray(sheet)
