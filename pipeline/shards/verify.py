"""Checks a folder of shards against its manifest, and with `deep` every row against its place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays import UInt64Array
from pipeline.drawings import Drawings, content_hash, word_salts
from pipeline.progress import Progress, untold
from pipeline.shards.find import existing_folder
from pipeline.shards.layout import ShardPlan
from pipeline.shards.manifest import (
    MANIFEST,
    REJECTS,
    SHARDS,
    Manifest,
    ManifestError,
    ShardFile,
    file_hash,
    footer_hash,
    read_manifest,
)
from pipeline.shards.manifest_fields import SHARD_NAME
from pipeline.shards.read import STROKE_COLUMNS
from pipeline.shards.schema import SCHEMA, check_values, from_table, pack_table
from pipeline.shards.shuffle import SPLITS, order_hash, parse_splits, part_of, split_of
from pipeline.storage.reading import UnfitFileError, open_regular
from pipeline.wording import counted

_REJECT_BYTES = 1 << 16  # the most of a line of rejects.ndjson: a path, a message and numbers
_HELD = 1 << 21  # content hashes in memory at a time


@dataclass(frozen=True)
class Damage:
    """A file of a folder that is not as it was built, and what is wrong with it.

    Attributes:
        name: the name of the file.
        what: what is wrong with it.
        misplaced: whether it is as it was written, but it or some of its rows do not belong there: repair cannot help.
    """

    name: str
    what: str
    misplaced: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


def verify_folder(folder: Path, *, deep: bool = False, progress: Progress = untold) -> list[Damage]:
    """Find what is damaged in a folder of shards; returns an empty list if nothing is.

    Every file's size and SHA-256 and every page's checksum are checked; with `deep` also that each row is in its
    split, its shard and its place, that none is a duplicate, that none without a key_id has the word and strokes of one
    with a key_id, and that each class has the rows that the manifest counts.

    Args:
        folder: a folder of shards.
        deep: whether to check every row.
        progress: is called with the bytes of shards checked so far.

    Raises:
        InputError: there is no such folder, or it holds no shards.
        MismatchError: it has the format of another version.
        ShardError: its manifest is lost, or its build was interrupted.
    """
    existing_folder(folder)
    if SHARDS.is_pending(folder) or not (folder / MANIFEST).exists():
        read_manifest(folder)  # raises the error that says so
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return [Damage(MANIFEST, error.why)]
    return damaged_files(folder, manifest, deep=deep, progress=progress)


def damaged_files(folder: Path, manifest: Manifest, *, deep: bool = False, progress: Progress = untold) -> list[Damage]:
    """Find which files of a folder are not those of a manifest; the arguments are those of `verify_folder`."""
    found = []
    read, total = 0, sum(file.bytes for file in manifest.files)
    rows = _Rows(manifest) if deep else None
    for file in manifest.files:
        damage = _damage_of(folder / file.name, file, manifest, rows)
        found += [damage] if damage else []
        read += file.bytes
        progress("verifying", read, total, unit="B")
    if rows is not None and not found:
        wrong = [split for split, of in manifest.counts.items() if tuple(rows.counts[split].tolist()) != of]
        what = "its counts for the {} split do not match the shards"
        found += [Damage(MANIFEST, what.format(split), misplaced=True) for split in wrong]
        found += _repeated(folder, manifest, rows, progress)
    extra = sorted(path.name for path in folder.iterdir() if SHARD_NAME.fullmatch(path.name))
    known = {file.name for file in manifest.files}
    found += [Damage(name, "not in the manifest; remove it", misplaced=True) for name in extra if name not in known]
    if manifest.rejects_sha256 is not None:
        rejects = folder / REJECTS
        if not rejects.is_file():
            found.append(Damage(REJECTS, _what_is(rejects)))
        elif rejects.stat().st_size > _REJECT_BYTES * sum(manifest.rejects.values()):  # not read: it may be endless
            found.append(Damage(REJECTS, "larger than its lines can be"))
        elif file_hash(rejects) != manifest.rejects_sha256:
            found.append(Damage(REJECTS, "its SHA-256 does not match the manifest"))
    return found


class _Keyless:
    """Content hashes of rows that have them for a key_id: of all in their order, number `first` and `_HELD` in total.

    Attributes:
        first: the number of the first that is held.
        seen: how many there were.
    """

    def __init__(self, first: int) -> None:
        self.first, self.seen = first, 0
        self._held = [np.empty(0, np.uint64)]

    def add(self, key_id: UInt64Array, content: UInt64Array) -> None:
        """Add those of the next rows."""
        keyless = content[content == key_id]
        start = self.first - self.seen
        if start < len(keyless) and start + _HELD > 0:
            self._held.append(keyless[max(0, start) : start + _HELD].copy())
        self.seen += len(keyless)

    def held(self) -> UInt64Array:
        """The hashes, sorted."""
        return np.sort(np.concatenate(self._held))


class _Rows:
    """What is gathered from the rows of all shards.

    Attributes:
        salts: `word_salts` of the classes.
        counts: for each split, (K,) int64, the rows of each class.
        keyless: the first of the content hashes that are key_ids.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.salts = word_salts(manifest.classes)
        self.counts = {split: np.zeros(len(manifest.classes), np.int64) for split in SPLITS}
        self.keyless = _Keyless(0)

    def add(self, drawings: Drawings, content: UInt64Array, split: str) -> None:
        """Add the rows of a row group."""
        self.counts[split] += np.bincount(drawings.word, minlength=len(self.salts))
        self.keyless.add(drawings.key_id, content)


