"""`sketchpipe render`: pictures of drawings, and of bitmaps."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.bitmaps import bitmaps
from pipeline.cli.pictures import pictures
from pipeline.cli.replay import replay

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
    size: Annotated[int, typer.Option(help="Pixels of a drawing's side, 8 to 512.")] = 64,
    encoding: Annotated[str, typer.Option(help="palette, order or gray: what colours mean.")] = "palette",
    framing: Annotated[str, typer.Option(help="corner, as drawings are stored, or centred.")] = "corner",
) -> None:
    """Draw a contact sheet: a row of drawings for each class, with the renderer that training uses.

    Reads shards; writes one PNG. The drawings are the first of each class, in the shards' random order. Many classes
    stand side by side. A word that the sheet has no letters for is shown as its file name, with %XX.

    Example: sketchpipe render sheet shards/sample --to sheet.png
    """
    from pipeline.cli.options import counted, parse_list, say
    from pipeline.errors import UsageError
    from pipeline.pictures.sheet import contact_sheet, labels_of, sheet_rows, write_png
    from pipeline.rendering.render import RenderConfig
    from pipeline.shards.read import open_split
    from pipeline.storage.outputs import check_picture_path

    check_picture_path(to, ".png")
    if columns < 1 or not 8 <= size <= 512:
        raise UsageError(f"columns {columns}, size {size}: expected 1 or more columns, and a size of 8 to 512")
    config = RenderConfig(size, encoding=encoding, framing=framing)
    source = open_split(shards, split)
    labels = labels_of(shards, source.manifest, None if classes is None else parse_list(classes))
    rows = sheet_rows(source, labels, columns, config)
    write_png(to, contact_sheet(rows, config))
    shown = counted(sum(len(drawings) for _, drawings in rows), "drawing")
    say(f"{to}: {shown} of {counted(len(rows), 'class', 'classes')}")


app.command("pictures")(pictures)
app.command("bitmaps")(bitmaps)
app.command("replay")(replay)
