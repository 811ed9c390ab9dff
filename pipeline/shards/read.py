"""Opens a split of a folder of shards, checks it against the manifest, and reads it by row groups.

Everything is checked as it is read, so that a process that trains on its share reads nothing else: the footer's SHA-256
whenever a file is opened, the checksum of each page, and that strokes and points belong together. The last check finds
damage in the headers between pages, which no checksum covers.
"""

import contextlib
import errno
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays import Int64Array
from pipeline.drawings import Drawing, Drawings, concat, place_of
from pipeline.errors import InputError, MismatchError, ShardError, UsageError
from pipeline.packed import PackedDrawings
from pipeline.shards.find import existing_folder
from pipeline.shards.footers import open_shard
from pipeline.shards.manifest import Manifest, ShardFile, file_hash, read_manifest
from pipeline.shards.remarks import why_empty
from pipeline.shards.schema import SCHEMA, check_values, from_table, pack_table
from pipeline.shards.shuffle import SPLITS
from pipeline.storage.reading import UnfitFileError
from pipeline.wording import counted

STROKE_COLUMNS = ("label", "x", "y", "stroke_end")
_DRAWING_COLUMNS = (*STROKE_COLUMNS, "key_id", "recognized")


class RowGroupError(ShardError):
    """A row group that cannot be read; others of its split may be readable."""


@dataclass(frozen=True, repr=False)
class ShardSplit:
    """One split of a folder: its rows, shard after shard, are one random order.

    `split[7]` is one `Drawing`, `split[:100]` are `Drawings`; each reads the row groups that it needs.

    Attributes:
        folder: the folder of shards.
        name: train, validation or test.
        manifest: the manifest of the folder.
        files: the split's shards in order.
        row_groups: (G, 2) int64, for each row group in order, the number of its shard and its number in that shard.
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

    def __repr__(self) -> str:
        classes = counted(len(self.manifest.classes), "class", "classes")
        shards = counted(len(self.files), "shard")
        return f"ShardSplit({self.folder} {self.name}, {counted(len(self), 'drawing')} of {classes}, {shards})"

    @overload
    def __getitem__(self, index: int) -> Drawing: ...
    @overload
    def __getitem__(self, index: slice) -> Drawings: ...
    def __getitem__(self, index: int | slice) -> Drawing | Drawings:
        """One drawing, or those of a slice as `Drawings`; negative indices count from the end."""
        if isinstance(index, slice):
            return self.read_rows(np.arange(*index.indices(len(self))))
        return self.read_rows(np.array([place_of(index, len(self))]))[0]

    def __iter__(self) -> Iterator[Drawing]:
        for group in range(len(self.row_groups)):
            yield from self.read_row_group(group, _DRAWING_COLUMNS)

    def path_of(self, group: int) -> Path:
        """The path of the shard that holds row group `group`."""
        return self.folder / self.files[int(self.row_groups[group, 0])].name

    def rows_in(self, group: int) -> int:
        """How many drawings row group `group` has."""
        return int(self.row_starts[group + 1] - self.row_starts[group])

    def read_packed(self, group: int) -> PackedDrawings:
        """The strokes and labels of row group `group`.

        Raises:
            RowGroupError: it cannot be read.
            ShardError: the folder was rebuilt or removed.
        """
        _, packed = self._checked(group, STROKE_COLUMNS)
        return packed

    def read_row_group(self, group: int, columns: Sequence[str] = STROKE_COLUMNS) -> Drawings:
        """The drawings of row group `group`; `word` holds labels. `columns` include `STROKE_COLUMNS`.

        Raises:
            RowGroupError: it cannot be read.
            ShardError: the folder was rebuilt or removed.
        """
        table, _ = self._checked(group, columns)
        drawings = from_table(table)
        drawings.words.extend(self.manifest.classes)
        return drawings

    def read_table(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Any columns of row group `group` as they are stored.

        The shard's SHA-256 is checked against the manifest when this process first reads the shard in this way: a
        changed bit in a page's header may change words and countrycodes, and no other check would find that.

        Raises:
            RowGroupError: it cannot be read.
            ShardError: the folder was rebuilt or removed.
        """
        shard = int(self.row_groups[group, 0])
        try:
            _prove(self.folder / self.files[shard].name, self.files[shard])
            table = self._read(group, columns)
            check_values(table)
            return table
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._unreadable(group, error) from error

    def read_rows(self, rows: Int64Array) -> Drawings:
        """The drawings at `rows` of the split, in that order, with their key_ids."""
        if not len(rows):
            return self.read_row_group(0, _DRAWING_COLUMNS).slice(0, 0)
        groups = np.searchsorted(self.row_starts, rows, side="right") - 1
        parts = [  # only the wanted rows of each group stay in memory
            self.read_row_group(group, _DRAWING_COLUMNS).take(rows[groups == group] - self.row_starts[group])
            for group in np.unique(groups).tolist()
        ]
        return concat(parts).take(np.argsort(np.argsort(groups, kind="stable")))

    def _checked(self, group: int, columns: Sequence[str]) -> tuple[pa.Table, PackedDrawings]:
        try:
            table = self._read(group, columns)
            packed = pack_table(table)
            if packed.label.max(initial=0) >= len(self.manifest.classes):
                raise ValueError("a label without a class")
            return table, packed
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._unreadable(group, error) from error

    def _read(self, group: int, columns: Sequence[str]) -> pa.Table:
        shard, number = self.row_groups[group].tolist()
        file = open_shard(self.folder / self.files[shard].name, self.files[shard])
        table = file.read_row_group(number, columns=list(columns), use_threads=False)
        if table.num_rows != self.rows_in(group):
            raise ValueError(f"{counted(table.num_rows, 'row')} in a row group of {self.rows_in(group):,}")
        return table

    def _unreadable(self, group: int, error: Exception) -> ShardError:
        """The error for a row group that could not be read: it is damaged, or there are other shards now.

        Raises:
            MemoryError, OSError: the cause may be temporary: no memory, or too many open files.
        """
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in _PASSING:
            raise error
        with contextlib.suppress(InputError, ShardError, MismatchError, OSError):
            if read_manifest(self.folder).checksum == self.manifest.checksum:
                return RowGroupError(_damaged(self.path_of(group), error))
        return ShardError(
            f"{self.folder}: its shards were replaced or removed while they were being read; run the command again"
        )


