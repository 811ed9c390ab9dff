"""Writes sets of pictures: a folder for each split and in it one for each class, as image loaders expect.

    train/<class>/<class>-<number>.png   <class> is `safe_name` of the class, the number has seven digits or more
    train/<class>.npy                    instead, if the set is one of arrays
    validation/, test/                   missing if they have no pictures
    index.csv                            a line for each picture: its split, its class, and more columns; a class that
                                         begins as a formula of spreadsheets has an apostrophe in front
    bitmaps.json or pictures.json        options, counts and sources; without it the folder is not sketchpipe's

The set is made in the hidden `.build/` of the folder and moved into place when it is complete. If a process dies while
moving it, the next one finishes that with the help of a journal.
"""

import csv
import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pipeline.arrays import UInt8Array
from pipeline.pictures.arrays import array_place, rows_of
from pipeline.pictures.names import check_names, safe_name
from pipeline.pictures.png import encode_png
from pipeline.pictures.target import FORMATS, INDEX, PICTURES, check_free, foreign_in
from pipeline.progress import Progress
from pipeline.shards.manifest import file_hash
from pipeline.shards.shuffle import SPLITS
from pipeline.storage.commit import BUILD, locked, refuse_foreign
from pipeline.storage.files import write_file
from pipeline.storage.reading import OWN_BYTES, read_limited
from pipeline.threads import ordered_map

FORMAT_VERSION = 1
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
Block = TypeVar("Block")


@dataclass(frozen=True)
class PictureSet:
    """What the mark of a set, `bitmaps.json` or `pictures.json`, says.

    Attributes:
        attribution: who made the drawings, and under which licence they are.
        synthetic: whether they are of the built-in sample.
        options: what the user asked for.
        classes: the classes, in order.
        counts: for each split that is not empty, the number of pictures of each class.
        sources: what the pictures were made from.
        index_sha256: the SHA-256 of index.csv, in hex.
    """

    attribution: str
    synthetic: bool
    options: dict[str, Any]
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    sources: tuple[dict[str, Any], ...]
    index_sha256: str

    @property
    def pictures(self) -> int:
        """How many pictures there are."""
        return sum(map(sum, self.counts.values()))

    def dump(self, kind: str) -> str:
        """The text of the mark of a set whose format is `kind`."""
        head = {"format": kind, "format_version": FORMAT_VERSION, "writer": {"sketchpipe": version("sketchpipe")}}
        return json.dumps({**head, **dataclasses.asdict(self)}, indent=1, ensure_ascii=False) + "\n"


def place_set(
    folder: Path, mark: str, made_of: Mapping[str, Any], write: Callable[[Path], PictureSet], *, force: bool
) -> tuple[PictureSet, bool]:
    """Put a set of pictures into `folder`; returns the set, and whether it was written now.

    Args:
        folder: the target, new or with an earlier set, which is kept until the new one is complete.
        mark: the file that says what the set was made from, one of `FORMATS`.
        made_of: what determines the files, as JSON values. If an existing set was made from the same, nothing is
            written.
        write: writes pictures and index into the empty folder that it is given.
        force: write even if nothing has changed.

    Raises:
        SketchpipeError: the set cannot be made; the folder is unchanged.
    """
    check_free(folder)
    with locked(folder), PICTURES.placing(folder):
        PICTURES.roll_forward(folder)
        refuse_foreign(folder, foreign_in)
        before = None if force else _standing(folder, mark, made_of)
        if before is not None:
            return before, False
        PICTURES.discard(folder)
        staged = PICTURES.prepare(folder)
        made = write(staged)
        write_file(staged / mark, made.dump(FORMATS[mark]))
        PICTURES.commit(folder, PICTURES.names or (), _origin(made_of, staged / mark))
        return made, True


