"""What a folder of shards holds, counted from its rows and compared with its manifest."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ShardError
from pipeline.shards.find import existing_folder
from pipeline.shards.manifest import read_manifest
from pipeline.shards.read import open_split
from pipeline.shards.schema import SCHEMA, integers
from pipeline.shards.shuffle import SPLITS
from pipeline.threads import core_count, ordered_map


@dataclass(frozen=True)
class Contents:
    """What a folder of shards holds.

    Attributes:
        folder: where the shards are.
        synthetic: whether the drawings are the built-in sample's.
        attribution: where the drawings come from, and their licence.
        writer: versions of the software that wrote the shards.
        options: the build's options, seed and splits among them.
        drawings: how many each split has.
        shards: how many there are.
        bytes: the size of all shards.
        points_per_drawing: the mean.
        strokes_per_drawing: the mean.
        recognized: the share of recognized drawings among those for which it is known; None if there are none.
        same_key: rows that share their key_id with another row, but not its strokes or word.
        read: lines or records that were read from the sources.
        duplicates: drawings that were dropped because an equal one was kept.
        filtered: drawings that the options left out.
        rejects: how many there are by reason, the most frequent first.
        notes: how many of the lines that were read had a field read as null, or canvas coordinates, by kind.
        classes: the drawings of each class in each split, in label order.
    """

    folder: str
    synthetic: bool
    attribution: str
    writer: Mapping[str, str]
    options: Mapping[str, Any]
    drawings: dict[str, int]
    shards: int
    bytes: int
    points_per_drawing: float
    strokes_per_drawing: float
    recognized: float | None
    same_key: int
    read: int
    duplicates: int
    filtered: int
    rejects: dict[str, int]
    notes: dict[str, int]
    classes: dict[str, dict[str, int]]


def read_contents(folder: Path) -> Contents:
    """Count what a folder of shards holds; every column is read, so that damage in any of them is found.

    Raises:
        InputError: there is no such folder.
        ShardError: a file is damaged, or the shards do not hold what the manifest counts.
        MismatchError: the shards are of a format that this version does not read.
    """
    manifest = read_manifest(existing_folder(folder))
    splits = {name: _count_split(folder, name) for name in manifest.counts if manifest.rows(name)}
    counts = {
        word: {name: splits[name].drawings[word] if name in splits else 0 for name in manifest.counts}
        for word in manifest.classes
    }
    expected = {
        word: {split: of[k] for split, of in manifest.counts.items()} for k, word in enumerate(manifest.classes)
    }
    totals = sum(splits.values(), _Counts())
    if counts != expected or totals.drawings.keys() - set(manifest.classes):
        raise ShardError(f"{folder}: its shards do not hold what its manifest counts; build it anew with --force")
    rows = totals.drawings.total()
    sources = manifest.sources
    return Contents(
        folder=str(folder),
        synthetic=manifest.synthetic,
        attribution=manifest.attribution,
        writer=manifest.writer,
        options=manifest.options,
        drawings={split: manifest.rows(split) for split in SPLITS},
        shards=len(manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        points_per_drawing=totals.points / max(1, rows),
        strokes_per_drawing=totals.strokes / max(1, rows),
        recognized=totals.recognized / totals.judged if totals.judged else None,
        same_key=manifest.same_key,
        read=sum(source.read for source in sources),
        duplicates=sum(source.duplicates for source in sources),
        filtered=sum(source.filtered for source in sources),
        rejects=dict(sorted(manifest.rejects.items(), key=lambda item: (-item[1], item[0]))),
        notes=dict(manifest.notes or {}),
        classes=counts,
    )


@dataclass(frozen=True)
class _Counts:
    """Sums over drawings: how many have each word, their points and strokes, and how many are known to be recognized.

    `judged` counts the drawings for which it is known whether they were recognized.
    """

    drawings: Counter[str] = field(default_factory=Counter)
    points: int = 0
    strokes: int = 0
    recognized: int = 0
    judged: int = 0

    def __add__(self, other: "_Counts") -> "_Counts":
        return _Counts(
            self.drawings + other.drawings,
            self.points + other.points,
            self.strokes + other.strokes,
            self.recognized + other.recognized,
            self.judged + other.judged,
        )


def _count_split(folder: Path, name: str) -> _Counts:
    """Count the drawings of a split, one row group at a time."""
    split = open_split(folder, name)
    groups = range(len(split.row_groups))
    counted = ordered_map(lambda group: _count(split.read_table(group, SCHEMA.names)), groups, core_count())
    return sum(counted, _Counts())


def _count(table: pa.Table) -> _Counts:
    drawings: Counter[str] = Counter()
    for chunk in table.column("word").chunks:
        words = chunk.dictionary.to_pylist()
        found = np.bincount(integers(chunk.indices, np.int32), minlength=len(words))
        drawings.update({word: count for word, count in zip(words, found.tolist(), strict=True) if count})
    recognized = table.column("recognized")
    return _Counts(
        drawings,
        points=pc.sum(pc.binary_length(table.column("x"))).as_py() or 0,
        strokes=pc.sum(pc.list_value_length(table.column("stroke_end"))).as_py() or 0,
        recognized=pc.sum(recognized).as_py() or 0,
        judged=len(recognized) - recognized.null_count,
    )
