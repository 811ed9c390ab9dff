"""Records paths, sizes and times of a build's sources in the hidden `.build/`, to see whether they changed.

The manifest, which is copied with the shards, records only the names and hashes of sources.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.shards.manifest import SHARDS
from pipeline.shards.options import BuildOptions
from pipeline.sources.files import Source
from pipeline.storage.commit import BUILD

PIPE = -1  # for the bytes of a source that is no file


@dataclass(frozen=True)
class Origin:
    """The options and the sources of a build.

    Attributes:
        options: `BuildOptions.stored`.
        sources: path, bytes, time of change in ns, and name of each. What is no file but a pipe, of which nothing shows
            that it holds the same again, has `PIPE` for its bytes, and the time at which it was looked at.
    """

    options: dict[str, Any]
    sources: list[tuple[str, int, int, str]]


def options_of(fields: Mapping[str, Any]) -> BuildOptions:
    """The options of a build, from the fields that a manifest or an origin holds.

    Raises:
        UsageError: the fields are not those of `BuildOptions`.
    """
    classes = fields.get("classes")
    try:
        lists = {
            "classes": None if classes is None else tuple(classes),
            "leave_out": tuple(fields.get("leave_out", ())),
        }
        return BuildOptions(**{**fields, **lists})
    except TypeError as error:
        raise UsageError(f"not the options of a build: {fields}") from error


def origin_of(sources: Sequence[Source], options: BuildOptions) -> Origin:
    """The origin of a build of these sources as they are now; with a pipe it equals no other."""
    return Origin(json.loads(json.dumps(options.stored())), [(str(s.path), *_state(s), s.name) for s in sources])


def _state(source: Source) -> tuple[int, int]:
    """The bytes and the time of change of a source."""
    stat = source.path.stat()
    return (stat.st_size, stat.st_mtime_ns) if source.is_file else (PIPE, time.time_ns())


def read_origin(folder: Path) -> Origin | None:
    """The origin of the shards in `folder`; None if it is not recorded."""
    try:
        fields = json.loads((folder / BUILD / SHARDS.origin).read_text(encoding="utf-8"))
        sources = [(str(path), int(size), int(changed), str(name)) for path, size, changed, name in fields["sources"]]
        options_of(fields["options"])
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return None
    return Origin(fields["options"], sources)
