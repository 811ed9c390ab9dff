"""Writes sets of pictures: a folder for each split and in it one for each class, as image loaders expect.

    train/<class>/<class>-<number>.png   <class> is `safe_name` of the class, the number has seven digits or more
    validation/, test/                   missing where no picture fell into them
    index.csv                            a line a picture, its split and its class first
    bitmaps.json or pictures.json        options, counts and sources; without it the folder is not sketchpipe's

The set is made in the hidden `.build/` of the folder and takes its place when it is complete; a journal finishes that
where a process died on the way.
"""

import csv
import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pipeline.arrays import UInt8Array
from pipeline.pictures.names import check_names, safe_name
from pipeline.pictures.png import encode_png
from pipeline.pictures.target import FORMATS, INDEX, PICTURES, check_free, foreign_in
from pipeline.progress import Progress
from pipeline.shards.shuffle import SPLITS
from pipeline.storage.commit import BUILD, locked, refuse_foreign
from pipeline.threads import ordered_map

FORMAT_VERSION = 1
Block = TypeVar("Block")


@dataclass(frozen=True)
class PictureSet:
    """What the mark says, `bitmaps.json` or `pictures.json`.

    Attributes:
        attribution: whose drawings these are.
        synthetic: whether they are the built-in sample's.
        options: what the user asked for.
        classes: the classes in order.
        counts: for each split that is not empty, the pictures of each class.
        sources: what the pictures were made of.
        index_sha256: of index.csv.
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
        """How many there are."""
        return sum(map(sum, self.counts.values()))

    def dump(self, kind: str) -> str:
        """The text of the mark, for a set of this format."""
        head = {"format": kind, "format_version": FORMAT_VERSION, "writer": {"sketchpipe": version("sketchpipe")}}
        return json.dumps({**head, **dataclasses.asdict(self)}, indent=1, ensure_ascii=False) + "\n"


def place_set(
    folder: Path, mark: str, made_of: Mapping[str, Any], write: Callable[[Path], PictureSet], *, force: bool
) -> tuple[PictureSet, bool]:
    """Let a set stand in `folder`; returns it and whether it was written now.

    Args:
        folder: the target; it is made, or holds an earlier set, which stands until the new one is complete.
        mark: the file that says what the set is of, one of `FORMATS`.
        made_of: what decides the files, as JSON knows it: where it is what the standing set was made of, nothing is
            written.
        write: writes pictures and index into the empty folder that it is given.
        force: write even where nothing changed.

    Raises:
        SketchpipeError: as its message says; the folder is as before.
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
        (staged / mark).write_text(made.dump(FORMATS[mark]), encoding="utf-8")
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
    """Write pictures block by block, on `workers` threads, and the index of them; returns the counts of a set.

    Args:
        staged: where to.
        classes: of the set, in order.
        columns: of the index; split and class come first.
        blocks: what is written at a time.
        write_block: writes the pictures of a block with `write_picture`; returns a line of the index for each.
        workers: threads.
        total: how many pictures there will be.
        progress: is told of pictures that are written.

    Raises:
        OutputError: two classes share a folder on this disk.
    """
    check_names(staged, classes)
    counts = {split: Counter[str]() for split in SPLITS}
    done = 0
    with (staged / INDEX).open("w", encoding="utf-8", newline="") as text:
        index = csv.writer(text, lineterminator="\n")
        index.writerow(columns)
        for rows in ordered_map(write_block, blocks, workers):
            index.writerows(rows)
            for split, word, *_ in rows:
                counts[split][word] += 1
            done += len(rows)
            progress("writing", done, total, unit="pictures")
    return {split: tuple(of[word] for word in classes) for split, of in counts.items() if of}


def write_picture(staged: Path, place: str, image: UInt8Array) -> None:
    """Write one picture to `place`, a path in the set whose folder exists."""
    # No Path: it puts each of millions of names into the interpreter's table of interned strings.
    with open(f"{staged}/{place}", "wb") as file:  # noqa: PTH123 - see above
        file.write(encode_png(image))


def index_hash(staged: Path) -> str:
    """SHA-256, in hex, of the index that was written."""
    return _sha256(staged / INDEX)


def _origin(made_of: Mapping[str, Any], mark: Path) -> str:
    """What a set is made of, and the hash of the mark that says so."""
    return json.dumps({**made_of, "mark": _sha256(mark)})


def _standing(folder: Path, mark: str, made_of: Mapping[str, Any]) -> PictureSet | None:
    """The set that stands in the folder, if it is whole and was made of just this."""
    try:
        if (folder / BUILD / PICTURES.origin).read_text(encoding="utf-8") != _origin(made_of, folder / mark):
            return None
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    fields = json.loads((folder / mark).read_text(encoding="utf-8"))  # as it was written, its hash says
    made = PictureSet(**{field.name: fields[field.name] for field in dataclasses.fields(PictureSet)})
    return made if _is_whole(folder, made) else None


def _is_whole(folder: Path, made: PictureSet) -> bool:
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