def _repeated(folder: Path, manifest: Manifest, rows: _Rows, progress: Progress) -> list[Damage]:
    """The shards with rows without a key_id of their own whose word and strokes a row with one has.

    All shards are read once more for every `_HELD` rows without a key_id, so that memory is bounded.
    """
    keyless, found = rows.keyless, {file.name: 0 for file in manifest.files}
    splits, seed = parse_splits(manifest.options["splits"]), int(manifest.options["seed"])
    while keyless.first < keyless.seen < sum(file.rows for file in manifest.files):
        held, keyless = keyless.held(), _Keyless(keyless.first + _HELD)
        repeated = np.zeros(len(held), np.bool_)
        for number, file in enumerate(manifest.files):
            progress("comparing strokes", number, len(manifest.files), unit="shards")
            for table in _row_groups(folder / file.name, ("key_id", *STROKE_COLUMNS)):
                drawings = from_table(table)
                content = content_hash(drawings, rows.salts)
                keyless.add(drawings.key_id, content)
                keyed = content[content != drawings.key_id]
                place = np.minimum(np.searchsorted(held, keyed), len(held) - 1)
                repeated[place[held[place] == keyed]] = True
        key_id = held[repeated]
        split, hashes = split_of(key_id, splits), order_hash(key_id, seed)
        for name in found:
            plan = ShardPlan.of_name(name)
            found[name] += int(((split == plan.split) & (part_of(hashes, plan.count) == plan.index)).sum())
    what = "{} without a key_id: a drawing with a key_id has the same word and strokes"
    return [
        Damage(name, what.format(counted(count, "duplicate")), misplaced=True) for name, count in found.items() if count
    ]


def _damage_of(path: Path, file: ShardFile, manifest: Manifest, rows: _Rows | None) -> Damage | None:
    if not path.is_file():
        return Damage(file.name, _what_is(path))
    size = path.stat().st_size
    if size != file.bytes:
        return Damage(file.name, f"{counted(size, 'byte')}, but {file.bytes:,} in the manifest")
    if file_hash(path) != file.sha256:
        return Damage(file.name, "its SHA-256 does not match the manifest")
    with open_regular(path, link=True) as opened:
        if footer_hash(opened) != (file.footer_sha256, file.footer_bytes):
            return Damage(file.name, "its footer's SHA-256 does not match the manifest")
    try:
        what = _read_through(path, file, manifest, rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        return Damage(file.name, f"it cannot be read ({' '.join(str(error).split())})")
    return Damage(file.name, what, misplaced=True) if what else None


def _what_is(path: Path) -> str:
    """What is at a path that is no regular file."""
    try:
        open_regular(path, link=True).close()
    except UnfitFileError as error:
        return str(error.strerror)
    except OSError:
        pass
    return "missing"


def _read_through(path: Path, file: ShardFile, manifest: Manifest, gathered: _Rows | None) -> str | None:
    """Read all pages, which checks their checksums; with `gathered`, also check each row and add it there."""
    last: tuple[UInt64Array, UInt64Array] = (np.empty(0, np.uint64), np.empty(0, np.uint64))
    rows = 0
    for table in _row_groups(path):
        check_values(table)
        if pack_table(table).label.max(initial=0) >= len(manifest.classes):
            return "a label without a class"
        drawings = from_table(table)
        rows += len(drawings)
        if gathered is None:
            continue
        what = _misplaced(table, drawings, file, manifest, last[0])
        if what:
            return what
        hashes, content = _hashes(drawings, manifest), content_hash(drawings, gathered.salts)
        what = _disordered(np.concatenate([last[0], hashes]), np.concatenate([last[1], content]))
        if what:
            return what
        gathered.add(drawings, content, file.split)
        last = hashes[-1:], content[-1:]
    return None if rows == file.rows else f"{counted(rows, 'row')}, but {file.rows:,} in the manifest"


def _row_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    with open_regular(path, link=True) as opened:
        parquet = pq.ParquetFile(opened, page_checksum_verification=True)
        if not parquet.schema_arrow.equals(SCHEMA):
            raise ValueError("its columns are not those of a shard")
        for number in range(parquet.num_row_groups):
            table = parquet.read_row_group(number, columns=columns, use_threads=False)
            expected = parquet.metadata.row_group(number).num_rows
            if table.num_rows != expected:
                raise ValueError(f"{counted(table.num_rows, 'row')} in a row group of {expected:,}")
            yield table


def _misplaced(
    table: pa.Table, drawings: Drawings, file: ShardFile, manifest: Manifest, last: UInt64Array
) -> str | None:
    """What is wrong with the place or the content of rows; `last` holds the hash of the row before them, if any."""
    splits: tuple[Fraction, ...] = parse_splits(manifest.options["splits"])
    plan = ShardPlan.of_name(file.name)
    hashes = _hashes(drawings, manifest)
    if (split_of(drawings.key_id, splits) != plan.split).any():
        return "a row belongs to another split"
    if (part_of(hashes, plan.count) != plan.index).any():
        return "a row belongs to another shard"
    ordered = np.concatenate([last, hashes])
    if (ordered[1:] < ordered[:-1]).any():
        return "rows are not in order"
    words = [manifest.classes[label] for label in drawings.word.tolist()]
    if table.column("word").to_pylist() != words:
        return "words and labels differ"
    return None


def _disordered(ordered: UInt64Array, content: UInt64Array) -> str | None:
    """What is wrong with rows of the same hash, given (N,) hashes in order and content hashes."""
    tied = np.flatnonzero(ordered[1:] == ordered[:-1])
    if (content[tied] == content[tied + 1]).any():
        return "a drawing is there twice"
    return "rows are not in order" if (content[tied] > content[tied + 1]).any() else None


def _hashes(drawings: Drawings, manifest: Manifest) -> UInt64Array:
    return order_hash(drawings.key_id, int(manifest.options["seed"]))
