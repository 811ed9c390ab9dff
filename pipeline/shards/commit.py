"""How a build's files take their place in a folder: staged, synced, and moved by a journal that only rolls forward.

Inside the target stands a hidden `.build/` with the lock, the staged files and the journal. Once `commit.json` is
there, the new set is the folder's: whoever comes next finishes the moves. Before that, the old set is untouched.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from pipeline.errors import OutputError, ShardError
from pipeline.storage.files import sync, write_atomically
from pipeline.storage.locks import locked_file

BUILD = ".build"
ORIGIN = "sources.json"  # what the shards were built of; see origin.py
_JOURNAL = "commit.json"
_NEW = "new"
WORK = "work"  # what a build keeps between its passes, and for the process that goes on with it
_HARMLESS = {BUILD, ".gitkeep", ".DS_Store"}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Hold `folder` for one writer, making it where it is missing; gives its `.build/`.

    Raises:
        LockedError: another process holds it. A dead process's lock is nobody's.
        OutputError: the folder cannot be made or written.
    """
    build = folder / BUILD
    is_new = not folder.exists()

    def busy(pid: str) -> str:
        return f"{folder}: process {pid} is writing it; wait for it to end"

    with contextlib.ExitStack() as stack:
        try:
            build.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked_file(build / "lock", busy))
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written ({error.strerror}); choose another folder with --to"
            ) from error
        try:
            yield build
        finally:
            if is_new and [entry.name for entry in folder.rglob("*")] == [BUILD, "lock"]:
                shutil.rmtree(folder)  # nothing was made of it: leave nothing behind


def stage(build: Path) -> Path:
    """The folder for the new files, with what an earlier process left in it."""
    staged = build / _NEW
    staged.mkdir(exist_ok=True)
    return staged


def discard(folder: Path) -> None:
    """Remove what a build left in its staging, unless it is committed and only waits to be moved."""
    if is_pending(folder):
        return
    shutil.rmtree(folder / BUILD / _NEW, ignore_errors=True)
    shutil.rmtree(folder / BUILD / WORK, ignore_errors=True)
    for partial in (folder / BUILD).glob(".*.partial"):
        partial.unlink()


def foreign_files(folder: Path, ours: Sequence[str]) -> list[str]:
    """The names in `folder` that no build put there; a folder in it is none of ours, whatever it is called."""
    if not folder.exists():
        return []
    entries = [entry for entry in folder.iterdir() if entry.name not in _HARMLESS]
    return sorted(entry.name for entry in entries if entry.name not in ours or entry.is_dir())


def commit(folder: Path, remove: Sequence[str], last: str, origin: str) -> None:
    """Put the staged files in the place of `remove`; `last` is moved last, and then `ORIGIN` says `origin`.

    When this has written its journal the new set stands, even if the process dies the moment after.
    """
    staged = folder / BUILD / _NEW
    names = sorted(entry.name for entry in staged.iterdir() if entry.name != last)
    for name in (*names, last):
        sync(staged / name)
    sync(staged)
    moves = {"remove": list(remove), "add": [*names, last], "origin": origin}
    write_atomically(folder / BUILD / _JOURNAL, json.dumps(moves))
    roll_forward(folder)


def is_pending(folder: Path) -> bool:
    """Whether a commit was cut off between its journal and its end."""
    return (folder / BUILD / _JOURNAL).exists()


def roll_forward(folder: Path) -> None:
    """Finish a commit whose journal stands; nothing to do without one."""
    journal = folder / BUILD / _JOURNAL
    if not journal.exists():
        return
    try:
        moves = json.loads(journal.read_text(encoding="utf-8"))
        add, remove = ([str(name) for name in moves[what]] for what in ("add", "remove"))
        origin = str(moves["origin"])
        if any(PurePath(name).name != name for name in (*add, *remove)):
            raise ValueError("a name outside the folder")
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"{journal}: damaged; remove {journal.parent} and build anew with --force") from error
    staged = folder / BUILD / _NEW
    for name in reversed(add):  # the manifest first: without one, nobody takes the rest for a set
        if (staged / name).exists():
            (folder / name).unlink(missing_ok=True)
    for name in remove:
        if name not in add:
            (folder / name).unlink(missing_ok=True)
    for name in add:
        if (staged / name).exists():
            (staged / name).replace(folder / name)
    sync(folder)
    write_atomically(folder / BUILD / ORIGIN, origin)
    journal.unlink()
    sync(journal.parent)
