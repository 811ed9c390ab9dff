"""Bitmaps as folders of PNG files, a folder a split and in it one a class, as image loaders expect them.

    train/<class>/<class>-0000123.png    8-bit grey; <class> is `safe_name` of the class, the number counts its bitmaps
    validation/, test/                   missing where no bitmap fell into them
    index.csv                            a line a picture: split, class, file, source, row
    bitmaps.json                         options, counts and sources; without it the folder is not sketchpipe's

The set is made in the hidden `.build/` of the folder and takes its place when it is complete; a journal finishes that
where a process died on the way.
"""

import csv
import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bitmaps.commit import (
    FORMAT,
    FORMAT_VERSION,
    INDEX,
    MARK,
    ORIGIN,
    check_free,
    commit,
    is_pending,
    placing,
    refuse_foreign,
    roll_forward,
    staged_folder,
)
from pipeline.bitmaps.names import check_names, safe_name
from pipeline.bitmaps.npy import SIDE, BitmapFile, bitmap_splits, find_bitmaps
from pipeline.bitmaps.png import SCALINGS, encode_png, resized
from pipeline.classes import resembling
from pipeline.errors import InputError, UsageError
from pipeline.shards.commit import BUILD, locked
from pipeline.shards.shuffle import SPLITS, parse_splits
from pipeline.threads import ordered_map

ATTRIBUTION = (
    "drawings from Quick, Draw! are by Google, Inc., CC BY 4.0 (https://github.com/googlecreativelab/quickdraw-dataset)"
)
_MAX_SIZE = 1024  # pixels
_BLOCK = 1024  # bitmaps


