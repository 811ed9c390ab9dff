"""Writes Google's bitmaps as folders of 8-bit grey PNG files named <class>-0000123.png.

The index of the set has the columns split, class, file, source and row.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.classes import resembling
from pipeline.errors import InputError, UsageError
from pipeline.pictures.names import safe_name
from pipeline.pictures.npy import SIDE, BitmapFile, bitmap_splits, find_bitmaps
from pipeline.pictures.png import SCALINGS, resized
from pipeline.pictures.sets import PictureSet, place_set, write_picture, write_pictures
from pipeline.pictures.target import BITMAPS, INDEX, PICTURES
from pipeline.progress import Progress, untold
from pipeline.shards.manifest import ATTRIBUTION, file_hash
from pipeline.shards.shuffle import SPLITS, canonical_splits, parse_splits
from pipeline.sources.identity import identity_of, refuse_change

_COLUMNS = ("split", "class", "file", "source", "row")
_MAX_SIZE = 1024  # pixels
_BLOCK = 1024  # bitmaps


@dataclass(frozen=True)
class BitmapOptions:
    """The options that, with the bitmaps, determine which files are written.

    Attributes:
        classes: the classes to take; None takes all.
        drawings_per_class: how many bitmaps to take of each class, in the order of its files; None takes all.
        splits: the shares of the train, validation and test splits.
        seed: a different seed divides the bitmaps into splits differently.
        size: width and height of a picture, pixels.
        scaling: how bitmaps are resized if the size is not 28, one of `SCALINGS`.
        invert: make strokes black on white; Google's are white on black.
    """

    classes: tuple[str, ...] | None = None
    drawings_per_class: int | None = None
    splits: str = "0.8,0.1,0.1"
    seed: int = 0
    size: int = SIDE
    scaling: str = "nearest"
    invert: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", canonical_splits(self.splits))  # the dataclass is frozen
        if self.drawings_per_class is not None and self.drawings_per_class < 1:
            raise UsageError(f"drawings_per_class {self.drawings_per_class}: expected 1 or more")
        if not 0 <= self.seed < 1 << 64:
            raise UsageError(f"seed {self.seed}: expected a whole number from 0 to 2**64 - 1")
        if not 1 <= self.size <= _MAX_SIZE:
            raise UsageError(f"size {self.size}: expected 1 to {_MAX_SIZE} pixels")
        if self.scaling not in SCALINGS:
            raise UsageError(f'scaling "{self.scaling}": expected one of {", ".join(SCALINGS)}')
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise UsageError("a class is named twice")


@dataclass(frozen=True)
class _Block:
    """Some rows of a file, and the number of the first of them within its class."""

    file: BitmapFile
    start: int
    stop: int
    number: int


def write_folders(
    inputs: Sequence[str],
    folder: Path,
    options: BitmapOptions,
    *,
    workers: int = 1,
    force: bool = False,
    progress: Progress = untold,
    tell: Callable[[str], object] = lambda _message: None,
) -> tuple[PictureSet, bool]:
    """Write the bitmaps in `inputs` as folders of PNG files; returns the set, and whether it was written now.

    The same bitmaps and options give the same files, whatever the number of workers.

    Args:
        inputs: .npy files, folders and globs.
        folder: the target, new or with an earlier set, which is kept until the new one is complete.
        options: which files to write.
        workers: how many threads to use.
        force: write even if nothing has changed.
        progress: is called with the number of pictures written.
        tell: is called with a message for each folder of inputs that holds other files too.

    Raises:
        SketchpipeError: the pictures cannot be made, or a file changed meanwhile; the folder is unchanged.
    """
    PICTURES.finish_pending(folder)
    files = _selected(find_bitmaps(inputs, tell), options)
    identities = [identity_of(file.path) for file in files]
    sources = [[str(file.path), *is_now.recorded()] for file, is_now in zip(files, identities, strict=True)]
    made_of = {"options": dataclasses.asdict(options), "sources": sources}

    def write(staged: Path) -> PictureSet:
        made = _write(files, staged, options, workers, progress)
        for file, before in zip(files, identities, strict=True):
            refuse_change(file.path, before)
        return made

    return place_set(folder, BITMAPS, made_of, write, force=force)


def _selected(files: list[BitmapFile], options: BitmapOptions) -> list[BitmapFile]:
    """The files of the chosen classes, grouped by class."""
    words = sorted({file.word for file in files})
    for word in options.classes or ():
        if word not in words:
            near = [other for other in resembling(word, words, 3) if other != word]
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(words[:5])}"
            raise InputError(f'class "{word}": no file of it in the sources{hint}')
    wanted = words if options.classes is None else sorted(options.classes)
    return [file for word in wanted for file in files if file.word == word]


def _blocks(files: Sequence[BitmapFile], limit: int | None) -> Iterator[_Block]:
    taken: Counter[str] = Counter()
    for file in files:
        rows = file.rows if limit is None else min(file.rows, limit - taken[file.word])
        for start in range(0, rows, _BLOCK):
            stop = min(start + _BLOCK, rows)
            yield _Block(file, start, stop, taken[file.word])
            taken[file.word] += stop - start


def _write(
    files: Sequence[BitmapFile], staged: Path, options: BitmapOptions, workers: int, progress: Progress
) -> PictureSet:
    """Write the pictures and the index into `staged`."""
    classes = sorted({file.word for file in files})
    blocks = list(_blocks(files, options.drawings_per_class))
    taken: Counter[Path] = Counter()
    for block in blocks:
        taken[block.file.path] += block.stop - block.start
    counts = write_pictures(
        staged, classes, _COLUMNS, blocks, lambda block: _write_block(block, staged, options),
        workers=workers, total=taken.total(), progress=progress,
    )  # fmt: skip
    return PictureSet(
        attribution=ATTRIBUTION,
        synthetic=False,
        options=dataclasses.asdict(options),
        classes=tuple(classes),
        counts=counts,
        sources=tuple({"name": file.name, "rows": file.rows, "taken": taken[file.path]} for file in files),
        index_sha256=file_hash(staged / INDEX),
    )


def _write_block(block: _Block, staged: Path, options: BitmapOptions) -> list[tuple[Any, ...]]:
    """Write the pictures of a block; returns their lines for the index."""
    bitmaps = block.file.read(block.start, block.stop)
    parts = bitmap_splits(bitmaps, parse_splits(options.splits), options.seed)
    word, name = block.file.word, safe_name(block.file.word)
    for part in np.unique(parts).tolist():
        (staged / SPLITS[part] / name).mkdir(parents=True, exist_ok=True)
    pictures = resized(255 - bitmaps if options.invert else bitmaps, options.size, options.scaling)
    rows = []
    for k, split in enumerate(SPLITS[part] for part in parts.tolist()):
        place = f"{split}/{name}/{name}-{block.number + k:07d}.png"
        write_picture(staged, place, pictures[k])
        rows.append((split, word, place, block.file.name, block.start + k))
    return rows
