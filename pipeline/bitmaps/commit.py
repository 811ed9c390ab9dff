"""How a set of picture folders takes its place: made in the hidden `.build/` of its folder, then moved as a whole.

Once the journal stands there, the new set is the folder's, and whoever comes next finishes the moves.
"""

import json
import os
import re
import shutil
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.shards.commit import BUILD, foreign_files
from pipeline.shards.shuffle import SPLITS
from pipeline.storage import sync, write_atomically

INDEX = "index.csv"
MARK = "bitmaps.json"
FORMAT = "sketchpipe-bitmaps"
FORMAT_VERSION = 1
_NAMES = (MARK, INDEX, *SPLITS)  # the mark first: without it, nobody takes the rest for a set
_NEW, _OLD, _JOURNAL = "bitmaps-new", "bitmaps-old", "bitmaps-commit.json"  # in .build/
_HARMLESS = (".DS_Store", "Thumbs.db")
_PICTURE = re.compile(r"(.*)-\d{7,}\.png", re.DOTALL)


def prepare(folder: Path) -> None:
    """Finish what a process that died left of a commit, and make sure that nothing else stands in the folder.

    Raises:
        OutputError: there is a file that sketchpipe did not make, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; choose another folder with --to")
    _roll_forward(folder)
    is_ours = _is_ours(folder)
    foreign = foreign_files(folder, _NAMES if is_ours else ())
    if is_ours and not foreign:
        foreign = _foreign_pictures(folder)
    if foreign:
        more = " and more" if len(foreign) > 1 else ""
        raise OutputError(f"{folder}: holds {foreign[0]}{more}, which sketchpipe did not make; choose an empty folder")


def staged_folder(folder: Path) -> Path:
    """An empty folder for the new set."""
    discard(folder)
    staged = folder / BUILD / _NEW
    staged.mkdir()
    return staged


def discard(folder: Path) -> None:
    """Remove what is staged, unless it is committed and only waits to be moved."""
    if not (folder / BUILD / _JOURNAL).exists():
        shutil.rmtree(folder / BUILD / _NEW, ignore_errors=True)


def commit(folder: Path) -> None:
    """Put the staged set in the place of the old one; it stands from when this has written its journal."""
    # All at once: a sync of its own for each of millions of small files would take hours.
    os.sync()
    staged = folder / BUILD / _NEW
    added = [name for name in _NAMES if (staged / name).exists()]
    write_atomically(folder / BUILD / _JOURNAL, json.dumps(added))
    _roll_forward(folder)


def _roll_forward(folder: Path) -> None:
    build = folder / BUILD
    if not (build / _JOURNAL).exists():
        return
    added = json.loads((build / _JOURNAL).read_text(encoding="utf-8"))
    staged, old = build / _NEW, build / _OLD
    old.mkdir(exist_ok=True)
    for name in _NAMES:
        is_new = name in added and not (staged / name).exists()  # moved by the process that died
        if (folder / name).exists() and not is_new:
            (folder / name).rename(old / name)
    for name in reversed(_NAMES):
        if name in added and (staged / name).exists():
            (staged / name).rename(folder / name)
    sync(folder)
    for done in (staged, old):
        if done.exists():
            shutil.rmtree(done)
    (build / _JOURNAL).unlink()
    sync(build)


def _is_ours(folder: Path) -> bool:
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("format") == FORMAT


def _foreign_pictures(folder: Path) -> list[str]:
    """Some names below the splits that no set of ours has; empty where there are none."""
    for split in SPLITS:
        for place in sorted((folder / split).iterdir()) if (folder / split).is_dir() else ():
            if place.name in _HARMLESS:
                continue
            if not place.is_dir():
                return [f"{split}/{place.name}"]
            for entry in place.iterdir():
                found = _PICTURE.fullmatch(entry.name)
                if entry.name not in _HARMLESS and not (found and found[1] == place.name):
                    return [f"{split}/{place.name}/{entry.name}"]
    return []
