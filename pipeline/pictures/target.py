"""The folder of a set of pictures: the names of its files, and a refusal if it holds other files.

A new set replaces whole folders. They are moved aside first, and removed when the new set is in place.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.pictures.names import safe_name
from pipeline.shards.shuffle import SPLITS
from pipeline.storage.commit import BUILD, HARMLESS, LOCK, SetCommit, foreign_entries, refuse_foreign
from pipeline.storage.reading import OWN_BYTES, read_limited

INDEX = "index.csv"
BITMAPS, DRAWINGS = "bitmaps.json", "pictures.json"  # the marks, which say what a set was made from
FORMATS = {BITMAPS: "sketchpipe-bitmaps", DRAWINGS: "sketchpipe-pictures"}
PICTURES = SetCommit(
    noun="pictures",
    marks=(BITMAPS, DRAWINGS),
    staged="pictures-new",
    journal="pictures-commit.json",
    origin="picture-sources.json",
    remedy="remove {folder} and make the pictures again, or choose another folder with --to",
    names=(BITMAPS, DRAWINGS, INDEX, *SPLITS),
    aside="pictures-old",
)


def check_free(folder: Path) -> None:
    """Refuse a folder that holds other files, before anything is written into it.

    If the lock file exists, another sketchpipe process may be moving a set right now; then only the check that is made
    under the lock counts.

    Raises:
        OutputError: the folder holds anything but a set of pictures, or is a file.
    """
    try:
        refuse_foreign(folder, foreign_in)
    except (OutputError, FileNotFoundError):
        if not (folder / BUILD / LOCK).exists():  # checked last: the lock file is made before anything is moved
            raise


def foreign_in(folder: Path) -> list[str]:
    """Some names in the folder that no set of pictures has; empty if there are none."""
    marks = [mark for mark, kind in FORMATS.items() if _is_mark(folder / mark, kind)]
    foreign = foreign_entries(folder, (*marks, INDEX), SPLITS) if marks else foreign_entries(folder, ())
    return foreign or _foreign_pictures(folder, _arrays_of(folder / DRAWINGS))


def _is_mark(path: Path, kind: str) -> bool:
    return _fields_of(path).get("format") == kind


def _fields_of(mark: Path) -> dict[str, Any]:
    """The fields of a mark; empty if it is none."""
    try:
        fields = json.loads(read_limited(mark, OWN_BYTES, link=False))
    except (OSError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _arrays_of(mark: Path) -> set[str]:
    """The names of the arrays in the folder of a split, if the set of this mark is one of arrays."""
    fields = _fields_of(mark)
    options, classes = fields.get("options"), fields.get("classes")
    if not isinstance(options, dict) or options.get("format") != "npy" or not isinstance(classes, list):
        return set()
    return {f"{safe_name(str(word))}.npy" for word in classes}


def _foreign_pictures(folder: Path, arrays: set[str]) -> list[str]:
    """A name below the folders of splits that no set of pictures has; empty if there is none."""
    for split in SPLITS:
        for place in sorted((folder / split).iterdir()) if (folder / split).is_dir() else ():
            if place.name in HARMLESS or (place.name in arrays and place.is_file()):
                continue
            if not place.is_dir():
                return [f"{split}/{place.name}"]
            picture = re.compile(re.escape(place.name) + r"(-\d{7,}){1,2}\.png")
            with os.scandir(place) as entries:  # not a list: there may be millions
                for entry in entries:
                    if entry.name not in HARMLESS and not picture.fullmatch(entry.name):
                        return [f"{split}/{place.name}/{entry.name}"]
    return []
