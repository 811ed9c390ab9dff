"""Paths that users give: `~` is expanded, and addresses such as s3://bucket/folder are refused."""

import os
import re
from pathlib import Path

from pipeline.errors import UsageError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")  # Path makes one slash of several


def local_path(path: str | Path) -> Path:
    """The path with `~` expanded.

    Raises:
        UsageError: it is an address, of which a file system would make a folder called `s3:`, or an empty text, which
            would be the current folder.
    """
    text = str(path)
    if not text:
        raise UsageError('"": an empty path; name a file or a folder, such as . for the current one')
    address = _ADDRESS.match(text)
    if address is None:
        return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises for a user that does not exist
    scheme, rest = address[1].lower(), text[address.end() :]
    if scheme == "file":
        raise UsageError(f"file:///{rest}: give the path alone, /{rest}")
    remedy = "give a local path, and copy the files from or to there with the store's own tool"
    if scheme in ("gs", "http", "https"):
        remedy += "; `sketchpipe download` fetches Google's drawings"
    raise UsageError(f"{scheme}://{rest}: object stores and web addresses are not supported yet; {remedy}")
