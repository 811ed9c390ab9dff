"""Puts a set of files in place as a whole: staged, synced, and moved by a journal that only rolls forward.

The folder has a hidden `.build/` with the lock, the staged set and the journal. Once the journal is written, the new
set is committed: if this process dies, the next one finishes the moves. Before that, the old set is untouched.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from pipeline.errors import DamagedError, OutputError
from pipeline.storage.files import sync, write_atomically
from pipeline.storage.locks import locked_file
from pipeline.storage.moves import Moves, digest, is_as_written
from pipeline.storage.reading import UnfitFileError, refuse_unfit_entries, refuse_unfit_folder

BUILD = ".build"
LOCK = "lock"  # in .build/
HARMLESS = (".gitkeep", ".DS_Store", "Thumbs.db")


@contextlib.contextmanager
def locked(folder: Path, hidden: str = BUILD, doing: str = "is writing it; wait for it to end") -> Iterator[None]:
    """Lock `folder` for one writer, and create it if it is missing; it is removed again if nothing was made in it.

    Args:
        folder: the folder.
        hidden: the name of the folder in it that holds the lock.
        doing: what another process that holds the lock is doing, and what to do, for the message.

    Raises:
        LockedError: another process holds the lock. A process that has died holds none.
        OutputError: the folder cannot be created or written, or the hidden folder or something in it is a link, a pipe,
            a device or a socket.
    """
    is_new = not folder.exists()
    with contextlib.ExitStack() as stack:
        try:
            (folder / hidden).mkdir(parents=True, exist_ok=True)
            with _unfit_is_not_written():
                refuse_unfit_folder(folder / hidden)
                stack.enter_context(locked_file(folder / hidden / LOCK, lambda pid: f"{folder}: process {pid} {doing}"))
                refuse_unfit_entries(folder / hidden)  # now that no other process moves what is in it
        except FileExistsError as error:
            raise OutputError(
                f"{error.filename}: is not a folder; move it, or choose another folder with --to"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written ({error.strerror}); choose another folder with --to"
            ) from error
        try:
            yield
        finally:
            if is_new and [entry.name for entry in folder.rglob("*")] == [hidden, LOCK]:
                shutil.rmtree(folder)


def refuse_links(folder: Path) -> None:
    """Raise the error that `locked` would raise for a `.build` that is a link, or that has one in it.

    Raises:
        OutputError: something there is a link, a pipe, a device or a socket.
    """
    with _unfit_is_not_written(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        refuse_unfit_folder(folder / BUILD)
        refuse_unfit_entries(folder / BUILD)


@contextlib.contextmanager
def _unfit_is_not_written() -> Iterator[None]:
    try:
        yield
    except UnfitFileError as error:
        raise OutputError(f"{error.filename}: {error.strerror}; remove it, and run the command again") from error


def refuse_foreign(folder: Path, foreign_in: Callable[[Path], list[str]]) -> None:
    """Raise an error if a folder, which may be missing, holds anything but a set that sketchpipe made.

    Args:
        folder: where a set is to be made.
        foreign_in: returns names in the folder that are not of such a set.

    Raises:
        OutputError: the folder holds something else, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; choose another folder with --to")
    foreign = foreign_in(folder) if folder.exists() else []
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise OutputError(f"{folder}: holds {foreign[0]}{more}, which sketchpipe did not make; choose an empty folder")


def foreign_entries(folder: Path, files: Collection[str], folders: Collection[str] = ()) -> list[str]:
    """The names in `folder` that are neither one of these files nor one of these folders, sorted."""
    entries = [entry for entry in folder.iterdir() if entry.name not in (BUILD, *HARMLESS)]
    return sorted(entry.name for entry in entries if entry.name not in (folders if entry.is_dir() else files))


