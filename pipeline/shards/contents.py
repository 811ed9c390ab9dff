"""What a folder of shards holds, counted from its rows and compared with its manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ShardError
from pipeline.shards.find import existing_folder
from pipeline.shards.manifest import read_manifest
from pipeline.shards.read import open_split
from pipeline.shards.schema import SCHEMA
from pipeline.shards.shuffle import SPLITS
from pipeline.threads import core_count, ordered_map

if TYPE_CHECKING:
    import polars as pl


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
    classes: dict[str, dict[str, int]]


def read_contents(folder: Path) -> Contents:
    """Count what a folder of shards holds; every column is read, so that damage in any of them is found.

    Raises:
        InputError: there is no such folder.
        ShardError: a file is damaged, or the shards do not hold what the manifest counts.
        MismatchError: the shards are of a format that this version does not read.
    """
    import polars as pl  # imported here, so that training and rendering do not wait for it

    manifest = read_manifest(existing_folder(folder))
    rows = pl.concat(
        _counts(folder, name) for name in dict.fromkeys(file.split for file in manifest.files if file.rows)
    )
    counts = {word: dict.fromkeys(manifest.counts, 0) for word in manifest.classes}
    for word, split, drawings in rows.group_by("word", "split").agg(pl.col("drawings").sum()).iter_rows():
        counts[word][split] = drawings
    expected = {
        word: {split: of[k] for split, of in manifest.counts.items()} for k, word in enumerate(manifest.classes)
    }
    if counts != expected:
        raise ShardError(f"{folder}: its shards do not hold what its manifest counts; build it anew with --force")
    totals = rows.drop("word", "split").sum().row(0, named=True)
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
        points_per_drawing=totals["points"] / totals["drawings"],
        strokes_per_drawing=totals["strokes"] / totals["drawings"],
        recognized=totals["recognized"] / totals["judged"] if totals["judged"] else None,
        same_key=manifest.same_key,
        read=sum(source.read for source in sources),
        duplicates=sum(source.duplicates for source in sources),
        filtered=sum(source.filtered for source in sources),
        rejects=dict(sorted(manifest.rejects.items(), key=lambda item: (-item[1], item[0]))),
        classes=counts,
    )


def _counts(folder: Path, name: str) -> "pl.DataFrame":
    """Count drawings, points, strokes and recognized drawings of each class of a split, one row group at a time."""
    import polars as pl

    split = open_split(folder, name)

    def count(group: int) -> pl.DataFrame:
        frame = pl.DataFrame(split.read_table(group, SCHEMA.names))
        return frame.group_by(pl.col("word").cast(pl.String)).agg(
            split=pl.lit(name),
            drawings=pl.len().cast(pl.Int64),
            points=pl.col("x").bin.size().sum().cast(pl.Int64),
            strokes=pl.col("stroke_end").list.len().sum().cast(pl.Int64),
            recognized=pl.col("recognized").sum().cast(pl.Int64),
            judged=pl.col("recognized").count().cast(pl.Int64),
        )

    return pl.concat(ordered_map(count, range(len(split.row_groups)), core_count()))
