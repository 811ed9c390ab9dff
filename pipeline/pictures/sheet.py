"""Pictures for people: image files and contact sheets, all drawn by the one renderer."""

import contextlib
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.classes import resembling
from pipeline.drawings import Drawings, UInt8Array
from pipeline.errors import InputError, OutputError, UsageError
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.manifest import Manifest

MAX_SHEET_PIXELS = 100_000_000
_GAP = 4  # pixels between the drawings of a sheet
_TEXT_HEIGHT = 16  # of a row that is drawn smaller than its label
_LABEL_WIDTH, _MAX_LABEL_WIDTH = 120, 240
_BACKGROUND, _TEXT = (24, 24, 24), (230, 230, 230)


def write_png(path: Path, image: UInt8Array) -> None:
    """Write an (H, W, 3) or (H, W, 1) uint8 image, complete or not at all; its folder is made where it is missing.

    Raises:
        OutputError: it cannot be written.
    """
    png = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(png, format="PNG")
    write_image(path, png.getvalue())


def write_image(path: Path, content: bytes) -> None:
    """Write the bytes of a picture, all of them or none; its folder is made where it is missing.

    Raises:
        OutputError: they cannot be written.
    """
    if not path.name or path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file for the picture")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def contact_sheet(rows: Sequence[tuple[str, Drawings]], config: RenderConfig) -> UInt8Array:
    """A sheet with a row of drawings beside each label, in as many columns of rows as make it about square.

    Args:
        rows: a label and the drawings of its row.
        config: how drawings become images.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        UsageError: the sheet would have more than `MAX_SHEET_PIXELS`.
    """
    font = ImageFont.load_default(12)
    cell = config.size + _GAP
    line = max(cell, _TEXT_HEIGHT)
    labels = [_shortened(label, font) for label, _ in rows]
    label_width = max(_LABEL_WIDTH, *(math.ceil(font.getlength(label)) + 3 * _GAP for label in labels))
    wide = label_width + max(len(drawings) for _, drawings in rows) * cell + _GAP
    columns = max(1, round(math.sqrt(len(rows) * line / wide)))
    height = -(-len(rows) // columns)
    columns = -(-len(rows) // height)  # none of them empty
    if columns * wide * (height * line + _GAP) > MAX_SHEET_PIXELS:
        found = f"{columns * wide:,} x {height * line + _GAP:,} pixels"
        raise UsageError(f"a sheet of {found} is too large; give fewer columns, fewer classes or a smaller size")
    sheet = Image.new("RGB", (columns * wide, height * line + _GAP), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (label, (_, drawings)) in enumerate(zip(labels, rows, strict=True)):
        left, top = number // height * wide, _GAP + number % height * line
        pen.text((left + _GAP, top + (line - _GAP) // 2), label, fill=_TEXT, font=font, anchor="lm")
        for k, image in enumerate(render(drawings, config)):
            shown = image[:, :, 0] if config.channels == 1 else image
            sheet.paste(Image.fromarray(shown), (left + label_width + k * cell, top))
    return np.asarray(sheet)


def labels_of(folder: Path, manifest: Manifest, classes: Sequence[str] | None) -> list[int]:
    """The labels of some classes of a folder of shards, in the order of `classes`; of all where that is None.

    Raises:
        InputError: the shards have no such class.
        UsageError: a class is named twice.
    """
    known = manifest.classes
    for word in classes or ():
        if word not in known:
            near = " or ".join(resembling(word, known, 3)) or ", ".join(known[:5])
            raise InputError(f'{folder}: has no class "{word}"; did you mean {near}?')
    if classes is not None and len(set(classes)) < len(classes):
        raise UsageError("a class is named twice")
    return list(range(len(known))) if classes is None else [known.index(word) for word in classes]


def _shortened(label: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """One line of a label, as much as there is room for."""
    label = "".join(character if character.isprintable() else " " for character in label)
    if font.getlength(label) <= _MAX_LABEL_WIDTH:
        return label
    while font.getlength(label + "...") > _MAX_LABEL_WIDTH:
        label = label[:-1]
    return label + "..."
