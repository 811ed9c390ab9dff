"""`sketchpipe inspect`."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipeline.shards.read import ShardSplit


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
    import os

    from pipeline.errors import InputError
    from pipeline.shards.manifest import read_manifest
    from pipeline.shards.read import open_split
    from pipeline.threads import ordered_map

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; make shards with `sketchpipe shards SOURCE --to {folder}`")
    manifest = read_manifest(folder)
    totals: Counter[str] = Counter()
    for name in dict.fromkeys(file.split for file in manifest.files if file.rows):
        split = open_split(folder, name)
        for measured in ordered_map(partial(_measure, split), range(len(split.row_groups)), os.cpu_count() or 1):
            totals.update(measured)
    counts = {
        word: {split: of_class[k] for split, of_class in manifest.counts.items()}
        for k, word in enumerate(manifest.classes)
    }
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


def _measure(split: "ShardSplit", group: int) -> dict[str, int]:
    """What a row group adds up to; every column is read, so that damage in any of them shows."""
    from pipeline.shards.schema import SCHEMA

    drawings = split.read_row_group(group, SCHEMA.names)
    return {
        "drawings": len(drawings),
        "points": len(drawings.x),
        "strokes": len(drawings.stroke_end),
        "recognized": int((drawings.recognized == 1).sum()),
        "judged": int((drawings.recognized >= 0).sum()),
    }


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
