"""Pass 2: reads a shard's ranges from the spill, sorts them, drops duplicates, and writes row groups."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays import Int32Array, Int64Array
from pipeline.drawings import Drawings, from_strokes
from pipeline.shards.layout import ShardPlan
from pipeline.shards.manifest import ShardFile, footer_hash
from pipeline.shards.options import USUAL_SIZES, BuildSizes
from pipeline.shards.ranges import Dropped, RangeReader, Records
from pipeline.shards.records import gather, memory_of
from pipeline.shards.schema import SCHEMA, WRITER_OPTIONS, dictionaries_of, to_table
from pipeline.shards.shuffle import SPLITS
from pipeline.shards.spill import SpillReader
from pipeline.shards.twins import Twins
from pipeline.storage.files import Output
from pipeline.storage.reading import open_regular


@dataclass(frozen=True)
class WrittenShard:
    """A shard on disk, and the counts of its drawings.

    Attributes:
        file: its entry in the manifest.
        classes: (K,) int64, drawings of each class.
        written: (F,) int64, drawings from each source.
        duplicates: (F,) int64, drawings from each source that were dropped as duplicates.
        same_key: drawings that share their key_id with another that has other strokes.
        keyless_duplicates: duplicates without a key_id whose word and strokes a drawing with one has.
    """

    file: ShardFile
    classes: Int64Array
    written: Int64Array
    duplicates: Int64Array
    same_key: int
    keyless_duplicates: int

    def dump(self) -> dict[str, Any]:
        """The entry for the journal."""
        counts = {name: getattr(self, name).tolist() for name in ("classes", "written", "duplicates")}
        numbers = {name: getattr(self, name) for name in ("same_key", "keyless_duplicates")}
        return {"file": asdict(self.file), **counts, **numbers}

    @staticmethod
    def load(entry: dict[str, Any]) -> "WrittenShard":
        """The shard that `dump` made into `entry`."""
        counts = {name: np.array(entry[name], np.int64) for name in ("classes", "written", "duplicates")}
        return WrittenShard(**{**entry, **counts, "file": ShardFile(**entry["file"])})


@dataclass(frozen=True)
class Vocabularies:
    """Translates the spill's numbers of words and countrycodes into those of the shards.

    Attributes:
        classes: the words in label order.
        countrycodes: in UTF-8 order.
        label: (W,) int32, the label of each spilled word; -1 if it is no class.
        code: (C + 1,) int32, the number of each spilled countrycode; the last is -1, for null.
    """

    classes: list[str]
    countrycodes: list[str]
    label: Int32Array
    code: Int32Array


def vocabularies(words: Sequence[str], classes: Sequence[str], countrycodes: Sequence[str]) -> Vocabularies:
    """The shards' vocabularies: `classes` in label order, and the countrycodes that were seen, sorted."""
    label = {word: k for k, word in enumerate(classes)}
    codes = sorted(countrycodes)
    place = {code: k for k, code in enumerate(codes)}
    return Vocabularies(
        list(classes),
        codes,
        np.array([label.get(word, -1) for word in words], np.int32),
        np.array([*(place[code] for code in countrycodes), -1], np.int32),
    )


class ShardWriter:
    """Writes shards of one finished spill, in row groups of `row_group_rows`; threads may share it.

    With `twins` it drops drawings without a key_id whose word and strokes a drawing with one has.
    """

    def __init__(
        self,
        spill: SpillReader,
        named: Vocabularies,
        *,
        seed: int,
        sources: int,
        twins: Twins | None = None,
        sizes: BuildSizes = USUAL_SIZES,
    ) -> None:
        # pyarrow's own pool keeps 25 MB more with one worker and 40 with two, and is no faster. What Parquet's encoders
        # take from Arrow's own pool all the same, `cli.options.spare_memory` turns to the system's.
        pa.set_memory_pool(pa.system_memory_pool())
        self._named, self._sources, self._sizes = named, sources, sizes
        self._ranges = RangeReader(spill, self._gather, named.classes, seed, sizes.range_bytes, twins)
        empty = from_strokes([], [])
        self._like = replace(empty, words=named.classes, countrycodes=named.countrycodes)
        self._dictionaries = dictionaries_of(self._like)

    def write(self, plan: ShardPlan, folder: Path) -> WrittenShard:
        """Write one shard into `folder`; the caller syncs it to disk."""
        path = folder / plan.name
        classes = np.zeros(len(self._named.classes), np.int64)
        written, dropped = np.zeros(self._sources, np.int64), Dropped(np.zeros(self._sources, np.int64))
        rows = 0
        # An open file: pyarrow tries a path as a URI first, which fails if the path is not UTF-8.
        with Output(path, sha256=hashlib.sha256()) as file, pq.ParquetWriter(file, SCHEMA, **WRITER_OPTIONS) as writer:
            for pieces in _row_groups(self._ranges.unique(plan, dropped), self._sizes):
                drawings, source = self._gather(pieces)
                written += np.bincount(source, minlength=len(written))
                classes += np.bincount(drawings.word, minlength=len(classes))
                rows += len(drawings)
                writer.write_table(to_table(drawings, self._dictionaries))
            if not rows:
                writer.write_table(to_table(self._like, self._dictionaries))
        with open_regular(path, link=False) as shard:
            footer, footer_bytes = footer_hash(shard)
        entry = ShardFile(plan.name, SPLITS[plan.split], rows, file.tell(), file.sha256, footer, footer_bytes)
        return WrittenShard(entry, classes, written, dropped.duplicates, dropped.same_key, dropped.keyless)

    def _gather(self, pieces: Sequence[Records]) -> tuple[Drawings, Int32Array]:
        """The drawings of some records, with their final labels and codes, and their sources."""
        drawings, source = gather(pieces, self._like)
        word, code = self._named.label[drawings.word], self._named.code[drawings.countrycode]
        return replace(drawings, word=word, countrycode=code), source


def _row_groups(pieces: Iterator[Records], sizes: BuildSizes) -> Iterator[list[Records]]:
    """Regroup pieces so that each group has `row_group_rows` rows, or fewer if these exceed `row_group_bytes`.

    The last one has the remaining rows.
    """
    waiting: list[Records] = []
    room_rows, room_bytes = sizes.row_group_rows, sizes.row_group_bytes
    for blob, start in pieces:
        taken = memory_of(blob, start)
        total = int(taken.sum())
        if len(start) < room_rows and total <= room_bytes:
            waiting.append((blob, start))
            room_rows, room_bytes = room_rows - len(start), room_bytes - total
            continue
        ends, first = np.cumsum(taken), 0
        while first < len(start):
            before = int(ends[first - 1]) if first else 0
            fit = int(np.searchsorted(ends, before + room_bytes, side="right"))
            last = min(first + room_rows, max(fit, first + (not waiting)))
            if last > first:
                waiting.append((blob, start[first:last]))
                room_rows, room_bytes = room_rows - (last - first), room_bytes - (int(ends[last - 1]) - before)
                first = last
            if not room_rows or first < len(start):
                yield waiting
                waiting, room_rows, room_bytes = [], sizes.row_group_rows, sizes.row_group_bytes
    if waiting:
        yield waiting
