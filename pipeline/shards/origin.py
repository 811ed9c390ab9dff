"""Records what a build was made from in the hidden `.build/`: options, sources and, once it is done, its manifest.

The manifest, which is copied with the shards, records only the names and hashes of sources. The record has their paths
and what the file system says of them, so that unchanged sources need not be read, and a copy of the manifest.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, SketchpipeError, UsageError
from pipeline.shards.manifest import SHARDS, Manifest, parse_manifest
from pipeline.shards.options import BuildOptions
from pipeline.sources.files import Source
from pipeline.sources.identity import Identity, identity_of, refuse_change
from pipeline.storage.commit import BUILD
from pipeline.storage.reading import read_limited
from pipeline.storage.sealed import CHECKSUM, seal, unseal

_MOST_BYTES = 1 << 28  # of a record; one of 345 sources has about 200 kB


@dataclass(frozen=True)
class SourceStamp:
    """A source and what the file system said of it when a build began.

    Attributes:
        path: its path.
        size: its bytes.
        mtime_ns, ctime_ns: its times of change; `ctime_ns` is None in records of older versions.
        inode: its inode; None in records of older versions. The device is not recorded: its number may change when the
            machine is started again.
        name: its name in the manifest.
    """

    path: str
    size: int
    mtime_ns: int
    name: str
    ctime_ns: int | None = None
    inode: int | None = None


@dataclass(frozen=True)
class Origin:
    """The options and the sources of a build, and its manifest.

    Attributes:
        options: `BuildOptions.stored`.
        sources: the sources in order.
        partly: the numbers of the sources that were not read to their end, because no more of them was wanted.
        manifest: the manifest of the shards; None before they are built, and in records of older versions.
    """

    options: dict[str, Any]
    sources: list[SourceStamp]
    partly: tuple[int, ...] = ()
    manifest: Manifest | None = None

    def work(self) -> dict[str, Any]:
        """What identifies the work of a build, for its journal."""
        return {"options": self.options, "sources": [asdict(stamp) for stamp in self.sources]}

    def dump(self) -> str:
        """The text of the record, with a checksum."""
        return seal(
            {
                "options": self.options,
                "sources": [[s.path, s.size, s.mtime_ns, s.name, s.ctime_ns, s.inode] for s in self.sources],
                "partly": self.partly,
                "manifest": None if self.manifest is None else self.manifest.dump(),
            }
        )


class Watch:
    """The sources of a build as they were when it began, to see whether one changes meanwhile.

    What is no regular file, as a pipe, is not compared.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self._before = [identity_of(source.path) for source in sources]

    @property
    def are_files(self) -> bool:
        """Whether all sources are regular files, which can be read again."""
        return all(before.is_regular for before in self._before)

    def identity(self, number: int) -> Identity | None:
        """The identity of a source when the build began; None if it is no regular file."""
        before = self._before[number]
        return before if before.is_regular else None

    def look(self, number: int) -> None:
        """Look at a source again.

        Raises:
            InputError: it has changed.
        """
        if (before := self.identity(number)) is not None:
            refuse_change(self.sources[number].path, before)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look at all sources at the end of the work inside, and before another error of reading is reported.

        Raises:
            InputError: a source has changed.
        """
        try:
            yield
        except (InputError, OSError):
            self._look_at_all()
            raise
        self._look_at_all()

    def stamps(self) -> list[SourceStamp]:
        """What is recorded of the sources."""
        return [
            SourceStamp(str(source.path), before.size, before.mtime_ns, source.name, before.ctime_ns, before.inode)
            for source, before in zip(self.sources, self._before, strict=True)
        ]

    def _look_at_all(self) -> None:
        for number in range(len(self.sources)):
            self.look(number)


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


def origin_of(watch: Watch, options: BuildOptions) -> Origin:
    """The origin of a build that begins now."""
    return Origin(json.loads(json.dumps(options.stored())), watch.stamps())


def read_origin(folder: Path) -> Origin | None:
    """The origin of the shards in `folder`; None if it is not recorded, or the record is damaged."""
    path = folder / BUILD / SHARDS.origin
    try:
        fields, is_sound = unseal(text := read_limited(path, _MOST_BYTES, link=False).decode())
        if not is_sound and (CHECKSUM in text or set(fields) != {"options", "sources"}):  # older ones have no checksum
            return None
        stamps = [SourceStamp(*_typed(stamp)) for stamp in fields["sources"]]
        options_of(fields["options"])
        held = fields.get("manifest")
        manifest = None if held is None else parse_manifest(held, path)
        partly = tuple(int(number) for number in fields.get("partly", ()))
    except (OSError, ValueError, KeyError, TypeError, SketchpipeError):
        return None
    return Origin(fields["options"], stamps, partly, manifest)


def _typed(stamp: Sequence[Any]) -> tuple[str, int, int, str, int | None, int | None]:
    path, size, mtime_ns, name, *more = stamp
    ctime_ns, inode = more or (None, None)
    optional = [None if value is None else int(value) for value in (ctime_ns, inode)]
    return str(path), int(size), int(mtime_ns), str(name), optional[0], optional[1]