def write_pictures(
    staged: Path,
    classes: Sequence[str],
    columns: Sequence[str],
    blocks: Iterable[Block],
    write_block: Callable[[Block], list[tuple[Any, ...]]],
    *,
    workers: int,
    total: int,
    progress: Progress,
) -> dict[str, tuple[int, ...]]:
    """Write pictures block by block on `workers` threads, and their index; returns `PictureSet.counts`.

    Args:
        staged: the folder to write into.
        classes: the classes of the set, in order.
        columns: the columns of the index; the first two are split and class.
        blocks: the pictures that are written at a time.
        write_block: writes the pictures of a block with `write_picture`; returns a line of the index for each.
        workers: how many threads to use.
        total: how many pictures there will be.
        progress: is called with the number of pictures written.

    Raises:
        OutputError: two classes would share a folder on this disk.
    """
    rows = ordered_map(write_block, blocks, workers)
    return write_index(staged, classes, columns, rows, total=total, progress=progress)


def write_index(
    staged: Path,
    classes: Sequence[str],
    columns: Sequence[str],
    rows_of_blocks: Iterable[list[tuple[Any, ...]]],
    *,
    total: int,
    progress: Progress,
) -> dict[str, tuple[int, ...]]:
    """Write the index of pictures while these are written; returns `PictureSet.counts`.

    Args:
        staged: the folder to write into.
        classes: the classes of the set, in order.
        columns: the columns of the index; the first two are split and class.
        rows_of_blocks: writes a block of pictures with each step, and gives a line of the index for each picture.
        total: how many pictures there will be.
        progress: is called with the number of pictures written.

    Raises:
        OutputError: two classes would share a folder or a file on this disk.
    """
    check_names(staged, classes)
    counts = {split: Counter[str]() for split in SPLITS}
    done = 0
    with (staged / INDEX).open("w", encoding="utf-8", newline="") as text:
        # Readers end a line at a carriage return, which before Python 3.13 only a writer that quotes all cells quotes.
        plain, quoting = (csv.writer(text, lineterminator="\n", quoting=q) for q in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
        plain.writerow(columns)
        for rows in rows_of_blocks:
            for row in map(_harmless, rows):
                (quoting if any("\r" in cell for cell in row if isinstance(cell, str)) else plain).writerow(row)
            for split, word, *_ in rows:
                counts[split][word] += 1
            done += len(rows)
            progress("writing", done, total, unit="pictures")
    return {split: tuple(of[word] for word in classes) for split, of in counts.items() if of}


def _harmless(row: tuple[Any, ...]) -> list[Any]:
    """A line of the index in which no text is a formula for a spreadsheet.

    A text that begins with a sign of a formula, or with an apostrophe, gets an apostrophe in front
    (owasp.org/www-community/attacks/CSV_Injection).
    """
    return ["'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row]


def write_picture(staged: Path, place: str, image: UInt8Array) -> None:
    """Write one picture to `place`, a path in the set; its folder must exist."""
    # Not a Path: that would intern each of millions of names, which then stay in memory.
    with open(f"{staged}/{place}", "wb") as file:  # noqa: PTH123 - see above
        file.write(encode_png(image))


def _origin(made_of: Mapping[str, Any], mark: Path) -> str:
    """What a set was made from and the hash of its mark, as JSON."""
    return json.dumps({**made_of, "mark": file_hash(mark)})


def _standing(folder: Path, mark: str, made_of: Mapping[str, Any]) -> PictureSet | None:
    """The set in the folder, if it is complete and was made from exactly this; else None."""
    try:
        recorded = read_limited(folder / BUILD / PICTURES.origin, OWN_BYTES, link=False)
        if recorded != _origin(made_of, folder / mark).encode():
            return None
    except FileNotFoundError:
        return None
    fields = json.loads((folder / mark).read_text(encoding="utf-8"))  # its hash proved that it is as it was written
    made = PictureSet(**{field.name: fields[field.name] for field in dataclasses.fields(PictureSet)})
    return made if _is_whole(folder, made) else None


def _is_whole(folder: Path, made: PictureSet) -> bool:
    """Whether the index is unchanged and each class's folder holds as many pictures as it should."""
    if not (folder / INDEX).is_file() or file_hash(folder / INDEX) != made.index_sha256:
        return False
    for split, counts in made.counts.items():
        for word, count in zip(made.classes, counts, strict=True):
            place = folder / split / safe_name(word)
            held = _pictures_in(place) if place.is_dir() else rows_of(folder / array_place(split, word))
            if held != count:
                return False
    return True


def _pictures_in(place: Path) -> int:
    with os.scandir(place) as entries:
        return sum(entry.name.endswith(".png") for entry in entries)
