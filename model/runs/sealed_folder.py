"""Folders of files and of a manifest of their SHA-256, which holds its own checksum: checkpoints and weights."""

import errno
import functools
import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.runs.card import LIMIT
from pipeline.errors import CheckpointError
from pipeline.storage.exchange import ASIDE, exchange
from pipeline.storage.fields import SHA256, record
from pipeline.storage.files import sync, write_file
from pipeline.storage.reading import UnfitFileError, read_limited
from pipeline.storage.sealed import seal, unseal

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class SealedFolder:
    """A folder to be read, whose manifest is read once.

    Attributes:
        folder: the folder.
        names: the files of the manifest.
        remedy: what to do about damage, for the end of a message.
        no_links: folders that must not be links.
        others: files that the manifest may name as well.
    """

    folder: Path
    names: Collection[str]
    remedy: str
    no_links: Collection[Path] = ()
    others: Collection[str] = ()

    @functools.cached_property
    def hashes(self) -> Mapping[str, str]:
        """The SHA-256 of each file, from the manifest.

        Raises:
            CheckpointError: the manifest is missing or damaged.
        """
        try:
            hashes, is_whole = unseal(self._read(MANIFEST, LIMIT).decode())
            if not is_whole:
                raise ValueError("it does not match its checksum")
            record(dict.fromkeys((*self.names, *self.others), SHA256), may_lack=self.others)("", hashes)
        except ValueError as error:
            raise CheckpointError(f"{self.folder / MANIFEST}: damaged ({error}); {self.remedy}") from error
        return hashes

    def read(self, name: str, limit: int = LIMIT) -> bytes:
        """Read a file, which has at most `limit` bytes, and check it against the manifest.

        Raises:
            CheckpointError: the file or the manifest is missing or damaged.
        """
        expected = self.hashes[name]
        content = self._read(name, limit)
        if hashlib.sha256(content).hexdigest() != expected:
            raise CheckpointError(f"{self.folder / name}: damaged ({len(content)} bytes, wrong SHA-256); {self.remedy}")
        return content

    def _read(self, name: str, limit: int) -> bytes:
        try:
            for link in self.no_links:
                if link.is_symlink():
                    raise UnfitFileError(errno.ELOOP, f"{link.name} is a link where a folder belongs")
            return read_limited(self.folder / name, limit, link=False)
        except OSError as error:
            what = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
            raise CheckpointError(f"{self.folder / name}: {what}; {self.remedy}") from error


def write_sealed(folder: Path, contents: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Write files and their manifest to `folder`, which appears only when it is complete.

    Args:
        folder: the folder.
        contents: the bytes of each file; a name may have a folder in it, "onnx/model.onnx".
        replace: whether to replace the folder that is there, all of it and in one step; otherwise it must not exist.

    Raises:
        OSError: it cannot be written; no part of it is left.
    """
    temporary = folder.with_name(f"{_prepared(folder)}{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    try:
        temporary.mkdir(parents=True)
        for name, content in {**contents, MANIFEST: seal(hashes).encode()}.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            write_file(path, content)
        for inner in {temporary, *((temporary / name).parent for name in contents)}:
            sync(inner)
        if replace and folder.exists():
            exchange(temporary, folder)
        else:
            temporary.replace(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if replace:
        shutil.rmtree(temporary, ignore_errors=True)  # what was there before


def remove_leftovers(folder: Path) -> None:
    """Remove what `write_sealed` prepared beside `folder` in processes that were killed.

    A folder that such a process had put aside, and not replaced yet, gets its place back.
    """
    begin = _prepared(folder)
    for entry in list(folder.parent.iterdir()) if folder.parent.is_dir() else ():
        number = entry.name.removeprefix(begin).removesuffix(ASIDE)
        if entry.name.startswith(begin) and number.isascii() and number.isdigit() and not _is_alive(int(number)):
            if entry.name.endswith(ASIDE) and not os.path.lexists(folder):
                entry.rename(folder)
            else:
                shutil.rmtree(entry, ignore_errors=True)


def _prepared(folder: Path) -> str:
    """How the name of a folder begins that is prepared beside `folder`; the process's number follows."""
    return f".{folder.name}.sketchpipe-"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True
