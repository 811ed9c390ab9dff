"""`sketchpipe inspect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl


def inspect(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of shards.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a folder of shards holds.

    Reads the manifest and every column of the shards; writes to stdout the drawings of each class and split, sizes,
    seed, and rejected lines by reason.

    Example: sketchpipe inspect shards/sample
    """
    import json

    described = _describe(shards)
    typer.echo(json.dumps(described, ensure_ascii=False, indent=1) if as_json else _as_text(described))


def _describe(folder: Path) -> dict[str, Any]:
    import polars as pl

    from pipeline.errors import InputError, ShardError
    from pipeline.shards.manifest import read_manifest

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; make shards with `sketchpipe shards SOURCE --to {folder}`")
    manifest = read_manifest(folder)
    rows = pl.concat(
        _measure(folder, name) for name in dict.fromkeys(file.split for file in manifest.files if file.rows)
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
    return {
        "folder": str(folder),
        "synthetic": manifest.synthetic,
        "attribution": manifest.attribution,
        "writer": dict(manifest.writer),
        "options": dict(manifest.options),
        "drawings": {split: manifest.rows(split) for split in ("train", "validation", "test")},
        "shards": len(manifest.files),
        "bytes": sum(file.bytes for file in manifest.files),
        "points_per_drawing": totals["points"] / totals["drawings"],
        "strokes_per_drawing": totals["strokes"] / totals["drawings"],
        "recognized": totals["recognized"] / totals["judged"] if totals["judged"] else None,
        "same_key": manifest.same_key,
        "read": sum(source.read for source in manifest.sources),
        "duplicates": sum(source.duplicates for source in manifest.sources),
        "filtered": sum(source.filtered for source in manifest.sources),
        "rejects": dict(sorted(manifest.rejects.items(), key=lambda item: (-item[1], item[0]))),
        "classes": counts,
    }


def _measure(folder: Path, name: str) -> "pl.DataFrame":
    """Drawings, points, strokes and recognized of each class of a split, a row group at a time.

    Every column is read, so that damage in any of them shows.
    """
    import polars as pl

    from pipeline.shards.read import open_split
    from pipeline.shards.schema import SCHEMA
    from pipeline.threads import core_count, ordered_map

    split = open_split(folder, name)

    def measure(group: int) -> pl.DataFrame:
        frame = pl.DataFrame(split.read_table(group, SCHEMA.names))
        return frame.group_by(pl.col("word").cast(pl.String)).agg(
            split=pl.lit(name),
            drawings=pl.len().cast(pl.Int64),
            points=pl.col("x").bin.size().sum().cast(pl.Int64),
            strokes=pl.col("stroke_end").list.len().sum().cast(pl.Int64),
            recognized=pl.col("recognized").sum().cast(pl.Int64),
            judged=pl.col("recognized").count().cast(pl.Int64),
        )

    return pl.concat(ordered_map(measure, range(len(split.row_groups)), core_count()))


def _as_text(described: dict[str, Any]) -> str:
    from pipeline.cli.options import counted, size

    drawings = described["drawings"]
    total = sum(drawings.values())
    recognized = described["recognized"]
    lines = [
        f"{described['folder']}: {counted(total, 'drawing')} of {counted(len(described['classes']), 'class', 'classes')} "
        f"in {counted(described['shards'], 'shard')}, {size(described['bytes'])} "
        f"({described['bytes'] / max(total, 1):.0f} bytes a drawing)",
        f"  {described['attribution']}",
        f"  {described['points_per_drawing']:.1f} points and {described['strokes_per_drawing']:.1f} strokes a drawing"
        + (f", {recognized:.1%} recognized" if recognized is not None else ""),
        f"  seed {described['options']['seed']}, splits {described['options']['splits']}, "
        f"sketchpipe {described['writer']['sketchpipe']}, pyarrow {described['writer']['pyarrow']}",
        f"  read {described['read']:,}: written {total:,}, duplicates {described['duplicates']:,}, "
        f"left out {described['filtered']:,}, rejected {sum(described['rejects'].values()):,}",
    ]
    lines += [f"    {count:>8,}  {reason}" for reason, count in described["rejects"].items()]
    width = max(5, *(len(word) for word in described["classes"]))
    lines += ["", f"{'class':<{width}}  {'train':>9}  {'validation':>10}  {'test':>9}"]
    for word, counts in described["classes"].items():
        row = [counts.get(split, 0) for split in ("train", "validation", "test")]
        lines.append(f"{word:<{width}}  {row[0]:>9,}  {row[1]:>10,}  {row[2]:>9,}")
    lines.append(f"{'':<{width}}  {drawings['train']:>9,}  {drawings['validation']:>10,}  {drawings['test']:>9,}")
    return "\n".join(lines)
