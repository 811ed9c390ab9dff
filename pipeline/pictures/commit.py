"""How a set of picture folders takes its place: made in the hidden `.build/` of its folder, then moved as a whole.

Once the journal stands there, the new set is the folder's, and whoever comes next finishes the moves. The shards'
commit moves single files; here whole folders give way, which is a rename too where the old one is put aside first.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import DamagedError, OutputError
from pipeline.shards.commit import BUILD, locked
from pipeline.shards.shuffle import SPLITS
from pipeline.storage.files import partial_path, sync, write_atomically

INDEX = "index.csv"
BITMAPS, DRAWINGS = "bitmaps.json", "pictures.json"  # the marks: which says what a set is of
FORMATS = {BITMAPS: "sketchpipe-bitmaps", DRAWINGS: "sketchpipe-pictures"}
ORIGIN = "picture-sources.json"  # in .build/: what the set was made of, for "nothing to do"
_NAMES = (*FORMATS, INDEX, *SPLITS)  # the marks first: without one, nobody takes the rest for a set
_NEW, _OLD, _JOURNAL = "pictures-new", "pictures-old", "pictures-commit.json"  # in .build/
_HARMLESS = (".DS_Store", "Thumbs.db")


def finish_pending(folder: Path) -> None:
    """Finish what a process that died had committed; nothing to do without a journal.

    Raises:
        SketchpipeError: the folder is another process's, cannot be written, or its journal is damaged.
    """
    if is_pending(folder):
        with locked(folder), placing(folder):
            roll_forward(folder)


def check_free(folder: Path) -> None:
    """Refuse a folder with files of others before anything is made in it.

    Where the lock's file stands, a process of ours may be moving a set this moment: `refuse_foreign` tells under the
    lock.

    Raises:
        OutputError: there is anything but a set of ours, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; choose another folder with --to")
    try:
        refuse_foreign(folder)
    except (OutputError, FileNotFoundError):
        if not (folder / BUILD / "lock").exists():  # asked last: whoever moves something has made it before
            raise


def refuse_foreign(folder: Path) -> None:
    """Make sure that nothing but a set of ours stands in the folder.

    Raises:
        OutputError: there is something else.
    """
    foreign = _foreign(folder) if folder.exists() else []
    if foreign:
        more = " and more" if len(foreign) > 1 else ""
        found = f"{foreign[0]}{more}, of no set of pictures that sketchpipe made"
        raise OutputError(f"{folder}: holds {found}; choose an empty folder")


@contextlib.contextmanager
def placing(folder: Path) -> Iterator[None]:
    """Around work on a locked folder: says what a failing disk left there, and removes what was not committed.

    Raises:
        OutputError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        if is_pending(folder):
            raise OutputError(
                f"{folder}: the pictures are made, but could not be put in place ({why}); run the command again to "
                "finish it"
            ) from error
        raise OutputError(f"{folder}: cannot be written ({why}); what stood there stands") from error
    finally:
        _discard(folder)


def staged_folder(folder: Path) -> Path:
    """An empty folder for the new set; nothing is pending."""
    _discard(folder)
    old = folder / BUILD / _OLD  # of a journal that somebody removed: what is put aside next would run into it
    if old.exists():
        shutil.rmtree(old)
    staged = folder / BUILD / _NEW
    staged.mkdir()
    return staged


def commit(folder: Path, origin: str) -> None:
    """Put the staged set in the place of the old one, and then let `ORIGIN` say `origin`.

    When this has written its journal the new set stands, even if the process dies the moment after.
    """
    # All at once: a sync of its own for each of millions of small files would take hours.
    os.sync()
    staged = folder / BUILD / _NEW
    added = [name for name in _NAMES if (staged / name).exists()]
    write_atomically(folder / BUILD / _JOURNAL, json.dumps({"add": added, "origin": origin}))
    roll_forward(folder)


def is_pending(folder: Path) -> bool:
    """Whether a commit was cut off between its journal and its end."""
    return (folder / BUILD / _JOURNAL).exists()


def roll_forward(folder: Path) -> None:
    """Finish a commit whose journal stands, in a locked folder; nothing to do without one.

    Raises:
        DamagedError: the journal is damaged.
    """
    if not is_pending(folder):
        return
    build = folder / BUILD
    added, origin = _read_journal(folder)
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
    write_atomically(build / ORIGIN, origin)
    for done in (staged, old):
        if done.exists():
            shutil.rmtree(done)
    (build / _JOURNAL).unlink()
    sync(build)


def _read_journal(folder: Path) -> tuple[list[str], str]:
    """The names that are moved into the folder, and the text of `ORIGIN`."""
    journal = folder / BUILD / _JOURNAL
    try:
        moves = json.loads(journal.read_text(encoding="utf-8"))
        added, origin = list(moves["add"]), str(moves["origin"])
        if INDEX not in added or len(set(added) & set(FORMATS)) != 1 or not set(added) <= set(_NAMES):
            raise ValueError("not the names of a set")
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            f"{journal}: damaged; remove {folder} and make the pictures again, or choose another folder with --to"
        ) from error
    return added, origin


def _discard(folder: Path) -> None:
    """Remove what is staged, unless it is committed and only waits to be moved."""
    if is_pending(folder):
        return
    shutil.rmtree(folder / BUILD / _NEW, ignore_errors=True)
    for name in (_JOURNAL, ORIGIN):
        with contextlib.suppress(OSError):  # the next one writes over it
            partial_path(folder / BUILD / name).unlink()


def _is_mark(path: Path, kind: str) -> bool:
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("format") == kind


def _foreign(folder: Path) -> list[str]:
    """Some names that no set of ours has; empty where there are none."""
    marks = [mark for mark, kind in FORMATS.items() if _is_mark(folder / mark, kind)]
    ours = (*marks, INDEX, *SPLITS) if marks else ()
    entries = [entry for entry in folder.iterdir() if entry.name not in (BUILD, ".gitkeep", *_HARMLESS)]
    foreign = [entry.name for entry in entries if entry.name not in ours or entry.is_dir() != (entry.name in SPLITS)]
    return sorted(foreign) or _foreign_pictures(folder)


def _foreign_pictures(folder: Path) -> list[str]:
    """Some names below the splits that no set of ours has; empty where there are none."""
    for split in SPLITS:
        for place in sorted((folder / split).iterdir()) if (folder / split).is_dir() else ():
            if place.name in _HARMLESS:
                continue
            if not place.is_dir():
                return [f"{split}/{place.name}"]
            picture = re.compile(re.escape(place.name) + r"(-\d{7,}){1,2}\.png")
            with os.scandir(place) as entries:  # one by one: there may be millions
                for entry in entries:
                    if entry.name not in _HARMLESS and not picture.fullmatch(entry.name):
                        return [f"{split}/{place.name}/{entry.name}"]
    return []