@dataclass(frozen=True)
class SetCommit:
    """How sets of one kind are committed: the names of their files, and what messages call them.

    Attributes:
        noun: what a set consists of, in the plural, for messages.
        marks: a set has exactly one of these files. It is moved last and removed first, so that no reader takes a part
            of a set for a set.
        staged: the folder in `.build/` in which the new set is made.
        journal: the file in `.build/` that says which files a commit moves.
        origin: the file in `.build/` that records what the set was made from.
        remedy: what to do if the journal or a staged file is damaged; {folder} and {journal} are replaced by paths.
        names: all names that the files of a set can have; None if they are not fixed. An old journal that does not
            name the files to remove means all of these.
        aside: the folder in `.build/` into which the old set is moved before it is removed, for sets of folders; None
            if files are removed at once.
        work: the folder in `.build/` for what a build keeps between its passes; None if it keeps nothing. It and the
            staged files survive an interruption, so that the next process can resume.
    """

    noun: str
    marks: tuple[str, ...]
    staged: str
    journal: str
    origin: str
    remedy: str
    names: tuple[str, ...] | None = None
    aside: str | None = None
    work: str | None = None

    def is_pending(self, folder: Path) -> bool:
        """Whether a commit was interrupted after its journal was written."""
        return (folder / BUILD / self.journal).exists()

    def finish_pending(self, folder: Path) -> None:
        """Finish the commit of a process that died; does nothing if there is no journal.

        Raises:
            SketchpipeError: another process holds the folder, it cannot be written, or its journal is damaged.
        """
        if self.is_pending(folder):
            with locked(folder), self.placing(folder):
                self.roll_forward(folder)

    def staged_path(self, folder: Path) -> Path:
        """The folder in which the new set is made."""
        return folder / BUILD / self.staged

    def work_path(self, folder: Path) -> Path:
        """The folder in which a build keeps what it needs between its passes."""
        assert self.work is not None
        return folder / BUILD / self.work

    def prepare(self, folder: Path) -> Path:
        """Create the folders for the new set and the work, keeping what an earlier process left; returns the first."""
        for name in (self.staged, self.work):
            if name is not None:
                (folder / BUILD / name).mkdir(exist_ok=True)
        return self.staged_path(folder)

    def discard(self, folder: Path) -> None:
        """Remove the staged set and what a build kept, unless the set is committed and only has to be moved."""
        if self.is_pending(folder):
            return
        for name in (self.staged, self.aside, self.work):
            if name is not None:
                shutil.rmtree(folder / BUILD / name, ignore_errors=True)
        for partial in (folder / BUILD).glob(".*.partial"):
            with contextlib.suppress(OSError):  # the next writer overwrites it
                partial.unlink()

    @contextlib.contextmanager
    def placing(self, folder: Path, after: str = "what was there is unchanged") -> Iterator[None]:
        """Wrap work on a locked folder: report how a disk error left the folder, and remove what was not committed.

        Args:
            folder: the locked folder.
            after: how the folder is left if the disk fails before the commit, for the message.

        Raises:
            OutputError: the disk failed.
        """
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            if self.is_pending(folder):
                raise OutputError(
                    f"{folder}: the {self.noun} are made, but could not be put in place ({why}); run the command again "
                    "to finish it"
                ) from error
            self.discard(folder)
            raise OutputError(f"{folder}: cannot be written ({why}); {after}") from error
        except BaseException as error:
            if isinstance(error, Exception) or self.work is None:
                self.discard(folder)
            raise
        self.discard(folder)

    def commit(
        self, folder: Path, remove: Collection[str], origin: str, proofs: Mapping[str, str] | None = None
    ) -> None:
        """Replace the files `remove` by the staged set, and then write `origin` to the file `self.origin`.

        Once the journal is written the new set is committed, even if the process dies the moment after. The process
        that finishes the commit then proves by the journal's hashes that what is staged is as it was written.

        Args:
            folder: the locked folder.
            remove: the names of the old set.
            origin: what the new set was made from.
            proofs: the SHA-256, in hex, of each file of the new set as it was written; None: everything that is staged
                is the set, and is read once more for its hashes.
        """
        staged = self.staged_path(folder)
        if proofs is None:
            proofs = {entry.name: digest(entry.path) for entry in os.scandir(staged)}
        add = sorted(proofs)
        if self.aside is None:
            for name in add:
                sync(staged / name)
            sync(staged)
        else:
            os.sync()  # all at once: to sync each of millions of small files by itself would take hours
        sizes = {name: found.st_size for name in add if S_ISREG((found := (staged / name).lstat()).st_mode)}
        moves = Moves(list(remove), add, origin, dict(proofs), sizes)
        write_atomically(folder / BUILD / self.journal, moves.dump())
        self._move(folder, moves)

    def roll_forward(self, folder: Path) -> None:
        """Finish a commit whose journal is written, in a locked folder; does nothing if there is no journal.

        Raises:
            DamagedError: the journal or a staged file is damaged.
        """
        if not self.is_pending(folder):
            return
        journal, staged = folder / BUILD / self.journal, self.staged_path(folder)
        remedy = self.remedy.format(folder=folder, journal=journal)
        try:
            moves = Moves.read(journal, self.marks, self.names)
        except UnfitFileError as error:
            raise DamagedError(f"{journal}: {error.strerror}; {remedy}") from error
        except ValueError as error:
            raise DamagedError(f"{journal}: damaged; {remedy}") from error
        for name, proof in moves.proofs.items():
            if os.path.lexists(staged / name) and not is_as_written(staged / name, proof, moves.sizes.get(name)):
                raise DamagedError(f"{staged / name}: damaged; {remedy}")
        self._move(folder, moves)

    def _move(self, folder: Path, moves: Moves) -> None:
        build, remove, add = folder / BUILD, moves.remove, moves.add
        staged, aside = self.staged_path(folder), None if self.aside is None else build / self.aside
        if aside is not None:
            aside.mkdir(exist_ok=True)
        for name in sorted(dict.fromkeys((*add, *remove)), key=lambda name: name not in self.marks):
            is_moved = name in add and not (staged / name).exists()  # by the process that died
            if not is_moved:
                _remove(folder / name, aside)
        for name in sorted(add, key=lambda name: name in self.marks):
            if (staged / name).exists():
                (staged / name).replace(folder / name)
        sync(folder)
        write_atomically(build / self.origin, moves.origin)
        for done in (staged, aside):
            if done is not None and done.exists():
                shutil.rmtree(done)
        (build / self.journal).unlink()
        sync(build)


def _remove(path: Path, aside: Path | None) -> None:
    """Remove a file, or move a file or folder aside."""
    if aside is None:
        path.unlink(missing_ok=True)
    elif os.path.lexists(path):
        path.replace(aside / path.name)
