"""The journal of a commit: which files are moved, and the hashes by which the next process proves what it moves."""

import hashlib
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath

from pipeline.storage.reading import OWN_BYTES, UnfitFileError, descriptor_of, read_limited
from pipeline.storage.sealed import seal, unseal

_PART_BYTES = 1 << 18  # read at a time
_UNPROVED = {"add", "remove", "origin"}  # the fields of a journal of an older version, which has no checksum


@dataclass(frozen=True)
class Moves:
    """What a commit does.

    Attributes:
        remove: the names that are removed from the folder.
        add: the names that are moved into the folder.
        origin: the text that records what the set was made from.
        proofs: the `digest` of each new file or folder; empty in a journal of an older version.
        sizes: the bytes of each new file, so that an endless one in its place is not read.
    """

    remove: list[str]
    add: list[str]
    origin: str
    proofs: dict[str, str]
    sizes: dict[str, int] = field(default_factory=dict)

    def dump(self) -> str:
        """The text of the journal."""
        return seal(asdict(self))

    @staticmethod
    def read(journal: Path, marks: Collection[str], names: Collection[str] | None) -> "Moves":
        """The content of a journal.

        Args:
            journal: its path.
            marks: of these names it adds exactly one.
            names: all that it may add, and what an old journal removes; None if they are not fixed.

        Raises:
            ValueError: it is damaged.
            OSError: it cannot be read.
        """
        try:
            fields, is_proved = unseal(read_limited(journal, OWN_BYTES, link=False).decode())
            add = [str(name) for name in fields["add"]]
            remove = [str(name) for name in fields.get("remove", names or ())]
            proofs = {str(name): str(proof) for name, proof in fields.get("proofs", {}).items()}
            sizes = {str(name): int(size) for name, size in fields.get("sizes", {}).items()}
            moves = Moves(remove, add, str(fields["origin"]), proofs, sizes)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError("not a journal of a commit") from error
        if not (is_proved or fields.keys() <= _UNPROVED):
            raise ValueError("its text does not match its checksum")
        if any(name in ("", "..") or PurePath(name).name != name for name in (*add, *remove)):
            raise ValueError("a name outside the folder")
        if len(set(add) & set(marks)) != 1 or not set(add) <= set(names or add):
            raise ValueError("not the names of a set")
        return moves


def digest(path: str | Path) -> str:
    """SHA-256, in hex, of a file; of a folder the sum of the SHA-256 of its entries, each with its name.

    Raises:
        UnfitFileError: it is, or holds, a link or something else than files and folders.
        OSError: it cannot be read.
    """
    is_folder = os.path.isdir(path) and not os.path.islink(path)  # noqa: PTH112, PTH114 - a text is as good
    return _folder_digest(path) if is_folder else _file_digest(path)


def _folder_digest(path: str | Path) -> str:
    total = 0
    with os.scandir(path) as entries:  # texts, because a Path of each of millions of pictures would stay in memory
        for entry in entries:
            found = _folder_digest(entry.path) if entry.is_dir(follow_symlinks=False) else _file_digest(entry.path)
            total += int.from_bytes(hashlib.sha256(os.fsencode(f"{entry.name}/{found}")).digest(), "big")
    return f"{total % (1 << 256):064x}"


def _file_digest(path: str | Path) -> str:
    found, descriptor = hashlib.sha256(), descriptor_of(path, os.O_RDONLY, link=False)
    try:
        while part := os.read(descriptor, _PART_BYTES):
            found.update(part)
    finally:
        os.close(descriptor)
    return found.hexdigest()


def is_as_written(path: Path, proof: str, size: int | None) -> bool:
    """Whether a file or a folder still has the `digest`, and a file the size, that it had when it was written."""
    try:
        return size in (None, path.lstat().st_size) and digest(path) == proof
    except UnfitFileError:
        return False
