"""`manifest.json`: what a folder of shards holds, what it was built from, and the hashes of its files."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import InputError, MismatchError, ShardError
from pipeline.storage.commit import SetCommit
from pipeline.storage.sealed import checksum_of, seal, unseal
from pipeline.wording import counted

MANIFEST = "manifest.json"
REJECTS = "rejects.ndjson"
FORMAT = "sketchpipe-shards"
FORMAT_VERSION = 2  # 2 added rejects_sha256 and the hash of sources
ATTRIBUTION = (
    "drawings from Quick, Draw! are by Google, Inc., CC BY 4.0 (https://github.com/googlecreativelab/quickdraw-dataset)"
)
SYNTHETIC = "synthetic doodles made by `sketchpipe sample`; not drawn by people"
SHARDS = SetCommit(
    noun="shards",
    marks=(MANIFEST,),
    staged="new",
    journal="commit.json",
    origin="sources.json",
    remedy="remove {build} and build anew with --force",
    work="work",
)
SHARD_NAME = re.compile(r"(train|validation|test)-\d{5,}-of-\d{5,}\.parquet")


@dataclass(frozen=True)
class ShardFile:
    """One Parquet file.

    Attributes:
        name: its name in the folder.
        split: train, validation or test.
        rows: drawings in it.
        bytes: its size.
        sha256: of the whole file.
        footer_sha256: of its last `footer_bytes`, which page checksums do not cover; checked whenever it is opened.
        footer_bytes: the footer's length, including the last eight bytes of the file.
    """

    name: str
    split: str
    rows: int
    bytes: int
    sha256: str
    footer_sha256: str
    footer_bytes: int


@dataclass(frozen=True)
class SourceCount:
    """One input file, and where its drawings went: read = written + duplicates + filtered + rejected.

    Attributes:
        name: the folder's name and the file's, with `/`.
        bytes: up to the end of the last line read, decompressed.
        hash: SHA-256 over the XXH64 of each MiB up to there (the last one may be shorter).
        read: lines that are not blank, or records.
        written: drawings in a shard.
        duplicates: drawings that are in a shard already.
        filtered: drawings that the options leave out.
        rejected: entries in `rejects.ndjson`.
    """

    name: str
    bytes: int
    hash: str
    read: int
    written: int
    duplicates: int
    filtered: int
    rejected: int


@dataclass(frozen=True, repr=False)
class Manifest:
    """The content of `manifest.json`; docs/shards.md describes each field.

    Attributes:
        synthetic: whether the drawings are those of the built-in sample.
        attribution: where the drawings come from, and their licence.
        writer: versions of the software that wrote the shards.
        options: the build's options, seed and splits among them.
        classes: the words in label order.
        counts: for each split, the drawings of each class.
        same_key: rows that share their key_id with another row, but not its strokes or word.
        files: the shards in order.
        sources: the inputs in order.
        rejects: how many there are by reason.
        rejects_sha256: of `rejects.ndjson`, or None if nothing was rejected.
        left_out: filtered drawings that the option `leave_out` names; the file has this field only if there are some.
        keyless_duplicates: drawings without a key_id that were dropped, and counted as duplicates, because a drawing
            with a key_id has the same word and strokes; None if the two kinds were not compared, because all drawings
            are of one kind or an older version built the shards.
        notes: how many of the lines that were read had a field read as null, or canvas coordinates, by kind; None if
            there are none.
        damaged_files: of how many sources a damaged gzip member, zstd frame or array and all after it were left out;
            None if no source has a damaged end, or an older version built the shards, which took drawings of such a
            member.
    """

    synthetic: bool
    attribution: str
    writer: Mapping[str, str]
    options: Mapping[str, Any]
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    same_key: int
    files: tuple[ShardFile, ...]
    sources: tuple[SourceCount, ...]
    rejects: Mapping[str, int]
    rejects_sha256: str | None
    left_out: int = 0
    keyless_duplicates: int | None = None
    notes: Mapping[str, int] | None = None
    damaged_files: int | None = None

    def __repr__(self) -> str:
        splits = ", ".join(f"{split} {self.rows(split):,}" for split in self.counts)
        return f"Manifest({counted(len(self.classes), 'class', 'classes')}; drawings: {splits})"

    def rows(self, split: str) -> int:
        """Drawings in a split."""
        return sum(file.rows for file in self.files if file.split == split)

    @property
    def checksum(self) -> str:
        """SHA-256 of everything else in `manifest.json`."""
        return checksum_of(self._fields())

    def dump(self) -> str:
        """The canonical text of `manifest.json`, with the checksum of the rest of it."""
        return seal(self._fields())

    def _fields(self) -> dict[str, Any]:
        optional = {field.name: field.default for field in fields(self) if field.default is not MISSING}
        held = {name: value for name, value in asdict(self).items() if name not in optional or value != optional[name]}
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **held}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of shards.

    Raises:
        InputError: the folder holds no shards.
        ShardError: it is lost or damaged, or a build was interrupted while it put its files in place.
        MismatchError: it has a format that this version does not read.
    """
    path = folder / MANIFEST
    if SHARDS.is_pending(folder):
        raise ShardError(f"{folder}: a build was cut off in its last step; run `sketchpipe shards` again to finish it")
    try:
        text = path.read_text(encoding="utf-8")
    except IsADirectoryError as error:
        raise _damaged(path) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder.is_dir() and any(SHARD_NAME.fullmatch(file.name) for file in folder.iterdir()):
            raise ShardError(
                f"{folder}: {MANIFEST} is lost, without which no shard is read; build the shards again"
            ) from error
        raise InputError(
            f"{folder}: no shards here ({MANIFEST} is missing); make them with `sketchpipe shards`"
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(path) from error
    try:
        fields, _ = unseal(text)  # the whole text is compared below
        kind, version = fields.pop("format"), fields.pop("format_version")
    except (ValueError, KeyError) as error:
        raise _damaged(path) from error
    if kind != FORMAT or version != FORMAT_VERSION:
        raise MismatchError(f"{path}: format {kind} {version}, but this version reads {FORMAT} {FORMAT_VERSION}")
    try:
        fields["classes"] = tuple(fields["classes"])
        fields["counts"] = {split: tuple(counts) for split, counts in fields["counts"].items()}
        fields["files"] = tuple(ShardFile(**file) for file in fields["files"])
        fields["sources"] = tuple(SourceCount(**source) for source in fields["sources"])
        manifest = Manifest(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if manifest.dump() != text or not _is_sound(manifest):
        raise _damaged(path)
    return manifest


def _is_sound(manifest: Manifest) -> bool:
    """Whether its files have names of shards, so that no name leads outside the folder, whoever made the manifest."""
    names = [file.name for file in manifest.files]
    matches = [SHARD_NAME.fullmatch(name) for name in names]
    of_split = all(match and match[1] == file.split for match, file in zip(matches, manifest.files, strict=True))
    numbers = [number for file in manifest.files for number in (file.rows, file.bytes, file.footer_bytes)]
    return of_split and len(set(names)) == len(names) and all(type(number) is int for number in numbers)


def file_hash(path: Path) -> str:
    """SHA-256, in hex, of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def footer_hash(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 and length of an open Parquet file's footer, including the last eight bytes of the file."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = min(size, int.from_bytes(tail[:4], "little") + 8)
    file.seek(size - length)
    return hashlib.sha256(file.read(length)).hexdigest(), length


def _damaged(path: Path) -> ShardError:
    return ShardError(f"{path}: damaged; repair the folder with `sketchpipe repair {path.parent}`")