def open_split(folder: str | Path, split: str) -> ShardSplit:
    """Open the shards of a split and check their footers against the manifest.

    Args:
        folder: a folder of shards.
        split: train, validation or test.

    Raises:
        UsageError: `split` is none of train, validation and test.
        InputError: the folder does not exist, or the split has no drawings.
        ShardError: the manifest or a shard is missing or damaged.
    """
    if split not in SPLITS:
        raise UsageError(f'split "{split}": expected one of {", ".join(SPLITS)}')
    folder = existing_folder(folder)
    manifest = read_manifest(folder)
    files = tuple(file for file in manifest.files if file.split == split and file.rows)
    if not files:
        raise InputError(f"{folder}: its {split} split has no drawings: {why_empty(manifest, split)}")
    groups, starts = [], [0]
    for shard, file in enumerate(files):
        metadata = _open_first(folder / file.name, file).metadata
        for number in range(metadata.num_row_groups):
            groups.append((shard, number))
            starts.append(starts[-1] + metadata.row_group(number).num_rows)
    return ShardSplit(folder, split, manifest, files, np.array(groups, np.int64), np.array(starts, np.int64))


def _open_first(path: Path, expected: ShardFile) -> pq.ParquetFile:
    try:
        opened = open_shard(path, expected)
    except FileNotFoundError as error:
        raise ShardError(f"{path}: the shard is missing; {_REMEDY}") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ShardError(_damaged(path, error)) from error
    rows = [opened.metadata.row_group(number).num_rows for number in range(opened.metadata.num_row_groups)]
    if sum(rows) != expected.rows or min(rows, default=0) < 0 or not opened.schema_arrow.equals(SCHEMA):
        raise ShardError(_damaged(path, "its rows or columns are not those of the manifest"))
    return opened


_proving: dict[tuple[object, ...], threading.Lock] = {}
_proved: set[tuple[object, ...]] = set()


def _prove(path: Path, expected: ShardFile) -> None:
    """Check a shard's SHA-256, once in each process and again if the file changes."""
    stat = path.stat()
    key = (path, stat.st_mtime_ns, stat.st_size, expected.sha256)
    with _proving.setdefault(key, threading.Lock()):
        if key not in _proved:
            if file_hash(path) != expected.sha256:
                raise ValueError("its SHA-256 does not match the manifest")
            _proved.add(key)


_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)
_REMEDY = "repair the folder with `sketchpipe repair`"


def _damaged(path: Path, why: Any) -> str:
    if isinstance(why, UnfitFileError):
        return f"{path}: {why.strerror}; {_REMEDY}"
    return f"{path}: damaged ({' '.join(str(why).split())}); {_REMEDY}"
