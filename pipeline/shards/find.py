"""Folders of shards: the one that a user names, and the one that a command takes where none is named."""

from pathlib import Path

from pipeline.errors import InputError, UsageError
from pipeline.shards.manifest import MANIFEST
from pipeline.storage.local import local_path

SHARDS = Path("shards")


def only_shards(root: Path = SHARDS) -> Path:
    """The only folder of shards that `root` is or holds.

    Raises:
        UsageError: there is none, or there are several.
    """
    found = sorted(path.parent for pattern in (MANIFEST, f"*/{MANIFEST}") for path in root.glob(pattern))
    if not found:
        raise UsageError(
            f"--shards is missing, and there are none in {root}/; make some with `sketchpipe shards`, or name a folder"
        )
    if len(found) > 1:
        raise UsageError(f"--shards is missing, and {root}/ holds several: name {' or '.join(map(str, found))}")
    return found[0]


def existing_folder(folder: str | Path) -> Path:
    """The folder of shards that a user names, with `~` expanded; whether it holds shards is not looked at.

    Raises:
        InputError: it does not exist, or is a file.
        UsageError: it is an address of an object store.
    """
    folder = local_path(folder)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise InputError(f"{folder}: is a file, not a folder of shards; name the folder")
    raise InputError(f"{folder}: no such folder; make shards with `sketchpipe shards SOURCE --to {folder}`")