@dataclass(frozen=True)
class BitmapOptions:
    """What decides, beside the bitmaps, which files are written.

    Attributes:
        classes: the classes to take; None takes every one there is.
        drawings_per_class: how many bitmaps to take of each class, the first of its files; None takes all.
        splits: shares of train, validation and test.
        seed: chooses another division into them.
        size: pixels of a picture's side.
        scaling: one of `SCALINGS`, for any size but 28.
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
        parse_splits(self.splits)
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
class BitmapSet:
    """What `bitmaps.json` says.

    Attributes:
        options: those of `BitmapOptions`.
        classes: the classes in the order of their names.
        counts: for each split that is not empty, the pictures of each class.
        sources: of each file its name, how many bitmaps it holds, and how many were taken.
        index_sha256: of index.csv.
    """

    options: dict[str, Any]
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    sources: tuple[dict[str, Any], ...]
    index_sha256: str

    @property
    def pictures(self) -> int:
        """How many there are."""
        return sum(map(sum, self.counts.values()))

    def dump(self) -> str:
        """The text of `bitmaps.json`."""
        head = {"format": FORMAT, "format_version": FORMAT_VERSION, "attribution": ATTRIBUTION}
        writer = {"writer": {"sketchpipe": version("sketchpipe")}}
        return json.dumps({**head, **writer, **dataclasses.asdict(self)}, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class _Block:
    """Some rows of a file, and the number that the first of them has in its class."""

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
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[BitmapSet, bool]:
    """Write the bitmaps in `inputs` as folders of PNG files; returns what stands there and whether it was written now.

    The same bitmaps and options give the same files, whatever the number of workers.

    Args:
        inputs: .npy files, folders and globs.
        folder: the target; it is made, or holds an earlier set, which stands until the new one is complete.
        options: what decides the files.
        workers: threads.
        force: write even where nothing changed.
        progress: is told how many pictures of how many are written.

    Raises:
        SketchpipeError: as its message says; the folder is as before.
    """
    if is_pending(folder):
        with locked(folder), placing(folder):
            roll_forward(folder)
    files = _selected(find_bitmaps(inputs), options)
    stats = [_stat(file) for file in files]
    check_free(folder)
    with locked(folder), placing(folder):
        roll_forward(folder)
        refuse_foreign(folder)
        before = None if force else _standing(folder, options, stats)
        if before is not None:
            return before, False
        staged = staged_folder(folder)
        made = _write(files, staged, options, workers, progress)
        commit(folder, _origin(options, stats, staged / MARK))
        return made, True


def _selected(files: list[BitmapFile], options: BitmapOptions) -> list[BitmapFile]:
    """The files of the wanted classes, class by class."""
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
    files: Sequence[BitmapFile],
    staged: Path,
    options: BitmapOptions,
    workers: int,
    progress: Callable[[int, int], None],
) -> BitmapSet:
    """Write all but the place of it: pictures, index and mark into `staged`."""
    classes = sorted({file.word for file in files})
    check_names(staged, classes)
    blocks = list(_blocks(files, options.drawings_per_class))
    total, done = sum(block.stop - block.start for block in blocks), 0
    counts = {split: Counter[str]() for split in SPLITS}
    taken: Counter[Path] = Counter()
    with (staged / INDEX).open("w", encoding="utf-8", newline="") as text:
        index = csv.writer(text, lineterminator="\n")
        index.writerow(("split", "class", "file", "source", "row"))
        written = ordered_map(lambda block: (block, _write_block(block, staged, options)), blocks, workers)
        for block, parts in written:
            file, name = block.file, safe_name(block.file.word)
            for k, part in enumerate(parts.tolist()):
                place = f"{SPLITS[part]}/{name}/{_picture(name, block.number + k)}"
                index.writerow((SPLITS[part], file.word, place, file.name, block.start + k))
                counts[SPLITS[part]][file.word] += 1
            taken[file.path] += len(parts)
            done += len(parts)
            progress(done, total)
    made = BitmapSet(
        options=json.loads(json.dumps(dataclasses.asdict(options))),
        classes=tuple(classes),
        counts={split: tuple(of[word] for word in classes) for split, of in counts.items() if of},
        sources=tuple({"name": file.name, "rows": file.rows, "taken": taken[file.path]} for file in files),
        index_sha256=_sha256(staged / INDEX),
    )
    (staged / MARK).write_text(made.dump(), encoding="utf-8")
    return made


def _write_block(block: _Block, staged: Path, options: BitmapOptions) -> NDArray[np.int64]:
    """Write the pictures of a block; returns the split of each, (n,) int64."""
    bitmaps = block.file.read(block.start, block.stop)
    parts = bitmap_splits(bitmaps, parse_splits(options.splits), options.seed)
    name = safe_name(block.file.word)
    folders = [staged / split / name for split in SPLITS]
    for part in np.unique(parts).tolist():
        folders[part].mkdir(parents=True, exist_ok=True)
    pictures = resized(255 - bitmaps if options.invert else bitmaps, options.size, options.scaling)
    for k, part in enumerate(parts.tolist()):
        # No Path: it puts each of millions of names into the interpreter's table of interned strings.
        with open(f"{folders[part]}/{_picture(name, block.number + k)}", "wb") as file:  # noqa: PTH123 - see above
            file.write(encode_png(pictures[k]))
    return parts


def _picture(name: str, number: int) -> str:
    return f"{name}-{number:07d}.png"


def _origin(options: BitmapOptions, stats: list[list[object]], mark: Path) -> str:
    """What a set is made of, and the hash of the mark that says so."""
    return json.dumps({"options": dataclasses.asdict(options), "sources": stats, "mark": _sha256(mark)})


def _standing(folder: Path, options: BitmapOptions, stats: list[list[object]]) -> BitmapSet | None:
    """The set that stands in the folder, if it is whole and was made of just this."""
    try:
        if (folder / BUILD / ORIGIN).read_text(encoding="utf-8") != _origin(options, stats, folder / MARK):
            return None
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    mark = json.loads((folder / MARK).read_text(encoding="utf-8"))  # as it was written, its hash says
    made = BitmapSet(**{field.name: mark[field.name] for field in dataclasses.fields(BitmapSet)})
    return made if _is_whole(folder, made) else None


def _is_whole(folder: Path, made: BitmapSet) -> bool:
    """Whether the index is unchanged and each class's folder holds as many pictures as it should."""
    if not (folder / INDEX).is_file() or _sha256(folder / INDEX) != made.index_sha256:
        return False
    for split, counts in made.counts.items():
        for word, count in zip(made.classes, counts, strict=True):
            place = folder / split / safe_name(word)
            if count and not (place.is_dir() and _pictures_in(place) == count):
                return False
    return True


def _pictures_in(place: Path) -> int:
    with os.scandir(place) as entries:
        return sum(entry.name.endswith(".png") for entry in entries)


def _stat(file: BitmapFile) -> list[object]:
    stat = file.path.stat()
    return [str(file.path), stat.st_size, stat.st_mtime_ns]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
