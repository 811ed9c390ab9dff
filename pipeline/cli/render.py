"""`sketchpipe render`: pictures of drawings, and of bitmaps."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.bitmaps import bitmaps

app = typer.Typer(help="Write pictures of drawings, and of Google's bitmaps.", no_args_is_help=True)


@app.callback()
def render() -> None:
    """Write pictures of drawings, and of Google's bitmaps."""


@app.command("sheet")
def sheet(
    shards: Annotated[Path, typer.Argument(help="Folder of shards.")],
    to: Annotated[Path, typer.Option(help="The picture to write.")] = Path("sheet.png"),
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    classes: Annotated[str | None, typer.Option(help='Words to show: "cat,hot dog" or @FILE; all by default.')] = None,
    columns: Annotated[int, typer.Option(help="Drawings of each class.")] = 12,
    size: Annotated[int, typer.Option(help="Pixels of a drawing's side.")] = 64,
) -> None:
    """Draw a contact sheet: a row of drawings for each class, with the renderer that training uses.

    Reads shards; writes one PNG. The drawings are the first of each class, in the shards' random order.

    Example: sketchpipe render sheet shards/sample --to sheet.png
    """
    import numpy as np

    from pipeline.classes import resembling
    from pipeline.cli.options import counted, parse_list, say
    from pipeline.drawings import Drawings, concat
    from pipeline.errors import InputError, UsageError
    from pipeline.pictures import contact_sheet, write_png
    from pipeline.shards.read import open_split

    if columns < 1 or not 8 <= size <= 512:
        raise UsageError(f"columns {columns}, size {size}: expected 1 or more columns, and a size of 8 to 512")
    source = open_split(shards, split)
    known = source.manifest.classes
    wanted = list(known) if classes is None else list(parse_list(classes))
    for word in wanted:
        if word not in known:
            near = " or ".join(resembling(word, known, 3)) or ", ".join(known[:5])
            raise InputError(f'{shards}: has no class "{word}"; did you mean {near}?')
    found: dict[int, list[Drawings]] = {known.index(word): [] for word in wanted}
    for group in range(len(source.row_groups)):
        drawings = source.read_row_group(group)
        for label, parts in found.items():
            missing = columns - sum(map(len, parts))
            if missing > 0:
                parts.append(drawings.take(np.flatnonzero(drawings.word == label)[:missing]))
        if all(sum(map(len, parts)) >= columns for parts in found.values()):
            break
    rows = [(known[label], concat(parts)) for label, parts in found.items()]
    write_png(to, contact_sheet(rows, size=size))
    say(
        f"{to}: {counted(sum(len(drawings) for _, drawings in rows), 'drawing')} of {counted(len(rows), 'class', 'classes')}"
    )


app.command("bitmaps")(bitmaps)
