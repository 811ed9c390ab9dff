"""Draws contact sheets: a row of drawings for each class."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pipeline.arrays import UInt8Array
from pipeline.classes import resembling
from pipeline.drawings import Drawings, concat
from pipeline.errors import InputError, UsageError
from pipeline.pictures.labels import Label, label_of
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.manifest import Manifest
from pipeline.shards.read import ShardSplit
from pipeline.storage.outputs import check_picture_path, write_output

MAX_SHEET_PIXELS = 100_000_000
_GAP = 4  # pixels between the drawings of a sheet
_TEXT_HEIGHT = 16  # pixels; the least height of a row, so that its label fits
_LABEL_WIDTH, _MAX_LABEL_WIDTH = 120, 240
_BACKGROUND, _TEXT = (24, 24, 24), (230, 230, 230)
_TEXT_SIZE = 12  # of the font


def write_png(path: Path, image: UInt8Array) -> None:
    """Write an (H, W, 3) or (H, W, 1) uint8 image as a PNG file, as `write_output` does.

    Raises:
        OutputError: the file cannot be written.
        UsageError: the path does not end in `.png`.
    """
    check_picture_path(path, ".png")
    png = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(png, format="PNG")
    write_output(path, png.getvalue())


def sheet_rows(
    split: ShardSplit, labels: Sequence[int], columns: int, config: RenderConfig
) -> list[tuple[str, Drawings]]:
    """Read the rows of a sheet: the first drawings of each of some classes of a split, at most `columns`.

    Raises:
        UsageError: the sheet would have more than `MAX_SHEET_PIXELS`; nothing is read then.
        ShardError: the shards are damaged.
    """
    known, counts = split.manifest.classes, split.manifest.counts[split.name]
    wanted = {label: min(columns, counts[label]) for label in labels}
    _layout([known[label] for label in labels], max(wanted.values()), config)
    found: dict[int, list[Drawings]] = {label: [] for label in labels}
    missing = dict(wanted)
    for group in range(len(split.row_groups)):
        drawings = split.read_row_group(group)
        for label, parts in found.items():
            parts.append(drawings.take(np.flatnonzero(drawings.word == label)[: missing[label]]))
            missing[label] -= len(parts[-1])
        if not any(missing.values()):
            break
    return [(known[label], concat(parts)) for label, parts in found.items()]


def contact_sheet(rows: Sequence[tuple[str, Drawings]], config: RenderConfig) -> UInt8Array:
    """Draw a sheet of rows, each a label and its drawings, in so many columns of rows that it is about square.

    Args:
        rows: the label and the drawings of each row.
        config: the render settings.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        UsageError: the sheet would have more than `MAX_SHEET_PIXELS`.
    """
    at = _layout([label for label, _ in rows], max(len(drawings) for _, drawings in rows), config)
    sheet = Image.new("RGB", (at.columns * at.wide, at.height), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (one, (_, drawings)) in enumerate(zip(at.labels, rows, strict=True)):
        left, top = number // at.rows * at.wide, _GAP + number % at.rows * at.line
        pen.text((left + _GAP, top + (at.line - _GAP) // 2), one.text, fill=_TEXT, font=one.font, anchor="lm")
        for k, image in enumerate(render(drawings, config)):
            shown = image[:, :, 0] if config.channels == 1 else image
            sheet.paste(Image.fromarray(shown), (left + at.label_width + k * (config.size + _GAP), top))
    return np.asarray(sheet)


def labels_of(folder: Path, manifest: Manifest, classes: Sequence[str] | None) -> list[int]:
    """The labels of `classes` in a folder of shards, in that order; None takes all classes.

    Raises:
        InputError: the shards do not have one of the classes.
        UsageError: a class is named twice.
    """
    known = manifest.classes
    for word in classes or ():
        if word not in known:
            near = resembling(word, known, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known[:5])}"
            more = ", ..." if len(known) > 5 and not near else ""
            raise InputError(f'{folder}: has no class "{word}"; {hint}{more}')
    if classes is not None and len(set(classes)) < len(classes):
        raise UsageError("a class is named twice")
    return list(range(len(known))) if classes is None else [known.index(word) for word in classes]


@dataclass(frozen=True)
class _Layout:
    """The layout of a sheet; distances are in pixels.

    Attributes:
        labels: the labels as they are shown, each with its font.
        label_width: the space for the label, before the first drawing of a row.
        line: the distance from one row to the next.
        rows: how many rows are below each other.
        columns: how many columns of rows there are.
        wide: the distance from one column of rows to the next.
        height: the height of the sheet.
    """

    labels: list[Label]
    label_width: int
    line: int
    rows: int
    columns: int
    wide: int
    height: int


def _layout(words: Sequence[str], longest: int, config: RenderConfig) -> _Layout:
    """The layout of a sheet with a row of at most `longest` drawings for each word."""
    labels = [label_of(word, _TEXT_SIZE, _MAX_LABEL_WIDTH) for word in words]
    line = max(config.size + _GAP, _TEXT_HEIGHT)
    label_width = max(_LABEL_WIDTH, *(math.ceil(one.width) + 3 * _GAP for one in labels))
    wide = label_width + longest * (config.size + _GAP) + _GAP
    columns = max(1, round(math.sqrt(len(words) * line / wide)))
    rows = -(-len(words) // columns)
    columns = -(-len(words) // rows)  # so that no column is empty
    height = rows * line + _GAP
    if columns * wide * height > MAX_SHEET_PIXELS:
        found = f"{columns * wide:,} x {height:,} pixels"
        raise UsageError(f"a sheet of {found} is too large; give fewer columns, fewer classes or a smaller size")
    return _Layout(labels, label_width, line, rows, columns, wide, height)
