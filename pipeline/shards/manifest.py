"""`manifest.json`: what a folder of shards holds, what it was built from, and the hashes of its files."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import InputError, LockedError, MismatchError, ShardError
from pipeline.shards.manifest_fields import FIELDS, SHARD_NAME
from pipeline.storage.commit import BUILD, LOCK, SetCommit
from pipeline.storage.fields import text as check_text
from pipeline.storage.fields import whole
from pipeline.storage.locks import holder_of
from pipeline.storage.reading import OWN_BYTES, UnfitFileError, open_regular, read_limited
from pipeline.storage.sealed import checksum_of, seal, unseal
from pipeline.wording import counted, visible

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
    remedy="remove {journal} and run `sketchpipe shards` again",
    work="work",
)


class ManifestError(ShardError):
    """A manifest that is damaged.

    Attributes:
        why: what is wrong with it, as a part of a sentence.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


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

    @property
    def proofs(self) -> dict[str, str]:
        """The SHA-256, in hex, of each file of the folder, `manifest.json` included."""
        rejects = {} if self.rejects_sha256 is None else {REJECTS: self.rejects_sha256}
        own = hashlib.sha256(self.dump().encode()).hexdigest()
        return {MANIFEST: own, **rejects, **{file.name: file.sha256 for file in self.files}}

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
        raise _half_placed(folder)
    try:
        text = read_limited(path, OWN_BYTES, link=False).decode()
    except UnfitFileError as error:
        why = str(error.strerror)
        raise ManifestError(f"{path}: {why}; put the manifest itself there, or build anew", why) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if SHARDS.is_pending(folder):  # a build has begun to put its files in place since then
            raise _half_placed(folder) from error
        if folder.is_dir() and any(SHARD_NAME.fullmatch(file.name) for file in folder.iterdir()):
            raise ShardError(
                f"{folder}: {MANIFEST} is lost, without which no shard is read; restore it with `sketchpipe repair "
                f"{folder}`, or build the shards again"
            ) from error
        raise InputError(
            f"{folder}: no shards here ({MANIFEST} is missing); make them with `sketchpipe shards`"
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, "it is not UTF-8") from error
    return parse_manifest(text, path)


def parse_manifest(text: str, path: Path) -> Manifest:
    """The manifest whose text, in the file `path`, this is.

    Raises:
        ShardError: it is damaged.
        MismatchError: it has a format that this version does not read.
    """
    try:
        fields, _ = unseal(text)  # the whole text is compared below
        check_text(50)("format", kind := fields.pop("format", None))
        whole()("format_version", version := fields.pop("format_version", None))
    except ValueError as error:
        raise _damaged(path, error) from error
    if kind != FORMAT or version != FORMAT_VERSION:
        raise MismatchError(f"{path}: format {kind} {version}, but this version reads {FORMAT} {FORMAT_VERSION}")
    try:
        FIELDS("", fields)
        fields["classes"] = tuple(fields["classes"])
        fields["counts"] = {split: tuple(counts) for split, counts in fields["counts"].items()}
        fields["files"] = tuple(ShardFile(**file) for file in fields["files"])
        fields["sources"] = tuple(SourceCount(**source) for source in fields["sources"])
        manifest = Manifest(**fields)
        if manifest.dump() != text:
            raise ValueError("its text does not match its checksum")
        _check_sums(manifest)
    except ValueError as error:
        raise _damaged(path, error) from error
    return manifest


def _check_sums(manifest: Manifest) -> None:
    """Check that the numbers of a manifest agree with each other, and that its names are what they say.

    Raises:
        ValueError: they do not.
    """
    split_of = {file.name: file.split for file in manifest.files}
    if len(split_of) < len(manifest.files) or any(not name.startswith(split) for name, split in split_of.items()):
        raise ValueError("a file is listed twice, or in another split than its name says")
    if len(set(manifest.classes)) < len(manifest.classes):
        raise ValueError("a class is listed twice")
    if any(file.split not in manifest.counts for file in manifest.files):
        raise ValueError("it has no counts of the split of a file")
    for split, counts in manifest.counts.items():
        if len(counts) != len(manifest.classes) or sum(counts) != manifest.rows(split):
            raise ValueError(f"the counts of the {split} split are not those of its classes and files")
    for file in manifest.files:
        # A row takes more than a byte: otherwise readers would make room for rows that cannot be there.
        if file.rows > file.bytes or file.footer_bytes > file.bytes:
            raise ValueError(f"{file.name} has more rows than bytes, or a footer that is longer than the file")
    if sum(source.written for source in manifest.sources) != sum(file.rows for file in manifest.files):
        raise ValueError("its files have other rows than its sources gave")
    for source in manifest.sources:
        if source.read != source.written + source.duplicates + source.filtered + source.rejected:
            raise ValueError(f"the counts of the source {visible(source.name)} do not add up")


def file_hash(path: Path) -> str:
    """SHA-256, in hex, of a regular file."""
    with open_regular(path, link=True) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def footer_hash(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 and length of an open Parquet file's footer, including the last eight bytes of the file."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = min(size, int.from_bytes(tail[:4], "little") + 8)
    file.seek(size - length)
    return hashlib.sha256(file.read(length)).hexdigest(), length


def _half_placed(folder: Path) -> ShardError | LockedError:
    """The error of a folder whose build has begun to put its files in place."""
    holder = holder_of(folder / BUILD / LOCK)
    if holder is not None and holder != os.getpid():
        return LockedError(f"{folder}: process {holder} is putting a build in place; run the command again in a moment")
    return ShardError(f"{folder}: a build was cut off in its last step; run `sketchpipe shards` again to finish it")


def _damaged(path: Path, why: object) -> ShardError:
    return ManifestError(f"{path}: damaged ({why}); repair the folder with `sketchpipe repair {path.parent}`", str(why))
