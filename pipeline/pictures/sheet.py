"""Pictures for people: image files and contact sheets, all drawn by the one renderer."""

import contextlib
import io
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.arrays import UInt8Array
from pipeline.classes import resembling
from pipeline.drawings import Drawings, concat
from pipeline.errors import InputError, OutputError, UsageError
from pipeline.pictures.names import safe_name
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.manifest import Manifest
from pipeline.shards.read import ShardSplit
from pipeline.storage.files import partial_path, write_atomically

MAX_SHEET_PIXELS = 100_000_000
_GAP = 4  # pixels between the drawings of a sheet
_TEXT_HEIGHT = 16  # of a row that is drawn smaller than its label
_LABEL_WIDTH, _MAX_LABEL_WIDTH = 120, 240
_BACKGROUND, _TEXT = (24, 24, 24), (230, 230, 230)
_NO_CHARACTER = "\U0010ffff"  # Unicode promises that it will never be one, so that a font shows what it lacks
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def check_picture_path(path: Path, suffix: str) -> None:
    """Make sure that `path` can name a picture of the format that `suffix` stands for; it needs no suffix.

    Raises:
        OutputError: it is a folder, or lies where nothing can be written.
        UsageError: it promises another format.
    """
    check_output_path(path, ("", suffix), "picture")


def check_output_path(path: Path, suffixes: Sequence[str], noun: str) -> None:
    """Make sure that `path` can be written and names what it should, before there is anything to write.

    Args:
        path: of the file.
        suffixes: that its name may have, the first that is not empty the usual one.
        noun: what the file is.

    Raises:
        OutputError: it is a folder, or lies where nothing can be written.
        UsageError: it promises another format, or is `-`.
    """
    usual = next(suffix for suffix in suffixes if suffix)
    if str(path) == "-":
        raise UsageError(f"-: the {noun} goes to a file; give it a name that ends in {usual}")
    if not path.name or path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file for the {noun}")
    if path.suffix.lower() not in suffixes:
        kind = usual[1:].upper()
        raise UsageError(
            f"{path}: the {noun} is {'an' if kind[0] in 'HO' else 'a'} {kind} file; let its name end in {usual}"
        )
    check_place(path)


def check_place(path: Path) -> None:
    """Make sure that a file can be written at `path`, before hours are spent on what it is to hold.

    A nameless file is made for a moment where it would lie, or where its folder would: permissions do not tell all.

    Raises:
        OutputError: it cannot.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        return  # a pipe
    folder = next(parent for parent in place.parents if parent.exists())
    if not folder.is_dir():
        raise OutputError(f"{path}: cannot be written ({folder} is no folder); choose another place")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({folder} takes no file: {error.strerror}); choose another place"
        ) from error


def write_png(path: Path, image: UInt8Array) -> None:
    """Write an (H, W, 3) or (H, W, 1) uint8 image as `write_image` does.

    Raises:
        OutputError: it cannot be written.
        UsageError: the path promises another format.
    """
    check_picture_path(path, ".png")
    png = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(png, format="PNG")
    write_image(path, png.getvalue())


def write_image(path: Path, content: bytes) -> None:
    """Write the bytes of a picture, all of them or none; its folder is made where it is missing.

    A link stays, and the file that it leads to is replaced. What is no file, such as a pipe, is written into.

    Raises:
        OutputError: they cannot be written.
    """
    target = Path(os.path.realpath(path))  # Path.resolve raises something else where links go round
    try:
        if path.exists() and not target.is_file():  # nor is the target of /dev/stdout, where that is a pipe
            path.write_bytes(content)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_atomically(target, content)
        finally:
            with contextlib.suppress(OSError):
                partial_path(target).unlink()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error


def sheet_rows(
    split: ShardSplit, labels: Sequence[int], columns: int, config: RenderConfig
) -> list[tuple[str, Drawings]]:
    """The first `columns` drawings of each of some classes of a split, or as many as there are, as rows of a sheet.

    Raises:
        UsageError: the sheet would have more than `MAX_SHEET_PIXELS`; nothing has been read.
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
    """A sheet with a row of drawings beside each label, in as many columns of rows as make it about square.

    Args:
        rows: a label and the drawings of its row.
        config: how drawings become images.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        UsageError: the sheet would have more than `MAX_SHEET_PIXELS`.
    """
    at = _layout([label for label, _ in rows], max(len(drawings) for _, drawings in rows), config)
    sheet = Image.new("RGB", (at.columns * at.wide, at.height), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (label, (_, drawings)) in enumerate(zip(at.labels, rows, strict=True)):
        left, top = number // at.rows * at.wide, _GAP + number % at.rows * at.line
        pen.text((left + _GAP, top + (at.line - _GAP) // 2), label, fill=_TEXT, font=at.font, anchor="lm")
        for k, image in enumerate(render(drawings, config)):
            shown = image[:, :, 0] if config.channels == 1 else image
            sheet.paste(Image.fromarray(shown), (left + at.label_width + k * (config.size + _GAP), top))
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
            near = resembling(word, known, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known[:5])}"
            more = ", ..." if len(known) > 5 and not near else ""
            raise InputError(f'{folder}: has no class "{word}"; {hint}{more}')
    if classes is not None and len(set(classes)) < len(classes):
        raise UsageError("a class is named twice")
    return list(range(len(known))) if classes is None else [known.index(word) for word in classes]


@dataclass(frozen=True)
class _Layout:
    """Where a sheet has what, in pixels.

    Attributes:
        font: of the labels.
        labels: as they are shown.
        label_width: before the first drawing of a row.
        line: from row to row.
        rows: one above the other.
        columns: of rows.
        wide: from one column of rows to the next.
        height: of the sheet.
    """

    font: Font
    labels: list[str]
    label_width: int
    line: int
    rows: int
    columns: int
    wide: int
    height: int


def _layout(words: Sequence[str], longest: int, config: RenderConfig) -> _Layout:
    """The layout of a sheet with a row of at most `longest` drawings for each word."""
    font = ImageFont.load_default(12)
    labels = [shortened(shown(word, font), font, _MAX_LABEL_WIDTH) for word in words]
    line = max(config.size + _GAP, _TEXT_HEIGHT)
    label_width = max(_LABEL_WIDTH, *(math.ceil(font.getlength(label)) + 3 * _GAP for label in labels))
    wide = label_width + longest * (config.size + _GAP) + _GAP
    columns = max(1, round(math.sqrt(len(words) * line / wide)))
    rows = -(-len(words) // columns)
    columns = -(-len(words) // rows)  # none of them empty
    height = rows * line + _GAP
    if columns * wide * height > MAX_SHEET_PIXELS:
        found = f"{columns * wide:,} x {height:,} pixels"
        raise UsageError(f"a sheet of {found} is too large; give fewer columns, fewer classes or a smaller size")
    return _Layout(font, labels, label_width, line, rows, columns, wide, height)


def shown(word: str, font: Font) -> str:
    """The word, or where the font lacks one of its characters the name that its folder of pictures has."""
    lacking = bytes(font.getmask(_NO_CHARACTER))
    can_show = all(c.isprintable() and bytes(font.getmask(c)) != lacking for c in set(word))
    return word if can_show else safe_name(word)


def shortened(label: str, font: Font, width: int) -> str:
    """As much of a label as so many pixels have room for."""
    if font.getlength(label) <= width:
        return label
    while label and font.getlength(label + "...") > width:
        label = label[:-1]
    return label + "..."
