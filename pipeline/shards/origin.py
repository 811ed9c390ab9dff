"""Records what a build was made from in the hidden `.build/`: options, sources and, once it is done, its manifest.

The manifest, which is copied with the shards, records only the names and hashes of sources. The record has their paths
and what the file system says of them, so that unchanged sources need not be read, and a copy of the manifest.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import DamagedError, InputError, SketchpipeError, UsageError
from pipeline.shards.manifest import SHARDS, Manifest, parse_manifest
from pipeline.shards.manifest_fields import check_options
from pipeline.shards.options import BuildOptions
from pipeline.sources.files import Source
from pipeline.sources.identity import Identity, identity_of, refuse_change
from pipeline.storage.commit import BUILD
from pipeline.storage.fields import MOST, PATH, FieldError, each, optional, record, text, whole
from pipeline.storage.reading import OWN_BYTES, read_limited
from pipeline.storage.sealed import CHECKSUM, seal, unseal

PIPE = -1  # for the bytes of a source that is no file


@dataclass(frozen=True)
class SourceStamp:
    """A source and what the file system said of it when a build began.

    Attributes:
        path: its path.
        size: its bytes; `PIPE` for what is no file but a pipe, of which nothing shows that it holds the same again.
        mtime_ns, ctime_ns: its times of change; `ctime_ns` is None in records of older versions. Of a pipe, `mtime_ns`
            is the time when the build began, so that it equals no other.
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
        except (InputError, DamagedError, OSError):
            self._look_at_all()
            raise
        self._look_at_all()

    def stamps(self) -> list[SourceStamp]:
        """What is recorded of the sources."""
        return [
            SourceStamp(str(source.path), before.size, before.mtime_ns, source.name, before.ctime_ns, before.inode)
            if before.is_regular
            else SourceStamp(str(source.path), PIPE, time.time_ns(), source.name)
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
    """The origin of a build that begins now; with a pipe it equals no other."""
    return Origin(json.loads(json.dumps(options.stored())), watch.stamps())


def read_origin(folder: Path) -> Origin | None:
    """The origin of the shards in `folder`; None if it is not recorded, or the record is damaged."""
    path = folder / BUILD / SHARDS.origin
    try:
        fields, is_sound = unseal(content := read_limited(path, OWN_BYTES, link=False).decode())
        if not is_sound and (CHECKSUM in content or "manifest" in fields):  # older ones have no checksum
            return None
        _FIELDS("", fields)
        # Builds before this version stored other spellings of the splits.
        stored = {**fields["options"], "splits": options_of(fields["options"]).splits}
        held = fields.get("manifest")
        manifest = None if held is None else parse_manifest(held, path)
    except (OSError, ValueError, SketchpipeError):  # a FieldError is a ValueError
        return None
    stamps = [SourceStamp(*values) for values in fields["sources"]]
    return Origin(stored, stamps, tuple(fields.get("partly", ())), manifest)


def _check_stamp(name: str, value: Any) -> None:
    each(lambda _, __: None)(name, value)
    if len(value) not in (4, len(_STAMP)):
        raise FieldError(f"{name}: expected a path, two numbers, a name and perhaps two more numbers")
    for check, one in zip(_STAMP, value, strict=False):
        check(name, one)


_TIME = whole(-MOST * 10**9, MOST * 10**9)  # in nanoseconds; file systems count 64 bits of seconds
_STAMP = (PATH, whole(PIPE), _TIME, PATH, optional(_TIME), optional(whole(0, 2**64 - 1)))
_FIELDS = record(
    {
        "options": check_options,
        "sources": each(_check_stamp),
        "partly": each(whole()),
        "manifest": optional(text()),
    },
    may_lack=("partly", "manifest"),
)
