"""`sketchpipe inspect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.shards.contents import Contents


def inspect(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of shards.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a folder of shards holds.

    Reads the manifest and every column of the shards; writes to stdout the drawings of each class and split, sizes,
    seed, and rejected lines by reason.

    Example: sketchpipe inspect shards/sample
    """
    from dataclasses import asdict

    from pipeline.cli.options import show, show_json
    from pipeline.shards.contents import read_contents

    contents = read_contents(shards)
    if as_json:
        show_json(asdict(contents))
    else:
        show(*_lines_of(contents))


def _lines_of(contents: "Contents") -> list[str]:
    from pipeline.cli.options import size
    from pipeline.shards.remarks import damage_remark, lookalike_remark
    from pipeline.shards.shuffle import SPLITS
    from pipeline.sources.notes import told
    from pipeline.wording import aligned, columns_of, counted

    total = sum(contents.drawings.values())
    writer = ", ".join(f"{name} {version}" for name, version in contents.writer.items())
    recognized = "" if contents.recognized is None else f", {contents.recognized:.1%} recognized"
    lines = [
        f"{contents.folder}: {counted(total, 'drawing')} of {counted(len(contents.classes), 'class', 'classes')} in "
        f"{counted(contents.shards, 'shard')}, {size(contents.bytes)} ({contents.bytes / max(total, 1):.0f} bytes a drawing)",
        f"  {contents.attribution}",
        f"  {contents.points_per_drawing:.1f} points and {contents.strokes_per_drawing:.1f} strokes a drawing{recognized}",
        f"  seed {contents.options['seed']}, splits {contents.options['splits']}, {writer}",
        f"  read {contents.read:,}: written {total:,}, duplicates {contents.duplicates:,}, "
        f"filtered {contents.filtered:,}, rejected {sum(contents.rejects.values()):,}",
    ]
    lines += [f"    {count:>8,}  {reason}" for reason, count in contents.rejects.items()]
    for remark in (damage_remark(contents.damaged_files), lookalike_remark(list(contents.classes))):
        lines += [] if remark is None else [f"  {remark}"]
    lines += [f"  {sentence}" for sentence in told(contents.notes)]
    width = max(5, *(columns_of(word) for word in contents.classes))
    table = [("class", *SPLITS)]
    table += [(word, *(f"{of.get(split, 0):,}" for split in SPLITS)) for word, of in contents.classes.items()]
    table.append(("", *(f"{contents.drawings[split]:,}" for split in SPLITS)))
    lines.append("")
    lines += [
        f"{aligned(word, width)}  {train:>9}  {validation:>10}  {test:>9}" for word, train, validation, test in table
    ]
    return lines
