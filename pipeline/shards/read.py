"""Reading a folder of shards: opened once, proved by its manifest, row group by row group."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.drawings import Drawings, Int64Array, concat
from pipeline.errors import InputError, ShardError, UsageError
from pipeline.shards.manifest import Manifest, ShardFile, file_hash, footer_hash, read_manifest
from pipeline.shards.schema import SCHEMA, from_table
from pipeline.shards.shuffle import SPLITS

STROKE_COLUMNS = ("label", "x", "y", "stroke_end")


@dataclass(frozen=True)
class ShardSplit:
    """One split of a folder: its rows, shard after shard, are one random order.

    Attributes:
        folder: where the shards lie.
        name: train, validation or test.
        manifest: the folder's.
        files: the split's shards in order.
        row_groups: (G, 2) int64, the shard and the number in it of each row group, in order.
        row_starts: (G + 1,) int64, the first row of each row group in the split, and the number of rows.
    """

    folder: Path
    name: str
    manifest: Manifest
    files: tuple[ShardFile, ...]
    row_groups: Int64Array
    row_starts: Int64Array

    def __len__(self) -> int:
        return int(self.row_starts[-1])

    def read_row_group(self, group: int, columns: Sequence[str] = STROKE_COLUMNS) -> Drawings:
        """The drawings of row group `group`; `word` holds labels.

        Raises:
            ShardError: the shard is damaged.
        """
        drawings = from_table(self.read_table(group, columns))
        drawings.words.extend(self.manifest.classes)
        return drawings

    def read_table(self, group: int, columns: Sequence[str]) -> pa.Table:
        """The columns of row group `group` as they are stored.

        The shard's SHA-256 is held against the manifest when this process first reads it, page checksums whenever.

        Raises:
            ShardError: the shard is damaged.
        """
        shard, number = self.row_groups[group].tolist()
        path = self.folder / self.files[shard].name
        try:
            _prove(path, self.files[shard])
            return _open(path).read_row_group(number, columns=list(columns), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, str(error)) from error

    def read_rows(self, rows: Int64Array) -> Drawings:
        """The drawings at `rows` of the split, in that order, with their key_ids."""
        groups = np.searchsorted(self.row_starts, rows, side="right") - 1
        columns = (*STROKE_COLUMNS, "key_id", "recognized")
        read = {group: self.read_row_group(group, columns) for group in np.unique(groups).tolist()}
        picked = [
            read[g].take(np.array([row - self.row_starts[g]])) for g, row in zip(groups.tolist(), rows, strict=True)
        ]
        return concat(picked)


def open_split(folder: Path, split: str) -> ShardSplit:
    """Open the shards of a split and check their footers against the manifest.

    Raises:
        UsageError: `split` is none of train, validation and test.
        InputError: the folder does not exist, or the split has no drawings.
        ShardError: the manifest or a shard is missing or damaged.
    """
    if split not in SPLITS:
        raise UsageError(f'split "{split}": expected one of {", ".join(SPLITS)}')
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; make shards with `sketchpipe shards SOURCE --to {folder}`")
    manifest = read_manifest(folder)
    files = tuple(file for file in manifest.files if file.split == split and file.rows)
    if not files:
        raise InputError(f"{folder}: its {split} split has no drawings; build it with more drawings or other --splits")
    groups, starts = [], [0]
    for shard, file in enumerate(files):
        metadata = _checked(folder / file.name, file).metadata
        for number in range(metadata.num_row_groups):
            groups.append((shard, number))
            starts.append(starts[-1] + metadata.row_group(number).num_rows)
    return ShardSplit(folder, split, manifest, files, np.array(groups, np.int64), np.array(starts, np.int64))


_proving: dict[tuple[object, ...], threading.Lock] = {}
_proved: set[tuple[object, ...]] = set()


def _prove(path: Path, expected: ShardFile) -> None:
    """Check a shard's SHA-256, once a process unless the file changes.

    Page checksums leave the headers between pages and the first four bytes to chance.
    """
    stat = path.stat()
    key = (path, stat.st_mtime_ns, stat.st_size, expected.sha256)
    with _proving.setdefault(key, threading.Lock()):
        if key not in _proved:
            if file_hash(path) != expected.sha256:
                raise _damaged(path, "its SHA-256 is not the manifest's")
            _proved.add(key)


_opened = threading.local()


def _open(path: Path) -> pq.ParquetFile:
    """The thread's own reader of the file that it read last: a ParquetFile must not be shared by threads."""
    key = (path, path.stat().st_mtime_ns)
    if getattr(_opened, "key", None) != key:
        source = pa.OSFile(os.fsencode(path))  # not the path, which pyarrow would want in UTF-8
        _opened.key, _opened.file = key, pq.ParquetFile(source, page_checksum_verification=True)
    file: pq.ParquetFile = _opened.file
    return file


def _checked(path: Path, expected: ShardFile) -> pq.ParquetFile:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            footer = footer_hash(file)
        if size != expected.bytes or footer != (expected.footer_sha256, expected.footer_bytes):
            raise _damaged(path, f"{size} bytes, {expected.bytes} in the manifest, or another footer")
        opened = _open(path)
    except FileNotFoundError as error:
        raise ShardError(f"{path}: the shard is missing; {_REMEDY}") from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, str(error)) from error
    if opened.metadata.num_rows != expected.rows or not opened.schema_arrow.equals(SCHEMA):
        raise _damaged(path, "its rows or columns are not those of the manifest")
    return opened


_REMEDY = "mend the folder with `sketchpipe repair`"


def _damaged(path: Path, why: Any) -> ShardError:
    return ShardError(f"{path}: damaged ({' '.join(str(why).split())}); {_REMEDY}")
