"""The folder of shards that a command takes where none is named."""

from pathlib import Path

from pipeline.errors import UsageError
from pipeline.shards.manifest import MANIFEST

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
