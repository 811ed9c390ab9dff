"""`sketchpipe inspect`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def inspect(
    shards: Annotated[Path, typer.Argument(help="Folder of shards.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a folder of shards holds: drawings per class and split, sizes, seed, rejects by reason.

    Reads the manifest and the shards' columns; writes to stdout.

    Example: sketchpipe inspect shards/sample
    """
    import json

    described = _describe(shards)
    typer.echo(json.dumps(described, ensure_ascii=False, indent=1) if as_json else _as_text(described))


def _describe(folder: Path) -> dict[str, Any]:
    import polars as pl

    from pipeline.shards.manifest import REJECTS
    from pipeline.shards.read import open_split

    files = open_files(folder)
    manifest, frames = files
    for split in dict.fromkeys(file.split for file in manifest.files):
        open_split(folder, split)  # checks every footer
    lazy = pl.concat([pl.scan_parquet(folder / name).with_columns(split=pl.lit(split)) for name, split in frames])
    lengths = lazy.select(
        points=pl.col("x").bin.size().mean(),
        strokes=pl.col("stroke_end").list.len().mean(),
        recognized=pl.col("recognized").mean(),
    ).collect()
    counts = {
        word: {split: of_class[k] for split, of_class in manifest.counts.items()}
        for k, word in enumerate(manifest.classes)
    }
    rejects: dict[str, int] = {}
    if manifest.rejects:
        table = (
            pl.read_ndjson(folder / REJECTS).group_by("reason").len().sort("len", "reason", descending=[True, False])
        )
        rejects = dict(table.iter_rows())
    return {
        "folder": str(folder),
        "synthetic": manifest.synthetic,
        "attribution": manifest.attribution,
        "writer": dict(manifest.writer),
        "options": dict(manifest.options),
        "drawings": {split: manifest.rows(split) for split in ("train", "validation", "test")},
        "shards": len(manifest.files),
        "bytes": sum(file.bytes for file in manifest.files),
        "points_per_drawing": lengths["points"][0],
        "strokes_per_drawing": lengths["strokes"][0],
        "recognized": lengths["recognized"][0],
        "same_key": manifest.same_key,
        "read": sum(source.read for source in manifest.sources),
        "duplicates": sum(source.duplicates for source in manifest.sources),
        "filtered": sum(source.filtered for source in manifest.sources),
        "rejects": rejects,
        "classes": counts,
    }


def open_files(folder: Path) -> tuple[Any, list[tuple[str, str]]]:
    """The manifest of a folder, and each shard's name and split."""
    from pipeline.errors import InputError
    from pipeline.shards.manifest import read_manifest

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; make shards with `sketchpipe shards SOURCE --to {folder}`")
    manifest = read_manifest(folder)
    return manifest, [(file.name, file.split) for file in manifest.files]


def _as_text(described: dict[str, Any]) -> str:
    from pipeline.cli.options import size

    drawings = described["drawings"]
    total = sum(drawings.values())
    recognized = described["recognized"]
    lines = [
        f"{described['folder']}: {total:,} drawings of {len(described['classes'])} classes in {described['shards']} shards, "
        f"{size(described['bytes'])} ({described['bytes'] / max(total, 1):.0f} bytes a drawing)",
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
